"""An account at the stand-in, with the credentials in the environment, where Dagster looks for them."""

from pathlib import Path

import pytest

from iplum_resource.standin.server import Running
from tests.support.account import Account


@pytest.fixture
def account(standin: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Account:
    """Make an account with some weeks of history and an empty data folder."""
    account = Account(standin, tmp_path)
    account.play()
    for name, value in account.environ.items():
        monkeypatch.setenv(name, value)
    return account
