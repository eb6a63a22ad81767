"""Marts that go through chats in order of time, over more rows than one thread of DuckDB reads."""

from datetime import timedelta

import pytest

from tests.support.mart_database import NEW_YORK, MartDatabase, text, utc
from warehouse.snapshot.marts import MartSettings, build_marts

CHATS, TEXTS = 1_000, 200
_MANY = """
INSERT INTO usage BY NAME
SELECT
    'default' AS account,
    printf('%d-%d', nth, chat) AS record_id,
    'text' AS channel,
    CASE WHEN nth % 2 = 0 THEN 'in' ELSE 'out' END AS direction,
    'user@clinic.example' AS user_id,
    printf('+1408%07d', chat) AS counterparty,
    counterparty AS from_party,
    user_id AS to_party,
    $first + to_days((nth // 4)::INTEGER * 2) + to_seconds(nth % 4) AS started_at,
    started_at AS ended_at
FROM range($texts) AS texts (nth)
CROSS JOIN range($chats) AS chats (chat)
"""


@pytest.fixture(scope="module")
def many() -> MartDatabase:
    """Make chats of four texts every other day, in, out, in and out again, that lie scattered over the table."""
    history = MartDatabase([text("first", "2025-03-01 12:00", counterparty=None)])
    first = utc("2025-03-01 12:00")
    history.connection.execute(_MANY, {"first": first, "texts": TEXTS, "chats": CHATS})
    build_marts(history.connection, MartSettings(default=NEW_YORK))
    return history


def test_every_thread_is_whole_and_numbered_by_time(many: MartDatabase) -> None:
    threads = "count(*), min(records), max(records), count(DISTINCT thread), max(ended_at - started_at)"
    assert many.query(f"SELECT {threads} FROM marts.conversations") == [
        (CHATS * TEXTS // 4, 4, 4, TEXTS // 4, timedelta(seconds=3))
    ]
    assert many.query("SELECT DISTINCT started_at::DATE - DATE '2025-03-01' - 2 * thread FROM marts.conversations") == [
        (-2,)
    ]


def test_every_block_has_its_own_reply(many: MartDatabase) -> None:
    blocks = "count(*), count(replied_at), min(wait_seconds), max(wait_seconds), max(block), max(texts)"
    assert many.query(f"SELECT {blocks} FROM marts.text_responses") == [
        (CHATS * TEXTS // 2, CHATS * TEXTS // 2, 1.0, 1.0, TEXTS // 2, 1)
    ]
    mixed = "split_part(first_record_id, '-', 2) <> split_part(reply_record_id, '-', 2)"
    assert many.query(f"SELECT count(*) FROM marts.text_responses WHERE {mixed}") == [(0,)]
