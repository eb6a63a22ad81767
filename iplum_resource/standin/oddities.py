"""What a vendor may send beside its document: fields nobody named, and rows that are not right."""

import json

ODD_MARK = "~"  # parts the id of an odd row from the id of the row it was made of

_UNKNOWN_FIELDS = ',"deviceType":"desk","routing":{"queue":"front","skills":["en","es"]},"flags":null}'


def add_unknown_fields(rows: list[str]) -> list[str]:
    """Give each row three fields that the document does not name: a string, an object and a null."""
    return [row[:-1] + _UNKNOWN_FIELDS if row.startswith("{") else row for row in rows]


def build_odd_rows(row: str) -> list[str]:
    """Make of a day's first call three rows: an unreadable start, a null and an odd duration.

    They come with that call and only with it, so that a window asked in halves still adds up.
    """
    fields = json.loads(row)
    time = "startTimeUTC" if "startTimeUTC" in fields else "dateTimeUTC"
    changes = ({time: "24/03/2023 25:61"}, {"duration": None}, {"duration": "two"})
    return [
        json.dumps(fields | {"recordId": f"{fields['recordId']}{ODD_MARK}{number}"} | change)
        for number, change in enumerate(changes)
    ]


def build_nameless_rows(row: str) -> list[str]:
    """Make a row without a record id, and an element that is no object at all."""
    fields = json.loads(row)
    del fields["recordId"]
    return [json.dumps(fields), '"maintenance"']
