"""`iplum init`: the .env file it writes, the lines it keeps, and its prompts, with and without a terminal."""

import io
import re
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines import cli
from pipelines.settings import SettingsError, check_credentials, read_env_file, render_env_example, set_variables
from tests.support.account import Account
from tests.support.terminal import run_on_terminal

EXISTING = "# mine\nIPLUM_ACCOUNT=north  # the north clinic\n\nexport IPLUM_SECRET_KEY=old\nOTHER=1"


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    return tmp_path / ".env"


def init(env_file: Path, *arguments: str) -> int:
    return cli.run(["init", "--env-file", str(env_file), *arguments])


def is_valid_credential(value: str) -> bool:
    try:
        check_credentials(dict.fromkeys(("IPLUM_ACCESS_KEY", "IPLUM_SECRET_KEY", "IPLUM_LOGIN_ID"), value))
    except SettingsError:
        return False
    return True


@given(st.text(st.characters(codec="utf-8"), min_size=1).filter(is_valid_credential))
def test_every_accepted_key_is_read_back_unchanged(tmp_path_factory: pytest.TempPathFactory, value: str) -> None:
    path = tmp_path_factory.mktemp("env") / ".env"
    set_variables(path, {"IPLUM_SECRET_KEY": value})
    assert read_env_file(path)["IPLUM_SECRET_KEY"] == value


def test_a_key_that_looks_like_a_variable_is_not_expanded(env_file: Path) -> None:
    """python-dotenv expands `${NAME}` unless it is configured not to."""
    set_variables(env_file, {"IPLUM_SECRET_KEY": "a${HOME}b$c"})
    assert read_env_file(env_file)["IPLUM_SECRET_KEY"] == "a${HOME}b$c"


def test_an_existing_file_keeps_its_comments_order_and_other_lines(env_file: Path) -> None:
    env_file.write_text(EXISTING)
    env_file.chmod(0o644)
    set_variables(env_file, {"IPLUM_SECRET_KEY": "new", "IPLUM_TIMEZONE": "Europe/Vienna"})
    assert env_file.read_text() == (
        EXISTING.replace("export IPLUM_SECRET_KEY=old", "IPLUM_SECRET_KEY=new") + "\nIPLUM_TIMEZONE=Europe/Vienna\n"
    )
    assert stat.S_IMODE(env_file.stat().st_mode) == 0o600


def test_a_new_file_describes_each_variable_and_a_symlink_is_kept(env_file: Path, tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    env_file.symlink_to(tmp_path / "secrets" / "iplum")
    set_variables(env_file, {"IPLUM_START_DATE": "2022-05-01"})
    assert env_file.is_symlink()
    assert env_file.read_text() == render_env_example().replace(
        "# IPLUM_START_DATE=2024-01-01\n", "# IPLUM_START_DATE=2024-01-01\nIPLUM_START_DATE=2022-05-01\n"
    )


def test_without_a_terminal_the_keys_are_read_from_the_environment(
    account: Account, env_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert init(env_file) == 0
    shown = capsys.readouterr()
    written = read_env_file(env_file)
    assert {name: written[name] for name in written if written[name]} == {
        name: account.environ[name]
        for name in ("IPLUM_ACCESS_KEY", "IPLUM_SECRET_KEY", "IPLUM_LOGIN_ID", "IPLUM_START_DATE")
    } | {"IPLUM_START_DATE": str(account.first_day)}
    assert re.search(r"covers [56] windows \(up to five days each\) .* about 1[02] requests", shown.out)
    assert "Start it with: .venv/bin/iplum sync" in shown.out
    assert account.environ["IPLUM_SECRET_KEY"] not in shown.out + shown.err
    assert not account.folder.root.exists()


def test_keys_stdin_reads_the_keys_and_sync_runs_the_first_sync(
    account: Account, env_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IPLUM_SECRET_KEY", "")
    monkeypatch.setattr("sys.stdin", io.StringIO("STANDINACCESSKEY\nstandin-secret\n"))
    options = ["--keys-stdin", "--login-id", "admin@clinic.example", "--start-date", str(account.created_at.date())]
    assert init(env_file, *options, "--sync") == 0
    assert "published" in capsys.readouterr().out
    assert account.folder.snapshot.is_file()


def test_a_wrong_key_causes_one_request_and_the_file_is_written_for_correction(
    account: Account, env_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IPLUM_SECRET_KEY", "c4nary")
    assert init(env_file, "--sync") == 1
    assert len(account.server.requests) == 1
    shown = capsys.readouterr()
    assert "c4nary" not in shown.out + shown.err
    assert "iplum init" in shown.err
    assert env_file.exists()


@pytest.mark.parametrize(
    ("name", "value", "options"),
    [
        ("IPLUM_SECRET_KEY", "", ()),
        ("IPLUM_ACCESS_KEY", "'quoted'", ()),
        ("IPLUM_START_DATE", "x", ("--start-date", "yesterday")),
        ("IPLUM_START_DATE", "x", ("--start-date", "2098-01-01")),
    ],
)
def test_an_invalid_value_exits_with_2_and_nothing_is_written(
    account: Account, env_file: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, options: tuple[str, ...]
) -> None:
    monkeypatch.setenv(name, value)
    assert init(env_file, *options) == 2
    assert not env_file.exists()
    assert account.server.requests == []


def test_on_a_terminal_init_prompts_hides_the_keys_and_offers_the_sync(account: Account, env_file: Path) -> None:
    env_file.write_text("# mine\n")
    prompted = ("IPLUM_ACCESS_KEY", "IPLUM_SECRET_KEY", "IPLUM_LOGIN_ID", "IPLUM_START_DATE", "IPLUM_TIMEZONE")
    environ = {**account.environ, **dict.fromkeys((*prompted, "IPLUM_BUSINESS_HOURS"), "")}
    with run_on_terminal("init", "--env-file", str(env_file), environ=environ) as terminal:
        terminal.wait_for("Access key: ")
        terminal.type("STANDINACCESSKEY")
        terminal.wait_for("Secret key: ")
        terminal.type("'standin-secret'")
        terminal.wait_for("quotes")
        terminal.wait_for("Secret key: ")
        terminal.type("standin-secret")
        terminal.wait_for("login ID")
        terminal.type("admin@clinic.example")
        terminal.wait_for("First day of history (YYYY-MM-DD) [2024-01-01]")
        terminal.type("2098-01-01")
        terminal.wait_for("is in the future")
        terminal.wait_for("First day of history")
        terminal.type(str(account.first_day))
        terminal.wait_for("Time zone")
        terminal.type("America/New_York")
        terminal.wait_for("Business hours of the office [mon-fri 09:00-17:00]")
        terminal.type("mon-thu 08:00-18:00")
        terminal.wait_for("Start it now? [Y/n]")
        terminal.type("n")
        assert terminal.finish() == 0
        assert "standin-secret" not in terminal.raw
        assert "STANDINACCESSKEY" not in terminal.raw
    typed = (*list(account.environ.values())[:3], str(account.first_day), "America/New_York")
    lines = [f"{name}={value}" for name, value in zip(prompted, typed, strict=True)]
    lines.append("IPLUM_BUSINESS_HOURS=mon-thu 08:00-18:00")
    assert env_file.read_text().splitlines() == ["# mine", *lines]


@pytest.mark.parametrize("key", ["Ctrl-C", "Ctrl-D"])
def test_interrupting_a_prompt_writes_nothing(account: Account, env_file: Path, key: str) -> None:
    environ = {**account.environ, "IPLUM_ACCESS_KEY": "", "IPLUM_LOGIN_ID": ""}
    with run_on_terminal("init", "--env-file", str(env_file), environ=environ) as terminal:
        terminal.wait_for("Access key: ")
        terminal.type("STANDINACCESSKEY")
        terminal.wait_for("login ID")
        if key == "Ctrl-C":
            terminal.interrupt()
        else:
            terminal.type("\x04")
        assert terminal.finish() == 130
        assert terminal.output.endswith("Stopped. Nothing was written.\n")
    assert not env_file.exists()
