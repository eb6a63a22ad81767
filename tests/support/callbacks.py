"""Usage callbacks, and a receiver in another process that accepts them."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import requests

from pipelines.settings import PROJECT

TOKEN = "a-token-that-nobody-guesses"


def usage_event(record_id: str, start: str, **changes: Any) -> dict[str, Any]:
    """Build the JSON object of a usage callback (docs/iplum-api.md, "Usage Callbacks"); `changes` replaces fields."""
    return {
        "source": "iPlum",
        "clientReferenceId": "1234",
        "usage": "text",
        "recordId": record_id,
        "from": "+14085550100",
        "to": "ann@clinic.example",
        "startTimeUTC": start,
        "endTimeUTC": start,
        "duration": "1",
        "direction": "in",
        "type": "external",
        "content": "Hello",
        "iPlumCredits": 1,
        "userId": "ann@clinic.example",
        **changes,
    }


class RunningReceiver:
    """A running `iplum receiver`: its process, its URL, and its output once it has ended."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.url = url
        self.output = ""

    def push(self, records: Any, kind: str = "usage", token: str = TOKEN) -> requests.Response:
        """Send records as JSON, or bytes unchanged, to a callback path."""
        body = records if isinstance(records, bytes) else json.dumps(records)
        return requests.post(f"{self.url}/callbacks/{token}/{kind}", data=body, timeout=30)

    def stop(self) -> int:
        """Stop the receiver with SIGTERM and return its exit code."""
        self.process.terminate()
        self.output += "".join(self.process.communicate(timeout=30))
        return self.process.returncode

    def kill(self) -> None:
        """Kill the receiver with SIGKILL."""
        self.process.kill()
        self.output += "".join(self.process.communicate(timeout=30))


@contextmanager
def run_receiver(environ: Mapping[str, str]) -> Iterator[RunningReceiver]:
    """Run `iplum receiver` on a free port during the block. `environ` is its complete environment."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines.cli", "receiver", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=PROJECT,
        env=dict(environ),
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate(timeout=30)[1]
        yield RunningReceiver(process, line.split()[-1])
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=30)
