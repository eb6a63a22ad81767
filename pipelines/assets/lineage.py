"""Where columns come from, as Dagster shows it.

Belongs here: tracing columns to those of the sources. Does not belong here: which columns there are
(`warehouse.schema.tables`, `warehouse.schema.marts`) and which assets a table is made of.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

from warehouse.schema.marts import Mart
from warehouse.schema.tables import RAW_COLUMNS, Column, Table

#: What a column of the lake is read from in the raw log, where it isn't the answer's body.
_LAKE_MADE_OF = {
    **{name: (name,) for name in ("account", "window_start")},
    "origin": ("reason",),
    "first_seen_at": ("pulled_at",),
    "last_seen_at": ("pulled_at",),
    "absent_since": ("pulled_at", "complete"),
}

_CHANNEL_AND_DIRECTION = ("channel", "direction")
_RECORDED = ("recorded_at", "started_at", "ended_at")

#: What a column of a mart is computed from, where no source has its name; `mart.column` where one differs.
_MART_MADE_OF = {
    **dict.fromkeys(("local_date", "weekday", "local_hour", "after_hours_share"), ("started_at", "recorded_at")),
    **dict.fromkeys(("first_at", "last_at", "first_seen", "last_seen", "block_start"), ("started_at",)),
    **dict.fromkeys(("last_text_at", "replied_at", "wait_seconds", "business_wait_seconds"), ("started_at",)),
    **dict.fromkeys(("calls_in", "calls_out", "texts_in", "texts_out"), _CHANNEL_AND_DIRECTION),
    **dict.fromkeys(("faxes_in", "faxes_out", "opened_by", "closed_by"), _CHANNEL_AND_DIRECTION),
    **dict.fromkeys(("calls", "texts", "faxes"), ("channel",)),
    **dict.fromkeys(
        ("pushed_and_pulled", "pushed_only", "pulled_only", "loss_rate", "callback_only"), ("origin",)
    ),
    **dict.fromkeys(("p50_seconds", "p90_seconds"), ("wait_seconds", "first_seen_at", "ended_at")),
    **dict.fromkeys(("p99_seconds", "max_seconds"), ("first_seen_at", "ended_at", "recorded_at")),
    **dict.fromkeys(("within_15_min", "within_1_h"), ("wait_seconds",)),
    **dict.fromkeys(("mean_28d", "robust_z"), ("credits", "started_at")),
    **dict.fromkeys(("recorded_calls", "unmatched_recordings"), ("call_id", "status")),
    **dict.fromkeys(("records", "share", "first_record_id", "reply_record_id"), ("record_id",)),
    **dict.fromkeys(("counterparties", "new_counterparties"), ("counterparty",)),
    **dict.fromkeys(("days_since", "is_new"), ("started_at", "pulled_at")),
    **dict.fromkeys(("waiting_seconds", "waiting_business_seconds"), ("block_start", "pulled_at")),
    **dict.fromkeys(("thread", "block"), ("started_at", "counterparty")),
    "minutes": ("duration_minutes",),
    "users": ("user_id",),
    "mirrored_pairs": ("from_party", "to_party", "started_at"),
    "kind": ("counterparty_kind",),
    "is_open": _CHANNEL_AND_DIRECTION,
    "local_week": ("block_start",),
    "blocks": ("block",),
    "replied": ("replied_at",),
    "recording_matches.recording_id": ("record_id",),
    "recording_matches.call_id": ("record_id",),
    "recording_matches.delta_seconds": _RECORDED,
    "recording_matches.status": _RECORDED,
    "recordings": ("recording_id",),
    "last_pulled_at": ("pulled_at",),
    "pulls": ("pull_id",),
    "absent": ("absent_since",),
    "verified_by": ("reason", "complete"),
    "audited_at": ("reason", "complete", "pulled_at"),
    "completeness.rows": ("record_id",),
    "callback_loss.dataset": ("record_id",),
}


@dataclass(frozen=True)
class Source:
    """An asset that a table is made of, and the columns it has."""

    key: dg.AssetKey
    columns: Sequence[Column]

    def find(self, names: Sequence[str]) -> list[dg.TableColumnDep]:
        """Point at those of the columns that this asset has."""
        own = {column.name for column in self.columns}
        return [dg.TableColumnDep(asset_key=self.key, column_name=name) for name in names if name in own]


def trace_lake_columns(table: Table, raw: dg.AssetKey) -> dg.TableColumnLineage:
    """Point each column of a folded table at what it is read from in the raw log."""
    made_of = {**dict.fromkeys((column.name for column in table.columns), ("body",)), **_LAKE_MADE_OF}
    return _trace(table.columns, [Source(raw, RAW_COLUMNS)], made_of)


def trace_mart_columns(mart: Mart, sources: Sequence[Source]) -> dg.TableColumnLineage:
    """Point each column of a mart at what it is computed from: its namesakes, or what `_MART_MADE_OF` names."""
    own = f"{mart.name}."
    namesakes = {column.name for source in sources for column in source.columns}
    made_of = {name: made for name, made in _MART_MADE_OF.items() if name not in namesakes}
    made_of |= {name.removeprefix(own): made for name, made in _MART_MADE_OF.items() if name.startswith(own)}
    return _trace(mart.columns, sources, made_of)


def trace_columns(columns: Sequence[Column], sources: Sequence[Source]) -> dg.TableColumnLineage:
    """Point each column at its namesakes: what is published as it is."""
    return _trace(columns, sources, {})


def _trace(
    columns: Sequence[Column], sources: Sequence[Source], made_of: Mapping[str, Sequence[str]]
) -> dg.TableColumnLineage:
    return dg.TableColumnLineage(
        deps_by_column={
            column.name: [
                dep for source in sources for dep in source.find(made_of.get(column.name, (column.name,)))
            ]
            for column in columns
        }
    )
