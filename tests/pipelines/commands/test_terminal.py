"""Output on a terminal: colors, line width, progress bars and completion."""

import io
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime

import dagster as dg
import pytest
from rich.console import Console

from pipelines.commands.progress_bar import ProgressBar
from pipelines.dagster_home import open_instance
from tests.support.account import Account
from tests.support.terminal import run_on_terminal
from warehouse.snapshot.publish import publish

COLOR = re.compile(r"\x1b\[[0-9;]*3[0-9]m")


@pytest.mark.parametrize("columns", [44, 120])
def test_doctor_output_fits_the_terminal_width_and_is_colored(account: Account, columns: int) -> None:
    environ = {**account.environ, "IPLUM_SECRET_KEY": ""}
    with run_on_terminal("doctor", environ=environ, columns=columns) as terminal:
        assert terminal.finish() == 2
    assert "FAIL" in terminal.output
    assert max(map(len, terminal.output.splitlines())) <= columns
    assert COLOR.search(terminal.raw)


def test_no_color_disables_colors(account: Account) -> None:
    with run_on_terminal("doctor", environ={**account.environ, "IPLUM_SECRET_KEY": "", "NO_COLOR": "1"}) as terminal:
        assert terminal.finish() == 2
    assert "FAIL" in terminal.output
    assert not COLOR.search(terminal.raw)


def test_a_sync_shows_its_rate_and_handles_sigterm_like_ctrl_c(account: Account) -> None:
    account.set_options(latency=1.5)
    with run_on_terminal("sync", environ={**account.environ, "IPLUM_CONCURRENCY": "1"}, columns=120) as terminal:
        terminal.wait_for("windows/s")
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.finish() == 130
    assert "continues from there" in terminal.output
    assert "Traceback" not in terminal.output
    assert terminal.raw.rindex("\x1b[?25h") > terminal.raw.rindex("\x1b[?25l"), "the cursor must be visible again"


@pytest.mark.parametrize("command", ["sync", "archive"])
def test_ctrl_c_cancels_the_run_without_a_traceback(account: Account, command: str) -> None:
    """A terminal sends the signal to child processes too; those of Dagster print a traceback."""
    account.changes["IPLUM_MEDIA_HOSTS"] = account.server.url.removeprefix("http://")
    if command == "archive":
        account.set_options(rows_per_day=4)
        assert account.pull().failures == []
    account.set_options(latency=1.5, rows_per_day=4)
    with run_on_terminal(command, environ={**account.environ, "IPLUM_CONCURRENCY": "1"}, columns=120) as terminal:
        terminal.wait_for("s/s")
        os.killpg(terminal.process.pid, signal.SIGINT)
        assert terminal.finish() == 130
    assert terminal.output.endswith("Stopped. Finished work is kept; the same command continues from there.\n")
    assert "Traceback" not in terminal.output
    with open_instance(account.settings) as instance:
        latest = instance.get_runs(limit=1)[0]
    assert (latest.job_name, latest.status) == (command, dg.DagsterRunStatus.CANCELED)


@pytest.mark.parametrize("command", ["sync", "archive"])
def test_a_closed_terminal_cancels_the_run(account: Account, command: str) -> None:
    """The command cannot write its last lines any more, and must end all the same."""
    account.changes["IPLUM_MEDIA_HOSTS"] = account.server.url.removeprefix("http://")
    if command == "archive":
        account.set_options(rows_per_day=4)
        assert account.pull().failures == []
    account.set_options(latency=1.5, rows_per_day=4)
    with run_on_terminal(command, environ={**account.environ, "IPLUM_CONCURRENCY": "1"}, columns=120) as terminal:
        terminal.wait_for("s/s")
        terminal.close()
        assert terminal.process.wait(60) == 130
    with open_instance(account.settings) as instance:
        latest = instance.get_runs(limit=1)[0]
    assert (latest.job_name, latest.status) == (command, dg.DagsterRunStatus.CANCELED)


def draw(width: int, *, is_terminal: bool = True) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=is_terminal, color_system=None)
    with ProgressBar(console, clock=lambda: datetime(2024, 3, 14, 9, tzinfo=UTC)) as bar:
        show = bar.track("files", "files")
        for done in range(1, 4):
            show(done, 3)
            time.sleep(0.01)
        bar.start("usage", 5)
    return stream.getvalue()


def test_the_progress_bar_shows_a_rate_if_wide_enough_and_fits_narrow_terminals() -> None:
    assert "3/3" in draw(120)
    assert "files/s" in draw(120)
    narrow = draw(40)
    assert "3/3" in narrow
    assert max(len(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line)) for line in narrow.splitlines()) <= 40


def test_elsewhere_progress_is_a_dated_line_for_each_beginning_and_the_end() -> None:
    lines = draw(200, is_terminal=False).splitlines()
    assert lines == [f"2024-03-14 09:00:00Z {text}" for text in ("files: 3 files", "usage: 5 windows", "finished")]


def test_the_log_of_an_unattended_run_has_dates(account: Account) -> None:
    """Cron appends the output to a file."""
    environ = {**os.environ, **account.environ}
    command = [sys.executable, "-m", "pipelines.cli", "sync", "--since", str(account.created_at.date())]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    date = rf"{datetime.now(UTC).year}-[0-9]{{2}}-[0-9]{{2}} [0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}}Z "
    lines = done.stderr.splitlines()
    assert [re.sub(f"^{date}", "", line) for line in lines] == [
        "iplum sync",
        "recordings: 1 window",
        "usage: 1 window",
        "finished",
    ]
    assert all(re.match(date, line) for line in lines)
    wrong = subprocess.run(command, env={**environ, "IPLUM_LANG": "x"}, capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert re.fullmatch(rf"{date}iplum sync\nerror: IPLUM_LANG must be .*\n", wrong.stderr)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("command", ["retention --list", "sql 'select 1'"])
def test_a_closed_standard_stream_changes_nothing(account: Account, command: str, closed: str) -> None:
    """Some supervisors start programs with closed streams, where Python has None for them."""
    account.pull()
    publish(account.folder)
    script = f"exec {shlex.quote(sys.executable)} -m pipelines.cli {command} {closed}"
    done = subprocess.run(["sh", "-c", script], env={**os.environ, **account.environ}, capture_output=True, check=False)
    assert done.returncode == 0
    assert b"error" not in done.stderr
    assert bool(done.stdout) == (">&-" not in closed.split())
