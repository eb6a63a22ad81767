"""The marts computed in plain Python from their definitions, to compare with the SQL."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime, time, timedelta
from itertools import pairwise, product
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

from tests.support.mart_database import Row

#: Where each account is, and when its office is open: the last weekday, and the two times of day.
ZONES = {"default": ZoneInfo("America/New_York"), "second": ZoneInfo("Australia/Sydney")}
HOURS = {"default": (5, time(9), time(17)), "second": (6, time(8, 30), time(18))}
LOOKBACK = {"default": 7, "second": 3}
CHANNELS = {"call": "calls", "text": "texts", "fax": "faxes"}
_EARLY = datetime(1, 1, 1, tzinfo=ZoneInfo("UTC"))

Key = tuple[Any, ...]


def local(account: str, at: datetime | None) -> datetime | None:
    return None if at is None else at.astimezone(ZONES[account])


def local_day(account: str, at: datetime | None) -> date | None:
    moment = local(account, at)
    return None if moment is None else moment.date()


def total(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def minutes(rows: Iterable[Row]) -> float | None:
    return total(row["duration_minutes"] for row in rows if row["channel"] == "call")


def spent(rows: Iterable[Row]) -> float | None:
    return total(row["credits"] for row in rows)


def group(rows: Iterable[Row], key: Callable[[Row], Key]) -> dict[Key, list[Row]]:
    groups: dict[Key, list[Row]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return groups


def distinct(rows: Iterable[Row], name: str) -> int:
    return len({row[name] for row in rows} - {None})


def in_order(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row["started_at"], row["record_id"]))


def days(first: date, last: date) -> Iterator[date]:
    yield from (first + timedelta(days=step) for step in range((last - first).days + 1))


def quantile(values: list[float], share: float) -> float | None:
    if not values:
        return None
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def by_channel(rows: list[Row]) -> dict[str, int]:
    return {
        f"{name}_{way}": sum(row["channel"] == channel and row["direction"] == way for row in rows)
        for channel, name in CHANNELS.items()
        for way in ("in", "out")
    }


class ExpectedMarts:
    """All marts of some rows; `as_of` is the latest pull of each account."""

    def __init__(self, usage: list[Row], recordings: list[Row], pulls: list[Row]) -> None:
        self.usage = usage
        self.recordings = recordings
        self.pulls = pulls
        self.as_of = {account: max(row["pulled_at"] for row in pulls if row["account"] == account) for account in ZONES}

    def daily_activity(self) -> Iterator[Row]:
        names = ("account", "local_date", "user_id", "channel", "direction")
        groups = group(
            self.usage,
            lambda r: (
                r["account"],
                local_day(r["account"], r["started_at"]),
                r["user_id"],
                r["channel"],
                r["direction"],
            ),
        )
        for key, rows in groups.items():
            yield dict(zip(names, key, strict=True)) | {
                "records": len(rows),
                "minutes": minutes(rows),
                "credits": spent(rows),
                "counterparties": distinct(rows, "counterparty"),
            }

    def daily_totals(self) -> Iterator[Row]:
        mirrors = self._find_mirrors()
        groups = group(self.usage, lambda r: (r["account"], local_day(r["account"], r["started_at"]), r["channel"]))
        for account in {row["account"] for row in self.usage}:
            known = [key[1] for key in groups if key[0] == account and key[1] is not None]
            channels = {row["channel"] for row in self.usage if row["account"] == account}
            calendar: list[date | None] = [*days(min(known), max(known))]
            undated = [(None, key[2]) for key in groups if key[:2] == (account, None)]
            for day, channel in [*product(calendar, channels), *undated]:
                rows = groups.get((account, day, channel), [])
                kept = [row for row in rows if (row["account"], row["record_id"]) not in mirrors]
                both = minutes(rows)
                left_out = minutes(row for row in rows if row not in kept) or 0 if len(kept) < len(rows) else 0
                yield {
                    "account": account,
                    "local_date": day,
                    "channel": channel,
                    "records": len(kept),
                    "minutes": (0.0 if channel == "call" and not rows else None) if both is None else both - left_out,
                    "credits": spent(rows) if rows else 0.0,
                    "users": distinct(rows, "user_id"),
                    "counterparties": distinct(rows, "counterparty"),
                    "mirrored_pairs": len(rows) - len(kept),
                }

    def _find_mirrors(self) -> set[Key]:
        """Go through both sides' rows of the same two parties by time; each waits for 5 s for its other side."""
        dated = [row for row in self.usage if row["started_at"] is not None]
        own = {(r["account"], r["to_party"] if r["direction"] == "in" else r["from_party"]) for r in self.usage}
        inside = [row for row in dated if (row["account"], row["counterparty"]) in own]
        mirrors = set()
        chats = group(inside, lambda r: (r["account"], r["channel"], r["from_party"], r["to_party"]))
        for rows in chats.values():
            waiting: list[Row] = []
            for row in in_order(rows):
                waiting = [w for w in waiting if row["started_at"] - w["started_at"] <= timedelta(seconds=5)]
                others = [w for w in waiting if w["direction"] != row["direction"] and w["user_id"] != row["user_id"]]
                if others:
                    waiting.remove(others[0])
                    received = row if row["direction"] == "in" else others[0]
                    mirrors.add((received["account"], received["record_id"]))
                else:
                    waiting.append(row)
        return mirrors

    def hourly_heatmap(self) -> Iterator[Row]:
        for (account, channel), rows in group(self.usage, lambda r: (r["account"], r["channel"])).items():
            cells: dict[Key, int] = {(weekday, hour): 0 for weekday in range(1, 8) for hour in range(24)}
            for row in rows:
                at = local(account, row["started_at"])
                cell = (None, None) if at is None else (at.isoweekday(), at.hour)
                cells[cell] = cells.get(cell, 0) + 1
            for (weekday, hour), records in cells.items():
                yield {
                    "account": account,
                    "weekday": weekday,
                    "local_hour": hour,
                    "channel": channel,
                    "records": records,
                    "share": records / len(rows),
                }

    def user_summary(self) -> Iterator[Row]:
        firsts: dict[Key, Row] = {}
        for row in in_order(r for r in self.usage if r["started_at"] and r["counterparty"]):
            firsts.setdefault((row["account"], row["counterparty"]), row)
        introduced = group(firsts.values(), lambda r: (r["account"], r["user_id"]))
        for key, rows in group(self.usage, lambda r: (r["account"], r["user_id"])).items():
            starts = [row["started_at"] for row in rows if row["started_at"]]
            after = [at for at in starts if not _is_open(key[0], at)]
            yield (
                dict(zip(("account", "user_id"), key, strict=True))
                | by_channel(rows)
                | {
                    "records": len(rows),
                    "minutes": minutes(rows),
                    "credits": spent(rows),
                    "counterparties": distinct(rows, "counterparty"),
                    "new_counterparties": len(introduced.get(key, [])),
                    "first_at": min(starts, default=None),
                    "last_at": max(starts, default=None),
                    "after_hours_share": len(after) / len(starts) if starts else None,
                }
            )

    def contacts(self) -> Iterator[Row]:
        began: dict[str, datetime] = {}
        for row in self.usage:
            if row["started_at"]:
                began[row["account"]] = min(began.get(row["account"], row["started_at"]), row["started_at"])
        month = timedelta(days=30)
        for (account, party), rows in group(self.usage, lambda r: (r["account"], r["counterparty"])).items():
            starts = [row["started_at"] for row in rows if row["started_at"]]
            first, last = min(starts, default=None), max(starts, default=None)
            today = local_day(account, self.as_of[account])
            last_day = local_day(account, last)
            known = first is not None and first >= began[account] + month
            yield by_channel(rows) | {
                "account": account,
                "counterparty": party,
                "kind": min(row["counterparty_kind"] for row in rows),
                "first_seen": first,
                "last_seen": last,
                "records": len(rows),
                "minutes": minutes(rows),
                "credits": spent(rows),
                "users": distinct(rows, "user_id"),
                "days_since": (today - last_day).days if today and last_day else None,
                "is_new": first >= self.as_of[account] - month if known and first else None,
            }

    def _chats(self, rows: Iterable[Row]) -> dict[Key, list[Row]]:
        dated = [row for row in rows if row["started_at"] and row["counterparty"]]
        groups = group(dated, lambda r: (r["account"], r["user_id"], r["counterparty"]))
        return {key: in_order(members) for key, members in groups.items()}

    def conversations(self) -> Iterator[Row]:
        for (account, user, party), rows in self._chats(self.usage).items():
            threads: list[list[Row]] = []
            reached = _EARLY
            for row in sorted(rows, key=lambda r: (r["started_at"], r["direction"])):
                if row["started_at"] - reached > timedelta(hours=24):
                    threads.append([])
                threads[-1].append(row)
                reached = max(reached, row["started_at"], row["ended_at"] or _EARLY)
            for number, thread in enumerate(threads, 1):
                yield {
                    "account": account,
                    "user_id": user,
                    "counterparty": party,
                    "thread": number,
                    "started_at": thread[0]["started_at"],
                    "ended_at": max(max(row["started_at"], row["ended_at"] or _EARLY) for row in thread),
                    "records": len(thread),
                    **{name: sum(r["channel"] == channel for r in thread) for channel, name in CHANNELS.items()},
                    "opened_by": thread[0]["direction"],
                    "closed_by": thread[-1]["direction"],
                }

    def text_responses(self) -> Iterator[Row]:
        for (account, user, party), rows in self._chats(r for r in self.usage if r["channel"] == "text").items():
            block: list[Row] = []
            number = 0
            for row in [*rows, None]:
                if row is not None and row["direction"] == "in":
                    block.append(row)
                    continue
                if block:
                    number += 1
                    start, reply = block[0]["started_at"], None if row is None else row["started_at"]
                    yield {
                        "account": account,
                        "user_id": user,
                        "counterparty": party,
                        "block": number,
                        "block_start": start,
                        "last_text_at": block[-1]["started_at"],
                        "texts": len(block),
                        "replied_at": reply,
                        "wait_seconds": None if reply is None else (reply - start).total_seconds(),
                        "business_wait_seconds": None if reply is None else _count_business(account, start, reply),
                        "is_open": reply is None,
                        "first_record_id": block[0]["record_id"],
                        "reply_record_id": None if row is None else row["record_id"],
                    }
                block = []

    def response_times(self) -> Iterator[Row]:
        def week(row: Row) -> date:
            day = row["block_start"].astimezone(ZONES[row["account"]]).date()
            monday: date = day - timedelta(days=day.weekday())
            return monday

        for key, blocks in group(self.text_responses(), lambda r: (r["account"], r["user_id"], week(r))).items():
            waits = [block["wait_seconds"] for block in blocks if not block["is_open"]]
            yield dict(zip(("account", "user_id", "local_week"), key, strict=True)) | {
                "blocks": len(blocks),
                "replied": len(waits),
                "p50_seconds": quantile(waits, 0.5),
                "p90_seconds": quantile(waits, 0.9),
                "within_15_min": sum(wait <= 15 * 60 for wait in waits) / len(blocks),
                "within_1_h": sum(wait <= 60 * 60 for wait in waits) / len(blocks),
            }

    def unanswered_texts(self) -> Iterator[Row]:
        for block in self.text_responses():
            if block["is_open"]:
                names = ("account", "user_id", "counterparty", "block_start", "texts", "last_text_at")
                start, as_of = block["block_start"], self.as_of[block["account"]]
                yield {name: block[name] for name in names} | {
                    "waiting_seconds": (as_of - start).total_seconds(),
                    "waiting_business_seconds": _count_business(block["account"], start, as_of),
                }

    def client_daily(self) -> Iterator[Row]:
        names = ("account", "client_reference_id", "local_date", "channel")
        for key, rows in group(
            self.usage,
            lambda r: (r["account"], r["client_reference_id"], local_day(r["account"], r["started_at"]), r["channel"]),
        ).items():
            yield dict(zip(names, key, strict=True)) | {
                "records": len(rows),
                "minutes": minutes(rows),
                "credits": spent(rows),
            }

    def credits_daily(self) -> Iterator[Row]:
        spans: dict[str, list[date]] = defaultdict(list)
        for row in self.usage:
            day = local_day(row["account"], row["started_at"])
            if day is not None:
                spans[row["account"]].append(day)
        for (account, channel, kind), rows in group(
            self.usage, lambda r: (r["account"], r["channel"], r["type"])
        ).items():
            of_day = group(rows, lambda r: (local_day(r["account"], r["started_at"]),))
            calendar = list(days(min(spans[account]), max(spans[account])))
            daily = [spent(of_day[day,]) if (day,) in of_day else 0.0 for day in calendar]
            undated: list[date | None] = [None] if (None,) in of_day else []
            for place, day in enumerate([*calendar, *undated]):
                paid = spent(of_day[day,]) if (day,) in of_day else 0.0
                before = [one for one in daily[max(place - 28, 0) : place] if one is not None]
                enough = day is not None and place >= 28 and before
                middle = median(before) if enough else 0
                spread = 1.4826 * median(abs(one - middle) for one in before) if enough else 0
                yield {
                    "account": account,
                    "local_date": day,
                    "channel": channel,
                    "type": kind,
                    "records": len(of_day.get((day,), [])),
                    "credits": paid,
                    "mean_28d": sum(before) / len(before) if enough else None,
                    "robust_z": (paid - middle) / spread if spread and paid is not None else None,
                }

    def _find_candidates(self) -> Iterator[tuple[Row, Row, float]]:
        def side(row: Row, party: str) -> Key:
            return (row["account"], row["user_id"], row["direction"], row[party])

        calls = group(
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
        near: dict[Key, list[tuple[float, str, float]]] = defaultdict(list)
        near_call: dict[Key, list[tuple[float, str]]] = defaultdict(list)
        for recording, call, delta in self._find_candidates():
            near[recording["account"], recording["record_id"]].append((abs(delta), call["record_id"], delta))
            near_call[call["account"], call["record_id"]].append((abs(delta), recording["record_id"]))
        best = {key: min(found) for key, found in near.items()}
        best_of_call = {key: min(found) for key, found in near_call.items()}
        for recording in self.recordings:
            account, name = recording["account"], recording["record_id"]
            call_id: str | None = None
            apart: float | None = None
            status = "unmatched"
            if (account, name) in best:
                distance, nearest, delta = best[account, name]
                rival = best_of_call[account, nearest][1]
                if rival == name:
                    others = sorted(near[account, name])[1:]
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
        calls = group(
            (r for r in self.usage if r["channel"] == "call"),
            lambda r: (r["account"], r["user_id"], local_day(r["account"], r["started_at"])),
        )
        made = group(matches, lambda r: (r["account"], r["user_id"], local_day(r["account"], r["recorded_at"])))
        for key in calls.keys() | made.keys():
            yield dict(zip(("account", "user_id", "local_date"), key, strict=True)) | {
                "calls": len(calls.get(key, [])),
                "recorded_calls": sum((r["account"], r["record_id"]) in recorded for r in calls.get(key, [])),
                "recordings": len(made.get(key, [])),
                "unmatched_recordings": sum(match["status"] == "unmatched" for match in made.get(key, [])),
            }

    def arrival_lag(self) -> Iterator[Row]:
        first: dict[Key, datetime] = {}
        until: dict[Key, datetime] = {}
        answered: dict[Key, set[datetime]] = defaultdict(set)
        for pull in self.pulls:
            key = (pull["account"], pull["dataset"], pull["window_start"])
            first[key] = min(first.get(key, pull["pulled_at"]), pull["pulled_at"])
            answered[key].add(pull["pulled_at"])
            until[key] = pull["request_end"] + timedelta(days=LOOKBACK[pull["account"]])
        since = {key[:2]: min(at for other, at in first.items() if other[:2] == key[:2]) for key in first}
        lags: dict[Key, list[float]] = defaultdict(list)
        for dataset, row in [*(("usage", r) for r in self.usage), *(("recordings", r) for r in self.recordings)]:
            ended = (row["ended_at"] or row["started_at"]) if dataset == "usage" else row["recorded_at"]
            key = (row["account"], dataset, row["window_start"])
            if row["origin"] == "callback" or ended is None or key not in first:
                continue
            if row["origin"] == "both" and row["first_seen_at"] not in answered[key]:
                continue
            watched = ended >= since[key[:2]] or row["first_seen_at"] > first[key]
            if row["first_seen_at"] <= until[key] and watched:
                channel = row.get("channel")
                lags[row["account"], dataset, channel].append((row["first_seen_at"] - ended).total_seconds())
        for key, values in lags.items():
            yield dict(zip(("account", "dataset", "channel"), key, strict=True)) | {
                "records": len(values),
                "p50_seconds": quantile(values, 0.5),
                "p90_seconds": quantile(values, 0.9),
                "p99_seconds": quantile(values, 0.99),
                "max_seconds": max(values),
            }

    def completeness(self) -> Iterator[Row]:
        pulls = group(self.pulls, lambda r: (r["account"], r["dataset"], r["window_start"]))
        held = group(
            [*({**r, "of": "usage"} for r in self.usage), *({**r, "of": "recordings"} for r in self.recordings)],
            lambda r: (r["account"], r["of"], r["window_start"]),
        )
        for key in pulls.keys() | held.keys():
            rows, asked = held.get(key, []), pulls.get(key, [])
            yield dict(zip(("account", "dataset", "window_start"), key, strict=True)) | {
                "last_pulled_at": max((pull["pulled_at"] for pull in asked), default=None),
                "pulls": len(asked),
                "rows": len(rows),
                "callback_only": sum(row["origin"] == "callback" for row in rows),
                "absent": sum(row.get("absent_since") is not None for row in rows),
                "verified_by": "pull" if asked else None,
                "audited_at": None,
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
                counts[account, dataset, local_day(account, at)][origin] += 1
        for key, count in counts.items():
            had = count["both"] + count["pull"]
            yield dict(zip(("account", "dataset", "local_date"), key, strict=True)) | {
                "pushed_and_pulled": count["both"],
                "pushed_only": count["callback"],
                "pulled_only": count["pull"],
                "loss_rate": count["pull"] / had if had else None,
            }


def _is_open(account: str, at: datetime) -> bool:
    last, opens, closes = HOURS[account]
    moment = at.astimezone(ZONES[account])
    return moment.isoweekday() <= last and opens <= moment.time() < closes


def _opening_hours(account: str) -> list[tuple[datetime, datetime]]:
    last, *times = HOURS[account]
    utc = ZoneInfo("UTC")
    return [
        tuple(datetime.combine(day, at, ZONES[account]).astimezone(utc) for at in times)  # type: ignore[misc]
        for day in days(date(2025, 10, 1), date(2026, 6, 1))
        if day.isoweekday() <= last
    ]


_OPEN = {account: _opening_hours(account) for account in ZONES}
_OPENS = {account: [opens for opens, _ in hours] for account, hours in _OPEN.items()}
assert all(one[1] <= other[0] for hours in _OPEN.values() for one, other in pairwise(hours))


def _count_business(account: str, start: datetime, end: datetime) -> float:
    """Add up the overlap with each opening, from the last that began before the start."""
    seconds = 0.0
    for opens, closes in _OPEN[account][max(bisect_right(_OPENS[account], start) - 1, 0) :]:
        if opens >= end:
            break
        seconds += max((min(closes, end) - max(opens, start)).total_seconds(), 0)
    return seconds
