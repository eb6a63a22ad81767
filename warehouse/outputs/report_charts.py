"""The report's charts, as Vega-Lite specifications built with Altair."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import altair as alt

Rows = Sequence[Mapping[str, Any]]

_HEIGHT = 260
_WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
_CHANNELS = alt.Scale(domain=["call", "text", "fax"], range=["#3b76c4", "#2a9d77", "#d58a1f"])
_EVER = 100_000
_ROWS = "rows"
#: Vega's own labels of days and weeks lack the month.
_DATES = alt.Axis(format="%-d %b %Y", labelOverlap=True)


def _within_range(chart: alt.Chart, rows: Rows, field: str) -> alt.Chart:
    """Add a selection of how many of the last days to show, counted from the last one."""
    options = [30, 90, 365, _EVER]
    labels = ["30 days", "90 days", "a year", "all"]
    choice = alt.binding_select(options=options, labels=labels, name="Show the last ")
    points = len({row[field] for row in rows})
    usual = 90 if field == "local_date" else 365
    days = alt.param(name="days", bind=choice, value=_EVER if points <= 120 else usual)
    last = max((str(row[field]) for row in rows), default="1970-01-01")
    recent = f"toDate(datum.{field}) > toDate('{last}') - days * 86400000"
    return chart.add_params(days).transform_filter(recent)


def _chart() -> alt.Chart:
    return alt.Chart(alt.NamedData(_ROWS), width="container", height=_HEIGHT)


def _zoom(chart: alt.Chart | alt.LayerChart | alt.FacetChart, rows: Rows) -> dict[str, Any]:
    return _specify(chart.interactive(bind_y=False), rows)


def _specify(chart: alt.Chart | alt.LayerChart | alt.FacetChart, rows: Rows) -> dict[str, Any]:
    """Return the specification with the rows added last: Altair would copy and check every value at each step."""
    spec: dict[str, Any] = chart.to_dict()
    return {**spec, "datasets": {_ROWS: [{name: _write(value) for name, value in row.items()} for row in rows]}}


def _write(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)


def draw_volume(rows: Rows) -> dict[str, Any]:
    """Draw the records of each day, stacked by channel."""
    bars = (
        _chart()
        .mark_bar()
        .encode(
            x=alt.X("local_date:T", title=None, axis=_DATES),
            y=alt.Y("sum(records):Q", title="records a day"),
            color=alt.Color("channel:N", scale=_CHANNELS, title=None, legend=alt.Legend(orient="top")),
            tooltip=[
                alt.Tooltip("local_date:T", title="day", format="%a %-d %b %Y"),
                "channel:N",
                alt.Tooltip("sum(records):Q", title="records"),
                alt.Tooltip("sum(minutes):Q", title="minutes"),
                alt.Tooltip("sum(credits):Q", title="credits"),
            ],
        )
    )
    return _zoom(_within_range(bars, rows, "local_date"), rows)


def draw_hours(rows: Rows) -> dict[str, Any]:
    """Draw a heat map of weekday and hour, with a selection of the channel."""
    named = [{**row, "day": _WEEKDAYS[int(row["weekday"]) - 1]} for row in rows]
    options = ["all", *sorted({str(row["channel"]) for row in rows})]
    channel = alt.param(name="channel", bind=alt.binding_select(options=options, name="Channel "), value="all")
    cells = (
        _chart()
        .add_params(channel)
        .transform_filter("channel == 'all' || datum.channel == channel")
        .mark_rect()
        .encode(
            x=alt.X("local_hour:O", title="hour", axis=alt.Axis(labelAngle=0)),
            y=alt.Y("day:O", sort=_WEEKDAYS, title=None),
            # The page sets the colors for light and dark mode.
            color=alt.Color("sum(records):Q", title="records"),
            tooltip=[
                "day:O",
                alt.Tooltip("local_hour:O", title="hour"),
                alt.Tooltip("sum(records):Q", title="records"),
            ],
        )
    )
    return _specify(cells, named)


def draw_responses(rows: Rows) -> dict[str, Any]:
    """Draw the reply times to texts per week: median and 90th percentile."""
    base = _within_range(_chart(), rows, "local_week").encode(x=alt.X("local_week:T", title=None, axis=_DATES))
    tooltip = [
        alt.Tooltip("local_week:T", title="week of", format="%-d %b %Y"),
        alt.Tooltip("blocks:Q", title="conversations"),
        alt.Tooltip("median_minutes:Q", title="median, minutes", format=".0f"),
        alt.Tooltip("slow_minutes:Q", title="90th percentile, minutes", format=".0f"),
        alt.Tooltip("within_1_h:Q", title="within an hour", format=".0%"),
    ]
    scale = alt.Scale(type="symlog")
    axis = alt.Axis(values=[0, 1, 5, 15, 60, 240, 1440, 10080])
    usual = base.mark_line(point=True, color="#3b76c4").encode(
        y=alt.Y("median_minutes:Q", scale=scale, axis=axis, title="minutes until the reply"), tooltip=tooltip
    )
    slow = base.mark_line(strokeDash=[4, 4], color="#d58a1f", point=True).encode(
        y=alt.Y("slow_minutes:Q", scale=scale), tooltip=tooltip
    )
    return _zoom(alt.layer(usual, slow), rows)


def draw_credits(rows: Rows) -> dict[str, Any]:
    """Draw the credits of each day, and highlight days that differ much from the four weeks before."""
    accounts = {row["account"] for row in rows}
    of_account = "{account}, " if len(accounts) > 1 else ""
    kinds = [{**row, "kind": f"{of_account}{{channel}}, {{type}}".format_map(row)} for row in rows]
    base = _within_range(_chart(), rows, "local_date").encode(
        x=alt.X("local_date:T", title=None, axis=_DATES),
        y=alt.Y("credits:Q", title="credits a day"),
        tooltip=[
            alt.Tooltip("local_date:T", title="day", format="%a %-d %b %Y"),
            "kind:N",
            alt.Tooltip("credits:Q", format=".1f"),
            alt.Tooltip("mean_28d:Q", title="usual", format=".1f"),
            alt.Tooltip("robust_z:Q", title="how unusual (z)", format=".1f"),
        ],
    )
    lines = base.mark_line(interpolate="monotone").encode(
        color=alt.Color("kind:N", title=None, legend=alt.Legend(orient="top"))
    )
    # Hidden instead of removed: Vega needs a point in every layer to build its scale.
    unusual = base.mark_point(color="#c0392b", size=90, strokeWidth=2).encode(
        opacity=alt.condition("datum.is_unusual", alt.value(1), alt.value(0))
    )
    return _zoom(alt.layer(lines, unusual), kinds)


def draw_coverage(rows: Rows) -> dict[str, Any]:
    """Draw the calls and the recorded calls of each week."""
    base = _within_range(_chart(), rows, "local_week").encode(
        x=alt.X("local_week:T", title=None, axis=_DATES),
        tooltip=[
            alt.Tooltip("local_week:T", title="week of", format="%-d %b %Y"),
            "calls:Q",
            alt.Tooltip("recorded_calls:Q", title="recorded"),
            alt.Tooltip("share:Q", title="share", format=".0%"),
            alt.Tooltip("unmatched_recordings:Q", title="recordings without a call"),
        ],
    )
    calls = base.mark_bar(color="#9db7dd").encode(y=alt.Y("calls:Q", title="calls a week, recorded ones darker"))
    recorded = base.mark_bar(color="#3b76c4").encode(y="recorded_calls:Q")
    return _zoom(alt.layer(calls, recorded), rows)


#: The charts by the name of their place on the page and of their query.
CHARTS: Mapping[str, Callable[[Rows], dict[str, Any]]] = {
    "volume": draw_volume,
    "hours": draw_hours,
    "responses": draw_responses,
    "credits": draw_credits,
    "coverage": draw_coverage,
}
