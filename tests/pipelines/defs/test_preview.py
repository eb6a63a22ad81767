"""The preview of the latest days, which Dagster renders as Markdown."""

from pathlib import Path

import pytest

from pipelines.defs.assets.warehouse_tables import build_preview
from tests.support.raw_responses import call, create_folder, fold, response
from warehouse.outputs.escaping import escape_for_markdown
from warehouse.snapshot.publish import publish

INJECTED = [
    "![](http://evil.example/pixel)",
    "[click](javascript:alert(1))",
    "www.evil.example",
    "mail@evil.example",
    "<img src=x onerror=alert(1)>",
    "text | 1 | 2\n\n# heading",
    "`code` *bold* _it_ ~~x~~ \\ &lt; :smile:",
    "\u202e\x1b[2J",
    "x" * 500,
]


def test_a_channel_brings_no_markdown_into_the_preview(tmp_path: Path) -> None:
    folder = create_folder(tmp_path)
    fold(folder, response([call(f"id-{n}", usage=text, type=text, userId=text) for n, text in enumerate(INJECTED)], 1))
    publish(folder)
    preview = build_preview(folder).value
    assert preview is not None
    header, rule, *rows = preview.split("\n")
    assert header == "| local_date | channel | records | minutes | credits | users |"
    assert set(rule) == set("| -")
    assert rows
    assert all(row.count("|") == 7 and len(row) < 150 for row in rows)
    assert not [row for row in rows if set(row) & set("![]()<>`*_~\\&:#@/\x1b\u202e")]
    assert "www.evil" not in preview


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("call", "call"),
        ("2023-03-24", "2023-03-24"),
        ("-12.5", "-12.5"),
        ("None", "None"),
        ("SMS größer", "SMS größer"),
        ("a.b", "ab"),
        ("1.2.3", "123"),
    ],
)
def test_letters_digits_and_numbers_are_kept(text: str, kept: str) -> None:
    assert escape_for_markdown(text) == kept
