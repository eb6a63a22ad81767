"""Data-quality checks on a published snapshot."""

from pathlib import Path

from tests.support.raw_responses import WINDOW, call, create_folder, fold, response, save
from warehouse.checks.data_quality import find_by_select, find_by_state
from warehouse.outputs.query import run_query
from warehouse.schema.tables import RECORDINGS, USAGE
from warehouse.snapshot.publish import publish
from warehouse.windows import window_of_key

OLD_WINDOW = window_of_key("2023-02-06")


def test_only_days_with_missing_callbacks_are_found(tmp_path: Path) -> None:
    folder = create_folder(tmp_path)
    complete = [call(f"complete-{index}", "2023-03-22T10:00:00Z") for index in range(200)]
    incomplete = [call(f"incomplete-{index}", "2023-03-23T10:00:00Z") for index in range(50)]
    for record in [*complete[:-2], *incomplete[:-1]]:
        save(folder, response([record], 1, reason="callback"), dataset="usage_callbacks")
    fold(folder, response([*complete, *incomplete, call("before", "2023-03-21T10:00:00Z")], 2))
    publish(folder)
    (finding,) = find_by_select(folder, "callbacks_kept", USAGE)
    assert (finding.window, finding.rows) == (WINDOW, 1)
    assert find_by_select(folder, "callbacks_kept", RECORDINGS) == []


def test_old_callback_losses_are_not_reported(tmp_path: Path) -> None:
    folder = create_folder(tmp_path)
    lost = [call("old", "2023-02-10T10:00:00Z"), call("lost", "2023-02-10T11:00:00Z")]
    save(folder, response(lost[:1], 1, reason="callback"), window=OLD_WINDOW, dataset="usage_callbacks")
    fold(folder, response(lost, 2, window=OLD_WINDOW), window=OLD_WINDOW)
    publish(folder)
    assert [finding.rows for finding in find_by_select(folder, "callbacks_kept", USAGE)] == [1]
    save(folder, response([call("new")], 3, reason="callback"), dataset="usage_callbacks")
    fold(folder, response([call("new")], 4))
    publish(folder)
    assert find_by_select(folder, "callbacks_kept", USAGE) == []


def test_records_with_an_unknown_channel_are_found_and_counted_in_marts(tmp_path: Path) -> None:
    folder = create_folder(tmp_path)
    fold(folder, response([call("a"), call("b", usage="mms"), call("c", usage="Fax"), call("d", usage="video")], 1))
    publish(folder)
    (finding,) = find_by_select(folder, "known_channels", USAGE)
    assert (finding.window, finding.rows) == (WINDOW, 2)
    totals = run_query(folder, "SELECT channel, records, minutes FROM marts.daily_totals ORDER BY channel")
    assert list(totals.rows) == [("call", 1, 2.0), ("fax", 1, None), ("mms", 1, None), ("video", 1, None)]


def test_unknown_directions_and_types_are_found_and_all_records_count(tmp_path: Path) -> None:
    folder = create_folder(tmp_path)
    records = [call("a"), call("b", direction="Outbound"), call("c", direction="missed"), call("d", type="internal")]
    fold(folder, response([*records, call("e", direction=None)], 1))
    publish(folder)
    assert [(one.window, one.rows) for one in find_by_select(folder, "known_directions", USAGE)] == [(WINDOW, 2)]
    assert [(one.window, one.rows) for one in find_by_select(folder, "known_types", USAGE)] == [(WINDOW, 1)]
    totals = run_query(folder, "SELECT direction, sum(records) FROM marts.daily_activity GROUP BY 1 ORDER BY 1")
    assert list(totals.rows) == [("in", 2), ("missed", 1), ("out", 1), (None, 1)]


def test_a_documented_field_that_no_record_has_is_found(tmp_path: Path) -> None:
    folder = create_folder(tmp_path)
    without = [{name: value for name, value in call(i).items() if name != "iPlumCredits"} for i in ("a", "b")]
    result = fold(folder, response(without, 1))
    assert result.state.missing_fields == ("iPlumCredits",)
    (finding,) = find_by_state(folder, USAGE, lambda state: len(state.missing_fields))
    assert (finding.window, finding.rows) == (WINDOW, 1)
    assert fold(folder, response([*without, call("c", iPlumCredits=None)], 2)).state.missing_fields == ()
