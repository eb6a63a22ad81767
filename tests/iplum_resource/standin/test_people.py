"""The stand-in's people file: names for all users and for most of the clients they meet."""

import csv
import io

from iplum_resource.standin.events import build_users, generate_day
from iplum_resource.standin.options import Options
from iplum_resource.standin.people import format_people


def test_users_and_most_of_the_clients_they_meet_have_names() -> None:
    rows = list(csv.DictReader(io.StringIO(format_people(Options(seed=3, users=4)))))
    users = build_users(3, 4)
    assert {user.login for user in users} == {row["login"] for row in rows if row["login"]}
    named = {row["numbers"] for row in rows} | {row["login"] for row in rows}
    events = generate_day(users, 20_000, seed=3, mean=2000)
    parties = [party for event in events for party in (event.sender, event.receiver)]
    assert 0.7 < sum(party in named for party in parties) / len(parties) < 0.99


def test_no_name_and_no_number_occurs_twice() -> None:
    rows = list(csv.DictReader(io.StringIO(format_people(Options()))))
    assert len({row["name"] for row in rows}) == len({row["numbers"] for row in rows}) == len(rows)
