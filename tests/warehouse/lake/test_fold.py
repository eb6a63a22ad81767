"""Folding: merged versions of records, out-of-window records, absence, window state and concurrent folds."""

import random
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.raw_responses import WINDOW, at, call, create_folder, fold, response, rows_of, save
from warehouse.lake.fold import fold_window, is_up_to_date, merge
from warehouse.lake.normalize import normalize_response
from warehouse.lake.versions import collect_versions
from warehouse.raw.log import RawLog, RawResponse
from warehouse.schema.tables import USAGE
from warehouse.storage.paths import DataFolder


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    return create_folder(tmp_path)


def test_newest_value_of_each_field_wins_but_null_never_wins(folder: DataFolder) -> None:
    fold(
        folder, response([call(duration="1", iPlumCredits=5)], 1), response([call(duration="4", iPlumCredits=None)], 2)
    )
    row = rows_of(folder).loc["a"]
    assert (row["duration_minutes"], row["credits"]) == (4.0, 5.0)
    assert (row["first_seen_at"], row["last_seen_at"]) == (at(1), at(2))
    assert row["origin"] == "pull"


def test_last_valid_value_is_kept_if_a_newer_one_does_not_parse(folder: DataFolder) -> None:
    result = fold(folder, response([call()], 1), response([call(duration="long", new=1)], 2))
    row = rows_of(folder).loc["a"]
    assert row["duration_minutes"] == 2.0
    assert row["extra"] == '{"duration": "long", "new": 1}'
    assert (result.state.unread, result.state.unreadable) == (1, 0)


def test_extra_is_empty_once_the_field_parses(folder: DataFolder) -> None:
    fold(folder, response([call(duration="long")], 1), response([call()], 2))
    assert rows_of(folder)["extra"].isna().all()


def test_id_repeated_in_one_response_is_one_row(folder: DataFolder) -> None:
    fold(folder, response([call(duration="1"), call(duration="2"), call("b")], 1))
    rows = rows_of(folder)
    assert sorted(rows.index) == ["a", "b"]
    assert rows.loc["a", "duration_minutes"] == 2.0


def test_new_and_changed_rows_are_counted(folder: DataFolder) -> None:
    assert (fold(folder, response([call("a"), call("b")], 1)).new) == 2
    again = fold(folder, response([call("a", duration="9"), call("b"), call("c")], 2))
    assert (again.new, again.changed) == (1, 1)


def test_a_second_fold_changes_nothing(folder: DataFolder) -> None:
    fold(folder, response([call("a"), call("b", new=1)], 1), response([call("a")], 2))
    once = rows_of(folder)
    result = fold_window(folder, USAGE, "default", WINDOW)
    assert (result.new, result.changed, result.other_windows) == (0, 0, frozenset())
    pd.testing.assert_frame_equal(rows_of(folder), once)


def test_repeated_body_is_stored_once(folder: DataFolder) -> None:
    save(folder, response([call()], 1), response([call()], 2), response([], 3), response([call()], 4))
    log = RawLog(folder, "default", "usage")
    sizes = [(folder.root / key).stat().st_size for key in folder.raw_files("usage", "default", WINDOW)]
    responses = [read for _, read in log.read(WINDOW, log.names(WINDOW))]
    assert sizes[1] < sizes[0]
    assert responses[1].body == responses[0].body
    assert [read.rows for read in responses] == [1, 1, 0, 1]
    assert responses[3].body == responses[0].body, "a body that differs from the previous one is stored again"


# --- out-of-window records


def test_out_of_window_record_is_copied_once_to_its_own_window(folder: DataFolder) -> None:
    edge = call("edge", WINDOW.end.strftime("%Y-%m-%dT%H:%M:%SZ"))
    result = fold(folder, response([call(), edge], 1))
    assert result.other_windows == {WINDOW.next()}
    assert list(rows_of(folder).index) == ["a"]
    assert list(rows_of(folder, WINDOW.next()).index) == ["edge"]
    fold_window(folder, USAGE, "default", WINDOW)
    assert len(folder.raw_files("usage", "default", WINDOW.next())) == 1
    ((_, copied),) = RawLog(folder, "default", "usage").read(
        WINDOW.next(), RawLog(folder, "default", "usage").names(WINDOW.next())
    )
    assert (copied.reason, copied.complete, copied.rows) == ("stray", False, 1)


def test_row_with_changed_start_leaves_its_old_window(folder: DataFolder) -> None:
    fold(folder, response([call()], 1))
    fold(folder, response([call(start="2023-03-26T01:00:00Z")], 2))
    assert list(rows_of(folder).index) == []
    assert list(rows_of(folder, WINDOW.next()).index) == ["a"]


def test_row_without_a_valid_start_stays_in_the_requested_window(folder: DataFolder) -> None:
    fold(folder, response([call(start="sometime")], 1))
    assert list(rows_of(folder).index) == ["a"]


# --- absence


def absent_since(folder: DataFolder, record_id: str = "a") -> object:
    value = rows_of(folder).loc[record_id, "absent_since"]
    return None if value is pd.NaT else value


def test_row_is_absent_since_the_first_of_the_latest_pulls_without_it(folder: DataFolder) -> None:
    fold(folder, response([call(), call("b")], 1), response([call("b")], 2), response([call("b")], 3))
    assert absent_since(folder) == at(2)
    assert absent_since(folder, "b") is None


def test_absence_ends_when_the_row_returns(folder: DataFolder) -> None:
    fold(folder, response([call()], 1), response([], 2), response([call()], 3))
    assert absent_since(folder) is None
    fold(folder, response([], 4), response([], 5))
    assert absent_since(folder) == at(4)


def test_incomplete_pull_proves_no_absence(folder: DataFolder) -> None:
    half = WINDOW.start + timedelta(days=1)
    fold(
        folder,
        response([call()], 1),
        response([], 2, complete=False),
        response([], 3, reason="split", end=half),
        response([], 4, reason="halves", complete=False),
    )
    assert absent_since(folder) is None


def test_parts_of_one_pull_prove_absence_together(folder: DataFolder) -> None:
    half = WINDOW.start + timedelta(days=1)
    parts = [response([], 2, pull="p", reason="split", end=half), response([], 3, pull="p", reason="split", start=half)]
    result = fold(folder, response([call()], 1), *parts)
    assert absent_since(folder) == at(2)
    assert result.state.complete_at == at(2)


def test_pull_of_other_types_proves_no_absence(folder: DataFolder) -> None:
    fold(folder, response([call()], 1), response([], 2, types="fax,iplumcall"))
    assert absent_since(folder) is None
    fold(folder, response([], 3, types="externalcall"))
    assert absent_since(folder) == at(3)


def test_row_from_callbacks_only_is_never_absent(folder: DataFolder) -> None:
    save(folder, response([call()], 1, reason="callback"), dataset="usage_callbacks")
    fold(folder, response([], 2))
    assert absent_since(folder) is None
    assert rows_of(folder).loc["a", "origin"] == "callback"


def test_row_from_callback_and_pull_has_origin_both(folder: DataFolder) -> None:
    save(folder, response([call(duration=None)], 1, reason="callback"), dataset="usage_callbacks")
    fold(folder, response([call()], 2))
    row = rows_of(folder).loc["a"]
    assert (row["origin"], row["first_seen_at"], row["last_seen_at"]) == ("both", at(1), at(2))


@pytest.mark.parametrize("callback_at", [1, 3])
def test_a_callback_never_replaces_a_pulled_value(folder: DataFolder, callback_at: float) -> None:
    pushed = call(duration="0", iPlumCredits=0, clientReferenceId="pushed")
    save(folder, response([pushed], callback_at, reason="callback"), dataset="usage_callbacks")
    fold(folder, response([call(duration="12", iPlumCredits=12, clientReferenceId=None)], 2))
    row = rows_of(folder).loc["a"]
    assert (row["duration_minutes"], row["credits"], row["origin"]) == (12.0, 12.0, "both")
    assert row["client_reference_id"] == "pushed", "no pull returned a value"


def test_refusal_is_recorded_in_the_state_and_is_not_a_complete_pull(folder: DataFolder) -> None:
    refusal = RawResponse(
        request_start=WINDOW.start,
        request_end=WINDOW.end,
        usage_types=None,
        reason="pull",
        pull_id="p",
        complete=False,
        pulled_at=at(1),
        rows=None,
        body=None,
    )
    state = fold(folder, refusal).state
    assert (state.refused_at, state.complete_at, state.rows) == (at(1), None, 0)


def test_state_has_the_largest_response_for_the_whole_window(folder: DataFolder) -> None:
    half = WINDOW.start + timedelta(days=1)
    parts = response([call(), call("b")], 1), response([call(str(n)) for n in range(9)], 2, reason="halves", end=half)
    assert fold(folder, *parts).state.largest_answer == 2


# --- properties


ids = st.sampled_from("abcd")
versions = st.builds(
    call,
    ids,
    st.sampled_from(["2023-03-24T00:00:00Z", "2023-03-25T12:00:00Z", "odd"]),
    duration=st.sampled_from(["1", "2", None, "x"]),
    iPlumCredits=st.sampled_from([0, 3, None]),
    new=st.sampled_from([1, None]),
)
pulls = st.lists(st.tuples(st.lists(versions, max_size=4), st.booleans()), min_size=1, max_size=5)


def merge_responses(responses: list[RawResponse]) -> pd.DataFrame:
    bodies = {r.body_sha256 or "": normalize_response(r.body or b"[]", USAGE) for r in responses}
    merged = merge(collect_versions(responses, bodies, USAGE, WINDOW), USAGE)
    return merged[[*USAGE.lake_schema.names]]


def add_hash(records: list[dict[str, Any]], hours: int, *, complete: bool) -> RawResponse:
    built = response(records, hours, complete=complete)
    return RawResponse(**{**built.__dict__, "body_sha256": str(hash(built.body))})


@settings(max_examples=60, deadline=None)
@given(pulls, st.randoms(use_true_random=False))
def test_order_of_responses_does_not_matter(
    drawn: list[tuple[list[dict[str, Any]], bool]], randomness: random.Random
) -> None:
    responses = [add_hash(records, hours, complete=complete) for hours, (records, complete) in enumerate(drawn)]
    shuffled = responses[:]
    randomness.shuffle(shuffled)
    pd.testing.assert_frame_equal(merge_responses(responses), merge_responses(shuffled))


@settings(max_examples=60, deadline=None)
@given(pulls)
def test_fold_loses_no_record(drawn: list[tuple[list[dict[str, Any]], bool]]) -> None:
    responses = [add_hash(records, hours, complete=complete) for hours, (records, complete) in enumerate(drawn)]
    rows = merge_responses(responses)
    assert sorted(rows["record_id"]) == sorted({r["recordId"] for records, _ in drawn for r in records})


def test_a_pull_with_an_unreadable_record_shows_no_absence(folder: DataFolder) -> None:
    """The unreadable record may be the one that seems to be absent."""
    fold(folder, response([call("a"), call("c")], 1))
    unreadable = b'[{"recordId":"a"},{"recordId":"c","duration":007}]'
    state = fold(folder, replace(response([call("a"), call("c")], 2), body=unreadable)).state
    assert (state.unreadable, state.absent) == (1, 0)
    assert state.complete_at == at(2)
    assert fold(folder, response([call("a")], 3)).state.absent == 1


# --- concurrent runs


def test_response_that_arrives_during_a_fold_is_in_the_lake_file(folder: DataFolder) -> None:
    """Without the second listing, the lake file would lack this response."""
    save(folder, response([call()], 1))

    class ChangingFolder(type(folder)):  # type: ignore[misc]
        """A folder to which another run adds a response right after the first listing."""

        arrived = False

        def raw_names(self, dataset: str, account: str, window: Any) -> list[str]:
            found: list[str] = super().raw_names(dataset, account, window)
            if dataset == "usage" and not ChangingFolder.arrived:
                ChangingFolder.arrived = True
                save(folder, response([call("late")], 2))
            return found

    fold_window(ChangingFolder(folder.root, folder.state), USAGE, "default", WINDOW)
    assert sorted(rows_of(folder).index) == ["a", "late"]
    assert is_up_to_date(folder, USAGE, "default", WINDOW)
