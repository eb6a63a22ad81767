"""Fixture: an account on the stand-in, with its settings in the environment, where Dagster reads them."""

from pathlib import Path

import pytest

from iplum_resource.standin.server import Running
from tests.support.account import Account


@pytest.fixture
def account(standin: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Account:
    """An account with 24 days of history and an empty data folder."""
    account = Account(standin, tmp_path)
    account.set_options()
    for name, value in account.environ.items():
        monkeypatch.setenv(name, value)
    return account
