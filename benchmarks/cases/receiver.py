"""Callbacks: how many a second the receiver has on the disk, against a loop that commits one after the other."""

import json
import secrets
import subprocess
import sys

from benchmarks.findings import Findings, Line
from benchmarks.workshop import IPLUM, Workshop


def run(workshop: Workshop) -> Findings:
    """Push from many connections at once, then commit the same to a bare SQLite file."""
    events = workshop.choose(20_000, 200)
    token = secrets.token_urlsafe(16)
    environ = workshop.account(workshop.new_folder("receiver"), callback_token=token)
    out = workshop.folder / "pushed.json"
    with subprocess.Popen(  # noqa: S603 - our own
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
                "callbacks, each on the disk before it is acknowledged, against a commit each",
                f"{rates['receiver'] / rates['one by one']:.1f} \u00d7",
                "",
                None,
            )
        ],
        table=[("", "events a second"), *((name, f"{rate:.0f}") for name, rate in rates.items())],
    )
