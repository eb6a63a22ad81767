"""Query times of each mart. `python -m benchmarks.questions` prints them."""

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
#: What a column is filtered by, where a mart has it.
_FILTERS = {
    "user_id": f"= '{LOGINS[7]}'",
    "counterparty": f"= '{NUMBERS[707]}'",
    "local_date": ">= DATE '2024-12-01'",
    "local_week": ">= DATE '2024-12-01'",
    "block_start": ">= TIMESTAMPTZ '2024-12-01 00:00:00+00'",
    "window_start": ">= DATE '2024-12-01'",
    "weekday": "= 1",
}


def write_question(mart: Mart) -> str:
    """Write what somebody would ask of a mart."""
    names = [column.name for column in mart.columns]
    conditions = [f'"{name}" {condition}' for name, condition in _FILTERS.items() if name in names]
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return f"SELECT * FROM marts.{mart.name}{where} ORDER BY ALL LIMIT 100"  # noqa: S608 - of our own names


def time_answer(folder: DataFolder, question: str) -> float:
    """Return the milliseconds from opening the file to the last row of the query; the median of several."""
    taken = []
    for _ in range(_TIMES):
        began = time.perf_counter()
        list(run_query(folder, question).rows)
        taken.append(time.perf_counter() - began)
    return 1000 * median(taken)


def main() -> None:
    """Ask every mart."""
    folder = open_data(Path(sys.argv[1]))
    answers = {mart.name: time_answer(folder, write_question(mart)) for mart in MARTS}
    Path(sys.argv[2]).write_text(json.dumps(answers))


if __name__ == "__main__":
    main()
