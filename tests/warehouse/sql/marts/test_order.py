"""Marts that process messages in order of time, with more rows than one DuckDB thread reads."""

from datetime import timedelta

import pytest

from tests.support.mart_database import NEW_YORK, MartDatabase, text, utc
from warehouse.snapshot.marts import MartSettings, build_marts

CHATS, TEXTS = 1_000, 200
_INSERT = """
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
def database() -> MartDatabase:
    """Build chats with four texts every other day (in, out, in, out), scattered over the table."""
    database = MartDatabase([text("first", "2025-03-01 12:00", counterparty=None)])
    first = utc("2025-03-01 12:00")
    database.connection.execute(_INSERT, {"first": first, "texts": TEXTS, "chats": CHATS})
    build_marts(database.connection, MartSettings(default=NEW_YORK))
    return database


def test_threads_are_complete_and_numbered_by_time(database: MartDatabase) -> None:
    threads = "count(*), min(records), max(records), count(DISTINCT thread), max(ended_at - started_at)"
    assert database.query(f"SELECT {threads} FROM marts.conversations") == [
        (CHATS * TEXTS // 4, 4, 4, TEXTS // 4, timedelta(seconds=3))
    ]
    assert database.query(
        "SELECT DISTINCT started_at::DATE - DATE '2025-03-01' - 2 * thread FROM marts.conversations"
    ) == [(-2,)]


def test_each_block_is_matched_with_its_own_reply(database: MartDatabase) -> None:
    blocks = "count(*), count(replied_at), min(wait_seconds), max(wait_seconds), max(block), max(texts)"
    assert database.query(f"SELECT {blocks} FROM marts.text_responses") == [
        (CHATS * TEXTS // 2, CHATS * TEXTS // 2, 1.0, 1.0, TEXTS // 2, 1)
    ]
    mismatched = "split_part(first_record_id, '-', 2) <> split_part(reply_record_id, '-', 2)"
    assert database.query(f"SELECT count(*) FROM marts.text_responses WHERE {mismatched}") == [(0,)]
