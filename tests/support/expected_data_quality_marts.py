"""Data-quality marts computed in plain Python: recordings, arrival lag, completeness and callback loss."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import date, datetime, timedelta

from tests.support.mart_calculations import LOOKBACK, ZONES, Key, compute_quantile, group_by, to_local_date
from tests.support.mart_database import NOBODY, Row
from warehouse.people.directory import Directory, PartyName, list_party_names

NO_OWNER = PartyName(party="", valid_from=date.min, valid_until=date.max, name="", team=None, reference=None)


class ExpectedDataQualityMarts:
    """The rows of each data-quality mart, by a method with its name. `as_of` is the latest pull of each account."""

    def __init__(self, usage: list[Row], recordings: list[Row], pulls: list[Row], people: Directory = NOBODY) -> None:
        self.usage = usage
        self.recordings = recordings
        self.pulls = pulls
        self.as_of = {account: max(row["pulled_at"] for row in pulls if row["account"] == account) for account in ZONES}

        self.names: dict[str, list[PartyName]] = defaultdict(list)
        for name in list_party_names(people):
            self.names[name.party].append(name)

    def find_owner(self, party: str | None, day: date | None) -> PartyName:
        """Return the name of a party on a local day, or one without name, team and reference."""
        names = self.names.get(party or "", [])
        return next((name for name in names if day and name.valid_from <= day <= name.valid_until), NO_OWNER)

    def describe_user(self, row: Row) -> Row:
        """Return name and team of a record's user."""
        owner = self.find_owner(row["user_id"], to_local_date(row["account"], row["started_at"]))
        return {"user_name": owner.name or None, "team": owner.team}

    def describe_parties(self, row: Row) -> Row:
        """Return the names of a record's user and counterparty, and the team."""
        owner = self.find_owner(row["counterparty"], to_local_date(row["account"], row["started_at"]))
        return {**self.describe_user(row), "counterparty_name": owner.name or None}

    def _find_candidates(self) -> Iterator[tuple[Row, Row, float]]:
        def side(row: Row, party: str) -> Key:
            return (row["account"], row["user_id"], row["direction"], row[party])

        calls = group_by(
            (r for r in self.usage if r["channel"] == "call" and r["started_at"]), lambda r: side(r, "counterparty")
        )
        for recording in self.recordings:
            if None in (recording["recorded_at"], recording["user_id"], recording["phone_number"]):
                continue
            for call in calls.get(side(recording, "phone_number"), []):
                delta = (recording["recorded_at"] - call["started_at"]).total_seconds()
                elapsed = ((call["ended_at"] or call["started_at"]) - call["started_at"]).total_seconds()
                if -120 <= delta <= max(elapsed, 60 * (call["duration_minutes"] or 0)) + 900:
                    yield recording, call, delta

    def recording_matches(self) -> Iterator[Row]:
        by_recording: dict[Key, list[tuple[float, str, float]]] = defaultdict(list)
        by_call: dict[Key, list[tuple[float, str]]] = defaultdict(list)
        for recording, call, delta in self._find_candidates():
            by_recording[recording["account"], recording["record_id"]].append((abs(delta), call["record_id"], delta))
            by_call[call["account"], call["record_id"]].append((abs(delta), recording["record_id"]))
        best = {key: min(found) for key, found in by_recording.items()}
        best_of_call = {key: min(found) for key, found in by_call.items()}
        for recording in self.recordings:
            account, name = recording["account"], recording["record_id"]
            call_id: str | None = None
            apart: float | None = None
            status = "unmatched"
            if (account, name) in best:
                distance, nearest, delta = best[account, name]
                rival = best_of_call[account, nearest][1]
                if rival == name:
                    others = sorted(by_recording[account, name])[1:]
                    status = "ambiguous" if others and others[0][0] - distance <= 60 else "mutual_nearest"
                elif best[account, rival][1] == nearest:
                    status = "extra_segment"
                if status != "unmatched":
                    call_id, apart = nearest, delta
            yield {
                "account": account,
                "recording_id": name,
                "call_id": call_id,
                "user_id": recording["user_id"],
                "direction": recording["direction"],
                "recorded_at": recording["recorded_at"],
                "delta_seconds": apart,
                "status": status,
            }

    def recording_coverage(self) -> Iterator[Row]:
        matches = list(self.recording_matches())
        recorded = {(match["account"], match["call_id"]) for match in matches}
        calls = group_by(
            (r for r in self.usage if r["channel"] == "call"),
            lambda r: (r["account"], r["user_id"], to_local_date(r["account"], r["started_at"])),
        )
        matches_by_day = group_by(
            matches, lambda r: (r["account"], r["user_id"], to_local_date(r["account"], r["recorded_at"]))
        )
        for key in calls.keys() | matches_by_day.keys():
            yield dict(zip(("account", "user_id", "local_date"), key, strict=True)) | {
                "calls": len(calls.get(key, [])),
                "recorded_calls": sum((r["account"], r["record_id"]) in recorded for r in calls.get(key, [])),
                "recordings": len(matches_by_day.get(key, [])),
                "unmatched_recordings": sum(match["status"] == "unmatched" for match in matches_by_day.get(key, [])),
                "user_name": self.find_owner(*key[1:]).name or None,
                "team": self.find_owner(*key[1:]).team,
            }

    def arrival_lag(self) -> Iterator[Row]:
        first: dict[Key, datetime] = {}
        lookback_end: dict[Key, datetime] = {}
        pulled_times: dict[Key, set[datetime]] = defaultdict(set)
        for pull in self.pulls:
            key = (pull["account"], pull["dataset"], pull["window_start"])
            first[key] = min(first.get(key, pull["pulled_at"]), pull["pulled_at"])
            pulled_times[key].add(pull["pulled_at"])
            lookback_end[key] = pull["request_end"] + timedelta(days=LOOKBACK[pull["account"]])
        since = {key[:2]: min(at for other, at in first.items() if other[:2] == key[:2]) for key in first}
        lags: dict[Key, list[float]] = defaultdict(list)
        for dataset, row in [*(("usage", r) for r in self.usage), *(("recordings", r) for r in self.recordings)]:
            ended = (row["ended_at"] or row["started_at"]) if dataset == "usage" else row["recorded_at"]
            key = (row["account"], dataset, row["window_start"])
            if row["origin"] == "callback" or ended is None or key not in first:
                continue
            if row["origin"] == "both" and row["first_seen_at"] not in pulled_times[key]:
                continue
            is_observed = ended >= since[key[:2]] or row["first_seen_at"] > first[key]
            if row["first_seen_at"] <= lookback_end[key] and is_observed:
                channel = row.get("channel")
                lags[row["account"], dataset, channel].append((row["first_seen_at"] - ended).total_seconds())
        for key, values in lags.items():
            yield dict(zip(("account", "dataset", "channel"), key, strict=True)) | {
                "records": len(values),
                "p50_seconds": compute_quantile(values, 0.5),
                "p90_seconds": compute_quantile(values, 0.9),
                "p99_seconds": compute_quantile(values, 0.99),
                "max_seconds": max(values),
            }

    def completeness(self) -> Iterator[Row]:
        pulls = group_by(self.pulls, lambda r: (r["account"], r["dataset"], r["window_start"]))
        records = group_by(
            [*({**r, "of": "usage"} for r in self.usage), *({**r, "of": "recordings"} for r in self.recordings)],
            lambda r: (r["account"], r["of"], r["window_start"]),
        )
        for key in pulls.keys() | records.keys():
            rows, window_pulls = records.get(key, []), pulls.get(key, [])
            yield dict(zip(("account", "dataset", "window_start"), key, strict=True)) | {
                "last_pulled_at": max((pull["pulled_at"] for pull in window_pulls), default=None),
                "pulls": len(window_pulls),
                "rows": len(rows),
                "callback_only": sum(row["origin"] == "callback" for row in rows),
                "absent": sum(row.get("absent_since") is not None for row in rows),
                "verified_by": "pull" if window_pulls else None,
                "audited_at": None,
                "pulled_types": None,
                "missing_types": None,
            }

    def callback_loss(self) -> Iterator[Row]:
        records = [(r["account"], "usage", r["started_at"], r["origin"]) for r in self.usage if r["started_at"]]
        records += [
            (r["account"], "recordings", r["recorded_at"], r["origin"]) for r in self.recordings if r["recorded_at"]
        ]
        since: dict[Key, datetime] = {}
        for account, dataset, at, origin in records:
            if origin != "pull":
                since[account, dataset] = min(since.get((account, dataset), at), at)
        counts: dict[Key, dict[str, int]] = defaultdict(lambda: {"both": 0, "callback": 0, "pull": 0})
        for account, dataset, at, origin in records:
            if (account, dataset) in since and at >= since[account, dataset]:
                counts[account, dataset, to_local_date(account, at)][origin] += 1
        for key, count in counts.items():
            pulled = count["both"] + count["pull"]
            yield dict(zip(("account", "dataset", "local_date"), key, strict=True)) | {
                "pushed_and_pulled": count["both"],
                "pushed_only": count["callback"],
                "pulled_only": count["pull"],
                "loss_rate": count["pull"] / pulled if pulled else None,
            }
