"""The tables `people`, `person_numbers` and `party_names`, written from a directory of people."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import duckdb
import pyarrow as pa

from warehouse.people.directory import Directory, list_party_names
from warehouse.people.party_key import build_party_key
from warehouse.schema.tables import PARTY_NAMES, PEOPLE, PEOPLE_TABLES, PERSON_NUMBERS, Table, render_ddl
from warehouse.sql import read_sql

# Two spellings of a number end alike; comparing the ends first spares most parties the parsing.
_COMPARED_DIGITS = 3
#: A number of digits only, or a login: what nearly all records have.
_PLAIN = re.compile(r"\+?[0-9]{3,}|[A-Za-z][!-9<-?A-~]*@[!-9<-?A-~]+")


def write_people(connection: duckdb.DuckDBPyConnection, directory: Directory) -> None:
    """Replace the three tables in the current database; raises `duckdb.Error`.

    A number or login has one row per spelling in `usage` and `recordings`, so that they can be joined directly.
    """
    spellings = find_spellings(connection, directory)
    numbers = [
        (number.person_id, party, number.valid_from, number.valid_until)
        for number in directory.numbers
        for party in spellings[number.party]
    ]
    names = [
        (party, one.valid_from, one.valid_until, one.name, one.team, one.reference)
        for one in list_party_names(directory)
        for party in spellings[one.party]
    ]
    people = [(p.person_id, p.name, p.team, p.reference, p.source, p.note) for p in directory.people]
    for table in PEOPLE_TABLES:
        connection.execute(f"CREATE OR REPLACE TABLE {table.name} ({render_ddl(table.columns)})")
    for table, rows in ((PEOPLE, people), (PERSON_NUMBERS, numbers), (PARTY_NAMES, names)):
        _insert(connection, table, rows)


def find_spellings(connection: duckdb.DuckDBPyConnection, directory: Directory) -> Mapping[str, Sequence[str]]:
    """Return, per party key of the directory, its spellings in the records, or the key itself if there is none."""
    keys = {number.party for number in directory.numbers}
    endings = {key[-_COMPARED_DIGITS:] for key in keys}
    found: defaultdict[str, list[str]] = defaultdict(list)
    if keys:
        for (party,) in connection.execute(read_sql("publication", "all_parties")).fetchall():
            if _may_match(party, endings) and (key := build_party_key(party, directory.region)) in keys:
                found[key].append(party)
    return {key: found.get(key, [key]) for key in keys}


def _may_match(party: str, endings: set[str]) -> bool:
    """Whether the key of a party may end like one of the directory; in doubt it may."""
    return not _PLAIN.fullmatch(party) or party.casefold()[-_COMPARED_DIGITS:] in endings


def _insert(connection: duckdb.DuckDBPyConnection, table: Table, rows: Iterable[tuple[Any, ...]]) -> None:
    schema = pa.schema([(column.name, column.type) for column in table.columns])
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    connection.register("rows", pa.table(dict(zip(schema.names, columns, strict=True)), schema=schema))
    connection.execute(f"INSERT INTO {table.name} SELECT * FROM rows")
    connection.unregister("rows")
