"""Output on a terminal: colors, line width, progress bars and completion."""

import io
import re
import signal
import time

import pytest
from rich.console import Console

from pipelines.commands.progress_bar import ProgressBar
from tests.support.account import Account
from tests.support.terminal import run_on_terminal

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


def draw(width: int, *, is_terminal: bool = True) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=is_terminal, color_system=None)
    with ProgressBar(console) as bar:
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


def test_without_a_terminal_progress_is_one_plain_line_per_task() -> None:
    assert draw(200, is_terminal=False) == "files: 3 files\nusage: 5 windows\n"
