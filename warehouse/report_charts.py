"""The report's charts, as Vega-Lite specifications.

Belongs here: what is drawn and how it answers to the mouse. Does not belong here: figures (`sql/report`) and the
page around them (`report`). They are plain data: a library that writes such takes longer to import than the whole
report to make.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Rows = Sequence[Mapping[str, Any]]
Specification = dict[str, Any]

_SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
_HEIGHT = 260
_WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
_CHANNELS = {"domain": ["call", "text", "fax"], "range": ["#3b76c4", "#2a9d77", "#d58a1f"]}
_DAY = "%a %-d %b %Y"
_WEEK = "%-d %b %Y"
_EVER = 100_000
_FIRST_LAYER = "first"
_ROWS = "rows"
_TYPES = {"Q": "quantitative", "T": "temporal", "O": "ordinal", "N": "nominal"}


def _specify(rows: Rows, drawing: Specification, *, params: Sequence[Specification]) -> Specification:
    values = [{name: _write(value) for name, value in row.items()} for row in rows]
    data = {"data": {"name": _ROWS}, "datasets": {_ROWS: values}}
    return {"$schema": _SCHEMA, "width": "container", "height": _HEIGHT, **data, "params": list(params), **drawing}


def _write(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)


def _field(shorthand: str, **options: Any) -> Specification:
    name, _, kind = shorthand.partition(":")
    return {"field": name, "type": _TYPES[kind], **options}


def _sum(name: str, **options: Any) -> Specification:
    return {"aggregate": "sum", **_field(f"{name}:Q", **options)}


def _select_range(rows: Rows, field: str) -> Specification:
    """A choice of how many of the last days are shown, counted from the last that there is."""
    labels = {30: "30 days", 90: "90 days", 365: "a year", _EVER: "all"}
    choice = {
        "input": "select",
        "options": list(labels),
        "labels": list(labels.values()),
        "name": "Show the last ",
    }
    points = len({row[field] for row in rows})
    usual = 90 if field == "local_date" else 365
    return {"name": "days", "bind": choice, "value": _EVER if points <= 120 else usual}


def _keep_range(rows: Rows, field: str) -> Specification:
    last = max((str(row[field]) for row in rows), default="1970-01-01")
    return {"filter": f"toDate(datum.{field}) > toDate('{last}') - days * 86400000"}


def _zoom(**views: list[str]) -> Specification:
    """Zoom by wheel and drag along the time; of several layers, Vega listens to one."""
    return {"name": "zoom", "select": {"type": "interval", "encodings": ["x"]}, "bind": "scales", **views}


def _lay(rows: Rows, layers: Sequence[Specification], *, by: str, shown: Rows | None = None) -> Specification:
    """Lay drawings over each other that share rows, or `shown` made of them, and a range of the time `by`."""
    first, *others = ({**layer, "transform": [_keep_range(rows, by)]} for layer in layers)
    drawing = {"layer": [{**first, "name": _FIRST_LAYER}, *others]}
    params = [_select_range(rows, by), _zoom(views=[_FIRST_LAYER])]
    return _specify(rows if shown is None else shown, drawing, params=params)


def draw_volume(rows: Rows) -> Specification:
    """Draw the records of each day, stacked by channel."""
    encoding = {
        "x": _field("local_date:T", title=None),
        "y": _sum("records", title="records a day"),
        "color": _field("channel:N", scale=_CHANNELS, title=None, legend={"orient": "top"}),
        "tooltip": [
            _field("local_date:T", title="day", format=_DAY),
            _field("channel:N"),
            *(_sum(name, title=name) for name in ("records", "minutes", "credits")),
        ],
    }
    bars = {"mark": {"type": "bar"}, "encoding": encoding, "transform": [_keep_range(rows, "local_date")]}
    return _specify(rows, bars, params=[_select_range(rows, "local_date"), _zoom()])


def draw_hours(rows: Rows) -> Specification:
    """Draw a week by weekday and hour; a list chooses the channel."""
    named = [{**row, "day": _WEEKDAYS[int(row["weekday"]) - 1]} for row in rows]
    options = ["all", *sorted({str(row["channel"]) for row in rows})]
    choice = {"input": "select", "options": options, "name": "Channel "}
    encoding = {
        "x": _field("local_hour:O", title="hour", axis={"labelAngle": 0}),
        "y": _field("day:O", sort=_WEEKDAYS, title=None),
        # The page chooses the colours: light ones stand for few on white, dark ones at night.
        "color": _sum("records", title="records"),
        "tooltip": [_field("day:O"), _field("local_hour:O", title="hour"), _sum("records", title="records")],
    }
    chosen = [{"filter": "channel == 'all' || datum.channel == channel"}]
    cells = {"mark": {"type": "rect"}, "encoding": encoding, "transform": chosen}
    return _specify(named, cells, params=[{"name": "channel", "bind": choice, "value": "all"}])


def draw_responses(rows: Rows) -> Specification:
    """Draw how long texts waited for a reply, week by week: the median, and nine in ten."""
    shared = {
        "x": _field("local_week:T", title=None),
        "tooltip": [
            _field("local_week:T", title="week of", format=_WEEK),
            _field("blocks:Q", title="conversations"),
            _field("median_minutes:Q", title="median, minutes", format=".0f"),
            _field("slow_minutes:Q", title="nine in ten, minutes", format=".0f"),
            _field("within_1_h:Q", title="within an hour", format=".0%"),
        ],
    }
    scale = {"type": "symlog"}
    axis = {"values": [0, 1, 5, 15, 60, 240, 1440, 10080]}
    usual = _field("median_minutes:Q", scale=scale, axis=axis, title="minutes until the reply")
    line = {"type": "line", "point": True}
    layers = [
        {"mark": {**line, "color": "#3b76c4"}, "encoding": {**shared, "y": usual}},
        {
            "mark": {**line, "color": "#d58a1f", "strokeDash": [4, 4]},
            "encoding": {**shared, "y": _field("slow_minutes:Q", scale=scale)},
        },
    ]
    return _lay(rows, layers, by="local_week")


def draw_credits(rows: Rows) -> Specification:
    """Draw the credits of each day; days that are far from the four weeks before stand out."""
    accounts = {row["account"] for row in rows}
    of_account = "{account}, " if len(accounts) > 1 else ""
    kinds = [{**row, "kind": f"{of_account}{{channel}}, {{type}}".format_map(row)} for row in rows]
    shared = {
        "x": _field("local_date:T", title=None),
        "y": _field("credits:Q", title="credits a day"),
        "tooltip": [
            _field("local_date:T", title="day", format=_DAY),
            _field("kind:N"),
            _field("credits:Q", format=".1f"),
            _field("mean_28d:Q", title="usual", format=".1f"),
            _field("robust_z:Q", title="how unusual (z)", format=".1f"),
        ],
    }
    color = _field("kind:N", title=None, legend={"orient": "top"})
    # Hidden and not left out: a layer without any point would leave Vega without a scale.
    opacity = {"condition": {"test": "datum.is_unusual", "value": 1}, "value": 0}
    ring = {"type": "point", "color": "#c0392b", "size": 90, "strokeWidth": 2}
    layers = [
        {"mark": {"type": "line", "interpolate": "monotone"}, "encoding": {**shared, "color": color}},
        {"mark": ring, "encoding": {**shared, "opacity": opacity}},
    ]
    return _lay(rows, layers, by="local_date", shown=kinds)


def draw_coverage(rows: Rows) -> Specification:
    """Draw calls a week, and those of them that were recorded."""
    shared = {
        "x": _field("local_week:T", title=None),
        "tooltip": [
            _field("local_week:T", title="week of", format=_WEEK),
            _field("calls:Q"),
            _field("recorded_calls:Q", title="recorded"),
            _field("share:Q", title="share", format=".0%"),
            _field("unmatched_recordings:Q", title="recordings of no call"),
        ],
    }
    calls = _field("calls:Q", title="calls a week, recorded ones darker")
    layers = [
        {"mark": {"type": "bar", "color": "#9db7dd"}, "encoding": {**shared, "y": calls}},
        {"mark": {"type": "bar", "color": "#3b76c4"}, "encoding": {**shared, "y": _field("recorded_calls:Q")}},
    ]
    return _lay(rows, layers, by="local_week")


#: Each chart's place on the page, with the query of its rows.
CHARTS: Mapping[str, Callable[[Rows], Specification]] = {
    "volume": draw_volume,
    "hours": draw_hours,
    "responses": draw_responses,
    "credits": draw_credits,
    "coverage": draw_coverage,
}
