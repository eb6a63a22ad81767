"""The API's answers as bytes, prepared beforehand: all rows in one file, and where each begins.

`python -m benchmarks.answers FOLDER FIRST LAST ROWS` prepares a folder.
"""

import sys
from array import array
from datetime import date
from pathlib import Path

import numpy as np

from benchmarks.history import CLIENTS, KINDS, LOGINS, NUMBERS, Column, Records, Span, invent


def prepare_answers(folder: Path, span: Span) -> None:
    """Write `rows.json` (the rows, a comma after each), `starts` and `offsets` (a 64-bit number a row)."""
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
            where = array("q")
            for line in lines:
                where.append(position)
                position += len(line) + 1
            where.tofile(offsets)
            rows.write(b",".join(lines) + b",")
        array("q", [position]).tofile(offsets)


def render_rows(records: Records) -> list[bytes]:
    """Write each record as the vendor does, with its keys and its types."""
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
    written: list[str] = np.datetime_as_string(seconds.astype("datetime64[s]"), timezone="UTC").tolist()
    return written


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
    """Prepare the folder that the command line names."""
    folder, first, last, rows = sys.argv[1:]
    prepare_answers(Path(folder), Span(date.fromisoformat(first), date.fromisoformat(last), int(rows)))


if __name__ == "__main__":
    main()
