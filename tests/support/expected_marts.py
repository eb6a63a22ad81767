"""All marts computed in plain Python from their definitions, to compare with the SQL."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from itertools import product
from statistics import median

from tests.support.expected_data_quality_marts import ExpectedDataQualityMarts
from tests.support.mart_calculations import (
    CHANNELS,
    DISTANT_PAST,
    ZONES,
    Key,
    compute_business_seconds,
    compute_quantile,
    count_by_channel,
    count_distinct,
    find_latest,
    group_by,
    is_open,
    list_days,
    sort_by_start,
    sum_credits,
    sum_minutes,
    to_local,
    to_local_date,
)
from tests.support.mart_database import Row

NAMES = ("user_name", "counterparty_name", "team")


class ExpectedMarts(ExpectedDataQualityMarts):
    """The rows of each mart, by a method with its name. `as_of` is the latest pull of each account."""

    def daily_activity(self) -> Iterator[Row]:
        names = ("account", "local_date", "user_id", "channel", "direction")
        groups = group_by(
            self.usage,
            lambda r: (
                r["account"],
                to_local_date(r["account"], r["started_at"]),
                r["user_id"],
                r["channel"],
                r["direction"],
            ),
        )
        for key, rows in groups.items():
            yield dict(zip(names, key, strict=True)) | {
                "records": len(rows),
                "minutes": sum_minutes(rows),
                "credits": sum_credits(rows),
                "counterparties": count_distinct(rows, "counterparty"),
                **self.describe_user(rows[0]),
            }

    def team_daily(self) -> Iterator[Row]:
        names = ("account", "team", "local_date", "channel", "direction")
        groups = group_by(
            self.usage,
            lambda r: (
                r["account"],
                self.describe_user(r)["team"],
                to_local_date(r["account"], r["started_at"]),
                r["channel"],
                r["direction"],
            ),
        )
        for key, rows in groups.items():
            yield dict(zip(names, key, strict=True)) | {
                "records": len(rows),
                "minutes": sum_minutes(rows),
                "credits": sum_credits(rows),
                "users": count_distinct(rows, "user_id"),
                "counterparties": count_distinct(rows, "counterparty"),
            }

    def reference_time(self) -> Iterator[Row]:
        groups = group_by(
            self.usage,
            lambda r: (
                r["account"],
                self.find_owner(r["counterparty"], to_local_date(r["account"], r["started_at"])).reference,
                to_local_date(r["account"], r["started_at"]),
                r["user_id"],
            ),
        )
        for (account, reference, day, user), rows in groups.items():
            if reference is not None:
                yield {
                    "account": account,
                    "reference": reference,
                    "local_date": day,
                    "user_id": user,
                    "minutes": sum_minutes(rows),
                    **{name: sum(r["channel"] == channel for r in rows) for channel, name in CHANNELS.items()},
                    "user_name": self.describe_user(rows[0])["user_name"],
                }

    def daily_totals(self) -> Iterator[Row]:
        mirrors = self._find_mirrors()
        groups = group_by(
            self.usage, lambda r: (r["account"], to_local_date(r["account"], r["started_at"]), r["channel"])
        )
        for account in {row["account"] for row in self.usage}:
            known = [key[1] for key in groups if key[0] == account and key[1] is not None]
            channels = {row["channel"] for row in self.usage if row["account"] == account}
            calendar: list[date | None] = [*list_days(min(known), max(known))]
            undated = [(None, key[2]) for key in groups if key[:2] == (account, None)]
            for day, channel in [*product(calendar, channels), *undated]:
                rows = groups.get((account, day, channel), [])
                counted = [row for row in rows if (row["account"], row["record_id"]) not in mirrors]
                all_minutes = sum_minutes(rows)
                mirrored_minutes = (
                    sum_minutes(row for row in rows if row not in counted) or 0 if len(counted) < len(rows) else 0
                )
                yield {
                    "account": account,
                    "local_date": day,
                    "channel": channel,
                    "records": len(counted),
                    "minutes": (0.0 if channel == "call" and not rows else None)
                    if all_minutes is None
                    else all_minutes - mirrored_minutes,
                    "credits": sum_credits(rows) if rows else 0.0,
                    "users": count_distinct(rows, "user_id"),
                    "counterparties": count_distinct(rows, "counterparty"),
                    "mirrored_pairs": len(rows) - len(counted),
                }

    def _find_mirrors(self) -> set[Key]:
        """Return the keys of inbound records that mirror an outbound one of the same parties, at most 5 s apart."""
        dated = [row for row in self.usage if row["started_at"] is not None]
        own_parties = {(r["account"], r["to_party"] if r["direction"] == "in" else r["from_party"]) for r in self.usage}
        internal = [row for row in dated if (row["account"], row["counterparty"]) in own_parties]
        mirrors = set()
        chats = group_by(internal, lambda r: (r["account"], r["channel"], r["from_party"], r["to_party"]))
        for rows in chats.values():
            waiting: list[Row] = []
            for row in sort_by_start(rows):
                waiting = [r for r in waiting if row["started_at"] - r["started_at"] <= timedelta(seconds=5)]
                others = [r for r in waiting if r["direction"] != row["direction"] and r["user_id"] != row["user_id"]]
                if others:
                    waiting.remove(others[0])
                    received = row if row["direction"] == "in" else others[0]
                    mirrors.add((received["account"], received["record_id"]))
                else:
                    waiting.append(row)
        return mirrors

    def hourly_heatmap(self) -> Iterator[Row]:
        for (account, channel), rows in group_by(self.usage, lambda r: (r["account"], r["channel"])).items():
            cells: dict[Key, int] = {(weekday, hour): 0 for weekday in range(1, 8) for hour in range(24)}
            for row in rows:
                at = to_local(account, row["started_at"])
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
        for row in sort_by_start(r for r in self.usage if r["started_at"] and r["counterparty"]):
            firsts.setdefault((row["account"], row["counterparty"]), row)
        first_contacts = group_by(firsts.values(), lambda r: (r["account"], r["user_id"]))
        for key, rows in group_by(self.usage, lambda r: (r["account"], r["user_id"])).items():
            starts = [row["started_at"] for row in rows if row["started_at"]]
            after_hours = [at for at in starts if not is_open(key[0], at)]
            yield (
                dict(zip(("account", "user_id"), key, strict=True))
                | count_by_channel(rows)
                | {
                    "records": len(rows),
                    "minutes": sum_minutes(rows),
                    "credits": sum_credits(rows),
                    "counterparties": count_distinct(rows, "counterparty"),
                    "new_counterparties": len(first_contacts.get(key, [])),
                    "first_at": min(starts, default=None),
                    "last_at": max(starts, default=None),
                    "after_hours_share": len(after_hours) / len(starts) if starts else None,
                    **self.describe_user(find_latest(rows)),
                }
            )

    def contacts(self) -> Iterator[Row]:
        history_starts: dict[str, datetime] = {}
        for row in self.usage:
            if row["started_at"]:
                history_starts[row["account"]] = min(
                    history_starts.get(row["account"], row["started_at"]), row["started_at"]
                )
        month = timedelta(days=30)
        for (account, party), rows in group_by(self.usage, lambda r: (r["account"], r["counterparty"])).items():
            starts = [row["started_at"] for row in rows if row["started_at"]]
            first, last = min(starts, default=None), max(starts, default=None)
            today = to_local_date(account, self.as_of[account])
            last_day = to_local_date(account, last)
            known = first is not None and first >= history_starts[account] + month
            yield count_by_channel(rows) | {
                "account": account,
                "counterparty": party,
                "kind": min(row["counterparty_kind"] for row in rows),
                "first_seen": first,
                "last_seen": last,
                "records": len(rows),
                "minutes": sum_minutes(rows),
                "credits": sum_credits(rows),
                "users": count_distinct(rows, "user_id"),
                "days_since": (today - last_day).days if today and last_day else None,
                "is_new": first >= self.as_of[account] - month if known and first else None,
                **self.describe_parties(find_latest(rows)),
            }

    def _group_chats(self, rows: Iterable[Row]) -> dict[Key, list[Row]]:
        dated = [row for row in rows if row["started_at"] and row["counterparty"]]
        groups = group_by(dated, lambda r: (r["account"], r["user_id"], r["counterparty"]))
        return {key: sort_by_start(members) for key, members in groups.items()}

    def conversations(self) -> Iterator[Row]:
        for (account, user, party), rows in self._group_chats(self.usage).items():
            threads: list[list[Row]] = []
            latest_end = DISTANT_PAST
            for row in sorted(rows, key=lambda r: (r["started_at"], r["direction"])):
                if row["started_at"] - latest_end > timedelta(hours=24):
                    threads.append([])
                threads[-1].append(row)
                latest_end = max(latest_end, row["started_at"], row["ended_at"] or DISTANT_PAST)
            for number, thread in enumerate(threads, 1):
                yield {
                    "account": account,
                    "user_id": user,
                    "counterparty": party,
                    "thread": number,
                    "started_at": thread[0]["started_at"],
                    "ended_at": max(max(row["started_at"], row["ended_at"] or DISTANT_PAST) for row in thread),
                    "records": len(thread),
                    **{name: sum(r["channel"] == channel for r in thread) for channel, name in CHANNELS.items()},
                    "opened_by": thread[0]["direction"],
                    "closed_by": thread[-1]["direction"],
                    **self.describe_parties(thread[-1]),
                }

    def text_responses(self) -> Iterator[Row]:
        for (account, user, party), rows in self._group_chats(r for r in self.usage if r["channel"] == "text").items():
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
                        "business_wait_seconds": None
                        if reply is None
                        else compute_business_seconds(account, start, reply),
                        "is_open": reply is None,
                        "first_record_id": block[0]["record_id"],
                        "reply_record_id": None if row is None else row["record_id"],
                        **self.describe_parties(block[0]),
                    }
                block = []

    def response_times(self) -> Iterator[Row]:
        def week(row: Row) -> date:
            day = row["block_start"].astimezone(ZONES[row["account"]]).date()
            monday: date = day - timedelta(days=day.weekday())
            return monday

        for key, blocks in group_by(self.text_responses(), lambda r: (r["account"], r["user_id"], week(r))).items():
            waits = [block["wait_seconds"] for block in blocks if not block["is_open"]]
            latest = max(blocks, key=lambda block: (block["block_start"], block["first_record_id"]))
            yield dict(zip(("account", "user_id", "local_week"), key, strict=True)) | {
                "blocks": len(blocks),
                "replied": len(waits),
                "p50_seconds": compute_quantile(waits, 0.5),
                "p90_seconds": compute_quantile(waits, 0.9),
                "within_15_min": sum(wait <= 15 * 60 for wait in waits) / len(blocks),
                "within_1_h": sum(wait <= 60 * 60 for wait in waits) / len(blocks),
                **{name: latest[name] for name in ("user_name", "team")},
            }

    def unanswered_texts(self) -> Iterator[Row]:
        calls = group_by(
            (r for r in self.usage if r["started_at"] and r["channel"] == "call" and r["direction"] == "out"),
            lambda r: (r["account"], r["counterparty"]),
        )
        for block in self.text_responses():
            if block["is_open"]:
                names = ("account", "user_id", "counterparty", "block_start", "texts", "last_text_at", *NAMES)
                start, as_of = block["block_start"], self.as_of[block["account"]]
                called = [call["started_at"] for call in calls.get((block["account"], block["counterparty"]), [])]
                business_seconds = compute_business_seconds(block["account"], start, as_of)
                yield {name: block[name] for name in names} | {
                    "waiting_seconds": (as_of - start).total_seconds(),
                    "waiting_business_seconds": business_seconds,
                    "called_since": min((at for at in called if at > block["last_text_at"]), default=None),
                    "business_hours_waited": business_seconds / 3600,
                }

    def missed_follow_ups(self) -> Iterator[Row]:
        own_parties = {(r["account"], r["to_party"] if r["direction"] == "in" else r["from_party"]) for r in self.usage}
        external = [
            row
            for row in self.usage
            if row["started_at"]
            and row["channel"] in ("call", "text")
            and row["counterparty"]
            and row["counterparty_kind"] == "phone"
            and (row["account"], row["counterparty"]) not in own_parties
        ]
        for (account, party), rows in group_by(external, lambda r: (r["account"], r["counterparty"])).items():
            last_out = max((row["started_at"] for row in rows if row["direction"] == "out"), default=None)
            missed = [
                row
                for row in sort_by_start(rows)
                if row["direction"] == "in" and row["started_at"] > (last_out or DISTANT_PAST)
            ]
            if missed:
                last = missed[-1]
                seconds = compute_business_seconds(account, last["started_at"], self.as_of[account])
                yield {
                    "account": account,
                    "counterparty": party,
                    "last_in_at": last["started_at"],
                    "channel": last["channel"],
                    "user_id": last["user_id"],
                    "last_out_at": last_out,
                    "inbound_since_last_out": len(missed),
                    "business_hours_waited": seconds / 3600,
                    **self.describe_parties(last),
                }

    def client_daily(self) -> Iterator[Row]:
        names = ("account", "client_reference_id", "local_date", "channel")
        for key, rows in group_by(
            self.usage,
            lambda r: (
                r["account"],
                r["client_reference_id"],
                to_local_date(r["account"], r["started_at"]),
                r["channel"],
            ),
        ).items():
            yield dict(zip(names, key, strict=True)) | {
                "records": len(rows),
                "minutes": sum_minutes(rows),
                "credits": sum_credits(rows),
            }

    def credits_daily(self) -> Iterator[Row]:
        spans: dict[str, list[date]] = defaultdict(list)
        for row in self.usage:
            day = to_local_date(row["account"], row["started_at"])
            if day is not None:
                spans[row["account"]].append(day)
        for (account, channel, kind), rows in group_by(
            self.usage, lambda r: (r["account"], r["channel"], r["type"])
        ).items():
            by_day = group_by(rows, lambda r: (to_local_date(r["account"], r["started_at"]),))
            calendar = list(list_days(min(spans[account]), max(spans[account])))
            daily = [sum_credits(by_day[day,]) if (day,) in by_day else 0.0 for day in calendar]
            undated: list[date | None] = [None] if (None,) in by_day else []
            for index, day in enumerate([*calendar, *undated]):
                spent = sum_credits(by_day[day,]) if (day,) in by_day else 0.0
                previous = [value for value in daily[max(index - 28, 0) : index] if value is not None]
                has_28_days = day is not None and index >= 28 and previous
                center = median(previous) if has_28_days else 0
                spread = 1.4826 * median(abs(value - center) for value in previous) if has_28_days else 0
                yield {
                    "account": account,
                    "local_date": day,
                    "channel": channel,
                    "type": kind,
                    "records": len(by_day.get((day,), [])),
                    "credits": spent,
                    "mean_28d": sum(previous) / len(previous) if has_28_days else None,
                    "robust_z": (spent - center) / spread if spread and spent is not None else None,
                }
