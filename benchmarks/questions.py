"""Query times of each mart. `python -m benchmarks.questions FOLDER FILE` writes them to a file, in milliseconds."""

import json
import sys
import time
from pathlib import Path
from statistics import median

from benchmarks.history import LOGINS, NUMBERS
from benchmarks.lake import open_data
from warehouse.outputs.query import run_query
from warehouse.schema.marts import MARTS, Mart
from warehouse.storage.paths import DataFolder

_TIMES = 5
#: Filter conditions by column. A query uses those of the columns that its mart has.
_FILTERS = {
    "user_id": f"= '{LOGINS[7]}'",
    "counterparty": f"= '{NUMBERS[707]}'",
    "local_date": ">= DATE '2024-12-01'",
    "local_week": ">= DATE '2024-12-01'",
    "block_start": ">= TIMESTAMPTZ '2024-12-01 00:00:00+00'",
    "window_start": ">= DATE '2024-12-01'",
    "weekday": "= 1",
}


def build_query(mart: Mart) -> str:
    """Return a typical query on a mart."""
    names = [column.name for column in mart.columns]
    conditions = [f'"{name}" {condition}' for name, condition in _FILTERS.items() if name in names]
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return f"SELECT * FROM marts.{mart.name}{where} ORDER BY ALL LIMIT 100"  # noqa: S608 - names from the schema


def measure_query(folder: DataFolder, query: str) -> float:
    """Return the median milliseconds from opening the file to the last row of the query."""
    seconds = []
    for _ in range(_TIMES):
        began = time.perf_counter()
        list(run_query(folder, query).rows)
        seconds.append(time.perf_counter() - began)
    return 1000 * median(seconds)


def main() -> None:
    """Measure a query on every mart."""
    folder = open_data(Path(sys.argv[1]))
    query_times = {mart.name: measure_query(folder, build_query(mart)) for mart in MARTS}
    Path(sys.argv[2]).write_text(json.dumps(query_times))


if __name__ == "__main__":
    main()
