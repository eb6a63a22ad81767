"""Callbacks per second that the receiver syncs to disk, compared with one SQLite commit per callback."""

import json
import secrets
import subprocess
import sys

from benchmarks.findings import Findings, Line
from benchmarks.workshop import IPLUM, Workshop


def run(workshop: Workshop) -> Findings:
    """Push callbacks over many connections, then commit the same callbacks one by one to a SQLite file."""
    events = workshop.choose(20_000, 200)
    token = secrets.token_urlsafe(16)
    environ = workshop.account(workshop.new_folder("receiver"), callback_token=token)
    out = workshop.folder / "pushed.json"
    with subprocess.Popen(  # noqa: S603 - starts the project's own program
        [IPLUM, "receiver", "--port", "0"], stdout=subprocess.PIPE, text=True, env={**workshop.environ, **environ}
    ) as process:
        try:
            url = process.stdout.readline().split()[-1] if process.stdout else ""
            address = f"{url}/callbacks/{token}/usage"
            workshop.measure(sys.executable, "-m", "benchmarks.pushing", address, str(events), out)
        finally:
            process.terminate()
    rates: dict[str, float] = json.loads(out.read_text())
    return Findings(
        [
            Line(
                "callbacks synced to disk before they are acknowledged, relative to one commit per callback",
                f"{rates['receiver'] / rates['one commit per callback']:.1f} \u00d7",
                "",
                None,
            )
        ],
        table=[("", "callbacks per second"), *((name, f"{rate:.0f}") for name, rate in rates.items())],
    )
