"""Invented names for the users of the generated history and the clients they meet."""

import csv
import io
import itertools

from iplum_resource.standin.events import User, build_users
from iplum_resource.standin.options import Options

_COLUMNS = ("name", "numbers", "login", "team", "reference")
_TEAMS = ("Front desk", "Nurses", "Billing")
_GIVEN = ("Alma", "Bruno", "Chloe", "Diego", "Edith", "Felix", "Gloria", "Henry", "Irene", "Jamal", "Karin", "Louis")
_FAMILY = ("Archer", "Bishop", "Carter", "Dawson", "Ellis", "Foster", "Grant", "Hayes", "Irving", "Jarvis", "Knight")
# The rest stay numbers, as in an office whose address book is not complete.
_NAMED_CLIENTS = 25


def format_people(options: Options) -> str:
    """Return a people file (CSV) for a history: all users, and the clients they meet most."""
    users = build_users(options.seed, options.users)
    clients = dict.fromkeys(number for user in users for number in user.clients[:_NAMED_CLIENTS])
    names = (f"{given} {family}" for family, given in itertools.product(_FAMILY, _GIVEN))
    content = io.StringIO()
    writer = csv.DictWriter(content, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_describe_user(user, _TEAMS[place % len(_TEAMS)]) for place, user in enumerate(users))
    writer.writerows(
        {"name": name, "numbers": number, "reference": f"C-{place:04}"}
        for place, (number, name) in enumerate(zip(clients, names, strict=False), 1001)
    )
    return content.getvalue()


def _describe_user(user: User, team: str) -> dict[str, str]:
    name = user.login.partition("@")[0].replace(".", " ").title()
    return {"name": name, "numbers": user.number, "login": user.login, "team": team}
