"""Prepared API responses: a file with all rows as bytes, and the start time and offset of each row.

`python -m benchmarks.responses FOLDER FIRST LAST ROWS` writes them to a folder.
"""

import sys
from array import array
from datetime import date
from pathlib import Path

import numpy as np

from benchmarks.history import CLIENTS, KINDS, LOGINS, NUMBERS, Column, Records, Span, invent


def prepare_responses(folder: Path, span: Span) -> None:
    """Write `rows.json` (rows, each with a comma after it), `starts` and `offsets` (one 64-bit integer per row)."""
    folder.mkdir(parents=True)
    position = 0
    with (
        (folder / "rows.json").open("wb") as rows,
        (folder / "starts").open("wb") as starts,
        (folder / "offsets").open("wb") as offsets,
    ):
        for window, size in zip(span.windows(), span.sizes(), strict=True):
            records = invent(window, size)
            lines = render_rows(records)
            array("q", records.starts.tolist()).tofile(starts)
            row_offsets = array("q")
            for line in lines:
                row_offsets.append(position)
                position += len(line) + 1
            row_offsets.tofile(offsets)
            rows.write(b",".join(lines) + b",")
        array("q", [position]).tofile(offsets)


def render_rows(records: Records) -> list[bytes]:
    """Return each record as JSON with the keys and types of the API."""
    columns = zip(
        records.ids,
        _write_instants(records.starts),
        _write_instants(records.ends),
        records.kinds.tolist(),
        records.users.tolist(),
        records.contacts.tolist(),
        records.internal.tolist(),
        records.inbound.tolist(),
        records.minutes.tolist(),
        records.credits.tolist(),
        strict=True,
    )
    return [_render(*values) for values in columns]


def _write_instants(seconds: Column) -> list[str]:
    texts: list[str] = np.datetime_as_string(seconds.astype("datetime64[s]"), timezone="UTC").tolist()
    return texts


def _render(
    name: str,
    start: str,
    end: str,
    kind: int,
    user: int,
    contact: int,
    internal: bool,
    inbound: bool,
    minutes: int,
    credit: int,
) -> bytes:
    channel, category = KINDS[kind]
    own, other = LOGINS[user], LOGINS[contact] if internal else NUMBERS[contact]
    sender, receiver, direction = (other, own, "in") if inbound else (own, other, "out")
    return (
        f'{{"source":"iPlum","clientReferenceId":"{CLIENTS[user]}","usage":"{channel}","recordId":"{name}",'
        f'"from":"{sender}","to":"{receiver}","startTimeUTC":"{start}","endTimeUTC":"{end}",'
        f'"duration":"{minutes}","direction":"{direction}","type":"{category}",'
        f'"iPlumCredits":{credit},"userId":"{own}"}}'
    ).encode()


def main() -> None:
    """Prepare the folder given on the command line."""
    folder, first, last, rows = sys.argv[1:]
    prepare_responses(Path(folder), Span(date.fromisoformat(first), date.fromisoformat(last), int(rows)))


if __name__ == "__main__":
    main()
