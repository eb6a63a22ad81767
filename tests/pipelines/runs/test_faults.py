"""The faults of docs/trust.md, from the socket to the lake: retries, errors, and no lost rows."""

import json
import socket
import ssl
import threading
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from iplum_resource.errors import BadCertificate, ResponseTooLarge, TimedOut
from pipelines.settings import PROJECT
from pipelines.steps.pull_windows import DatasetLoader, WindowOutcome
from tests.support.certificate import create_certificate
from tests.support.faults import FAULTS, Fault, render_table
from tests.support.raw_responses import call, create_folder, rows_of
from tests.support.scripted_server import Received, ScriptedServer, Step, drip, hang, respond, write_head
from tests.support.window_requests import WIDE, Clock, build_client
from warehouse.lake.files import read_state
from warehouse.schema.tables import USAGE
from warehouse.storage.paths import DataFolder
from warehouse.windows import StorageWindow, window_of_key

FIRST, MIDDLE, LAST = WINDOWS = [window_of_key(f"2024-01-{day:02}") for day in (1, 6, 11)]
FAILING_HOUR = timedelta(days=3, hours=5)
RECORDS = [
    call(f"{window.key}-{number}", (window.start + into).strftime("%Y-%m-%dT%H:%M:%SZ"))
    for window in WINDOWS
    for number, into in enumerate([timedelta(hours=1), FAILING_HOUR + timedelta(minutes=30)])
]
ALL = {record["recordId"] for record in RECORDS}


class Vendor:
    """A server with six records that can fail on requests that include one hour."""

    def __init__(self) -> None:
        self.fault: Step | None = None
        self.max_failures = 10**9
        self.failures: Counter[str] = Counter()

    def choose(self, request: Received) -> Step:
        body = json.loads(request.body)
        start, end = (body[name].replace(" ", "T") for name in ("StartDate", "EndDate"))
        failing_hour = (MIDDLE.start + FAILING_HOUR).strftime("%Y-%m-%dT%H:%M:%S.000")
        if self.fault and start <= failing_hour < end and self.failures.total() < self.max_failures:
            self.failures[f"{start}/{end}"] += 1
            return self.fault
        listed = [record for record in RECORDS if start <= record["startTimeUTC"][:-1] < end]
        return respond(200, json.dumps(listed).encode())


class Case:
    """An account's lake, and pulls into it from a server that can fail."""

    def __init__(self, path: Path) -> None:
        self.folder: DataFolder = create_folder(path)
        self.clock = Clock()

    def pull(self, url: str, **client: Any) -> dict[StorageWindow, WindowOutcome]:
        self.clock.sleep(3600)
        with build_client(url, self.clock, **client) as api:
            pull = DatasetLoader(
                folder=self.folder,
                account="default",
                table=USAGE,
                fetch=lambda window: api.fetch_usage(window, ["fax"]),
                fetch_once=lambda window: api.fetch_usage(window, ["fax"], retry_server_errors=False),
                concurrency=1,
                verify="auto",
                clock=self.clock.now,
            )
            return {outcome.window: outcome for outcome in pull.load(WINDOWS)}

    def completed_at(self, window: StorageWindow) -> Any:
        state = read_state(self.folder, USAGE, "default", window)
        return state and state.complete_at

    def assert_no_row_is_lost(self) -> None:
        rows = [rows_of(self.folder, window) for window in WINDOWS]
        assert {name for window in rows for name in window.index} == ALL
        assert not any(window["absent_since"].notna().any() for window in rows), "an outage must not set absent_since"


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


@contextmanager
def running(vendor: Vendor) -> Iterator[str]:
    with ScriptedServer(choose=vendor.choose) as server:
        yield server.url


def build_options(fault: Fault) -> dict[str, Any]:
    if fault.step is hang:
        return {"read_timeout": 0.05}
    if fault.error is TimedOut:
        ticks = count()  # the clock advances one minute at each reading
        return {"monotonic": lambda: next(ticks) * 60, "total_timeout": 200}
    return {"max_body_bytes": 100_000}


SCRIPTED_FAULTS = [fault for fault in FAULTS if fault.step is not None]


@pytest.mark.parametrize("fault", SCRIPTED_FAULTS, ids=lambda fault: fault.name)
def test_a_permanent_fault_raises_its_error_and_loses_no_rows(fault: Fault, case: Case) -> None:
    vendor = Vendor()
    with running(vendor) as url:
        assert all(outcome.error is None for outcome in case.pull(url).values())
        before = case.completed_at(MIDDLE)
        vendor.fault = fault.step
        outcomes = case.pull(url, **build_options(fault))
        case.assert_no_row_is_lost()
        error = outcomes[MIDDLE].error
        assert type(error) is fault.error
        assert "CANARY" not in str(error)
        assert case.completed_at(MIDDLE) == before, "a failed pull does not complete a window"
        assert outcomes[FIRST].error is None
        if fault.outcome != "run":
            assert outcomes[LAST].error is None
        if fault.outcome == "part":
            assert outcomes[MIDDLE].responses > 0
        full_range = f"{MIDDLE.start:%Y-%m-%dT%H:%M:%S}.000/{MIDDLE.end:%Y-%m-%dT%H:%M:%S}.000"
        assert vendor.failures[full_range] == fault.attempts

        vendor.fault = None
        assert all(outcome.error is None for outcome in case.pull(url).values())
        assert case.completed_at(MIDDLE) > before
        case.assert_no_row_is_lost()


@pytest.mark.parametrize("fault", [one for one in SCRIPTED_FAULTS if one.attempts > 1], ids=lambda fault: fault.name)
def test_a_temporary_fault_is_retried_and_loses_no_rows(fault: Fault, case: Case) -> None:
    vendor = Vendor()
    vendor.fault, vendor.max_failures = fault.step, 2
    with running(vendor) as url:
        outcomes = case.pull(url, **build_options(fault))
    assert [outcome.error for outcome in outcomes.values()] == [None, None, None]
    assert vendor.failures.total() == 2
    case.assert_no_row_is_lost()


@contextmanager
def run_proxy(context: ssl.SSLContext) -> Iterator[str]:
    """Run a loopback proxy that connects every tunnel to one TLS server, whatever the requested host."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with listener.accept()[0] as connection:
                connection.recv(1 << 16)
                connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                with pytest.raises(ssl.SSLError):
                    context.wrap_socket(connection, server_side=True).recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


def test_a_trusted_certificate_of_another_host_fails_without_a_retry(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (fault,) = (one for one in FAULTS if one.error is BadCertificate)
    certificate = create_certificate(tmp_path, "other.invalid")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate.path))
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with run_proxy(certificate.context) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        error = case.pull("https://api.invalid")[FIRST].error
    assert type(error) is fault.error
    assert "ostname mismatch" in str(error)
    assert len(case.clock.slept[1:]) == fault.attempts - 1


def test_an_unknown_host_is_named_in_the_error(case: Case) -> None:
    (fault,) = (one for one in FAULTS if one.name == "host name not found")
    error = case.pull("https://api.invalid")[FIRST].error
    assert type(error) is fault.error
    assert "host name was not found" in str(error)
    assert len(case.clock.slept[1:]) == fault.attempts - 1


def test_an_endless_response_is_aborted_at_64_mib_in_bounded_memory() -> None:
    endless = drip(write_head(200, length=None) + b"[", b" " * (1 << 20), every=0)
    with ScriptedServer(endless) as server, build_client(server.url) as client:
        tracemalloc.start()
        try:
            with pytest.raises(ResponseTooLarge, match="67108864 bytes"):
                client.fetch_usage(WIDE, ["fax"])
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 150 << 20


def test_the_table_in_trust_md_lists_these_faults() -> None:
    page = (PROJECT / "docs" / "trust.md").read_text()
    table = page.partition("<!-- faults -->\n")[2].partition("\n<!-- /faults -->")[0]
    assert table == render_table(), "update it: python -m tests.support.faults"
