"""Rate limiting within a process, through a shared file, and through PostgreSQL."""

import itertools
import multiprocessing
import stat
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg2
import pytest
from pyrate_limiter import GCRA, Rate, StateStore

from iplum_resource.errors import RateLimited, RateLimiterFailed
from iplum_resource.limits.rate_limit_state import FileStateStore, PostgresStateStore, open_state_store
from iplum_resource.limits.rate_limiter import RateLimiter
from tests.support.postgres import libpq_url

RATE = Rate(1, 1000)


def read_due(store: StateStore) -> float:
    """Return when the next request is due, in microseconds since the epoch."""
    state = store.read(GCRA(), [RATE])
    assert isinstance(state, tuple)
    return state[0]


class Seconds:
    """A clock in seconds since the epoch that only `sleep` advances."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture(params=["memory", "file", "database"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> StateStore:
    if request.param == "database":
        # Each test has a row of its own.
        return open_state_store(str(tmp_path), file=None, database=libpq_url(request.getfixturevalue("postgres_url")))
    return open_state_store("KEY", file=None if request.param == "memory" else str(tmp_path / "limiter"), database=None)


def _acquire(limiter: RateLimiter, seconds: Seconds, count: int) -> list[float]:
    acquired_at = []
    for _ in range(count):
        limiter.acquire()
        acquired_at.append(seconds.now)
    return acquired_at


def test_requests_are_spread_evenly(store: StateStore) -> None:
    seconds = Seconds()
    acquired_at = _acquire(RateLimiter(5, store=store, clock=seconds, sleep=seconds.sleep), seconds, 11)
    gaps = [later - earlier for earlier, later in itertools.pairwise(acquired_at)]
    assert min(gaps) == pytest.approx(0.2, abs=0.0015)
    assert max(gaps) == pytest.approx(0.2, abs=0.0015)


@pytest.mark.parametrize("rate", [0.5, 2.5, 20, 200])
def test_any_rate_is_met(rate: float) -> None:
    seconds = Seconds()
    count = int(rate * 20)
    acquired_at = _acquire(RateLimiter(rate, clock=seconds, sleep=seconds.sleep), seconds, count + 1)
    assert acquired_at[-1] - acquired_at[0] == pytest.approx(20, rel=0.06)


def test_two_limiters_share_a_file(tmp_path: Path) -> None:
    seconds, file = Seconds(), str(tmp_path / "limiter")
    limiters = [RateLimiter(10, store=FileStateStore(file), clock=seconds, sleep=seconds.sleep) for _ in range(2)]
    started = seconds.now
    for number in range(21):
        limiters[number % 2].acquire()
    assert seconds.now - started == pytest.approx(2.0, abs=0.05)


def test_state_files_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    RateLimiter(10, store=FileStateStore(str(tmp_path / "limiter"))).acquire()
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_http_429_lowers_the_rate_and_successes_raise_it_again(store: StateStore) -> None:
    seconds = Seconds()
    limiter = RateLimiter(10, store=store, clock=seconds, sleep=seconds.sleep)
    limiter.slow_down()
    limiter.slow_down()  # at the same time as the first, so it counts once
    assert limiter.requests_per_second == 5
    _acquire(limiter, seconds, 1)
    before = seconds.now
    _acquire(limiter, seconds, 10)
    assert seconds.now - before == pytest.approx(2.0, abs=0.02)
    for _ in range(9):
        seconds.now += 1
        limiter.slow_down()
    assert limiter.requests_per_second == pytest.approx(1)
    for _ in range(45):
        limiter.speed_up()
    assert limiter.requests_per_second == pytest.approx(10)


def test_a_clock_that_is_set_back_does_not_block_requests(store: StateStore) -> None:
    seconds = Seconds()
    limiter = RateLimiter(5, store=store, clock=seconds, sleep=seconds.sleep)
    limiter.acquire()
    seconds.now -= 3600
    seconds.slept.clear()
    limiter.acquire()
    assert sum(seconds.slept) <= 1


def test_a_penalty_holds_for_every_user_of_the_store(store: StateStore) -> None:
    seconds = Seconds()
    started = seconds.now
    first, second = (RateLimiter(5, store=store, clock=seconds, sleep=seconds.sleep) for _ in range(2))
    first.acquire()
    first.penalize(datetime.fromtimestamp(started + 300, UTC))
    first.penalize(datetime.fromtimestamp(started + 20, UTC))  # does not shorten it
    assert _acquire(second, seconds, 2) == pytest.approx([started + 300, started + 300.2], abs=0.0025)
    assert _acquire(first, seconds, 1) == pytest.approx([started + 300.4], abs=0.0025)


def test_a_penalty_that_is_longer_than_a_caller_waits_fails_at_once(store: StateStore) -> None:
    seconds = Seconds()
    end = datetime.fromtimestamp(seconds.now + 3600, UTC)
    first, second = (RateLimiter(5, store=store, clock=seconds, sleep=seconds.sleep) for _ in range(2))
    first.penalize(end)
    with pytest.raises(RateLimited) as failure:
        second.acquire("POST /usage/getusage", longest_penalty=900)
    assert (failure.value.retry_at, failure.value.request) == (end, "POST /usage/getusage")
    assert seconds.slept == []
    seconds.now += 2701
    second.acquire(longest_penalty=900)
    assert seconds.slept == pytest.approx([899])


@pytest.mark.parametrize("ahead", [timedelta(days=1, seconds=1), timedelta(days=365), timedelta(days=365 * 7000)])
def test_an_implausible_penalty_holds_for_its_own_request_only(store: StateStore, ahead: timedelta) -> None:
    seconds = Seconds()
    limiter = RateLimiter(5, store=store, clock=seconds, sleep=seconds.sleep)
    limiter.penalize(datetime.fromtimestamp(seconds.now, UTC) + ahead)
    limiter.acquire()
    assert seconds.slept == []


def test_a_penalty_from_before_the_clock_was_set_back_a_day_is_ignored(store: StateStore) -> None:
    seconds = Seconds()
    limiter = RateLimiter(5, store=store, clock=seconds, sleep=seconds.sleep)
    limiter.penalize(datetime.fromtimestamp(seconds.now + 60, UTC))
    seconds.now -= 86_400
    limiter.acquire()
    assert seconds.slept == []
    limiter.penalize(datetime.fromtimestamp(seconds.now + 7, UTC))
    limiter.acquire()
    assert seconds.slept == pytest.approx([7])


@pytest.mark.parametrize("content", [b"", b"garbage", b"\xff\xfe", b"9" * 40])
def test_a_damaged_state_file_does_not_block_requests(tmp_path: Path, content: bytes) -> None:
    seconds, file = Seconds(), tmp_path / "limiter"
    limiter = RateLimiter(5, store=FileStateStore(str(file)), clock=seconds, sleep=seconds.sleep)
    file.write_bytes(content)
    limiter.acquire()
    assert seconds.slept == []
    file.unlink()
    limiter.acquire()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_a_rate_that_is_not_positive_is_rejected(rate: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        RateLimiter(rate)


def _acquire_many(file: str, count: int) -> None:
    limiter = RateLimiter(500, store=FileStateStore(file))

    def work() -> None:
        for _ in range(count):
            limiter.acquire()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_processes_and_threads_share_one_rate_limit(tmp_path: Path) -> None:
    file, context = str(tmp_path / "limiter"), multiprocessing.get_context("spawn")
    RateLimiter(500, store=FileStateStore(file)).acquire()
    started = time.time()
    workers = [context.Process(target=_acquire_many, args=(file, 50)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    due = int(Path(file).read_text()) / 1e6
    # Each of the 300 requests advanced the due time by at least 2 ms. A race would have lost some.
    assert due - started >= 300 * 0.002 - 0.025


def test_machines_share_one_rate_limit_in_a_database(postgres_url: str, tmp_path: Path) -> None:
    url, name = libpq_url(postgres_url), str(tmp_path)
    started = time.time()
    limiters = [RateLimiter(500, store=PostgresStateStore(url, name)) for _ in range(3)]

    def work(limiter: RateLimiter) -> None:
        for _ in range(50):
            limiter.acquire()

    threads = [threading.Thread(target=work, args=(limiter,)) for limiter in limiters]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Each of the 150 requests advanced the due time by at least 2 ms. A race would have lost some.
    assert read_due(PostgresStateStore(url, name)) / 1e6 - started >= 150 * 0.002 - 0.025
    assert read_due(PostgresStateStore(url, "another key")) == 0


def test_a_broken_database_connection_is_reopened(postgres_url: str, tmp_path: Path) -> None:
    first, second = (PostgresStateStore(libpq_url(postgres_url), str(tmp_path)) for _ in range(2))
    first.check(GCRA(), [RATE], 1000, 1)
    due = read_due(second)
    assert due > 0
    with psycopg2.connect(libpq_url(postgres_url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    assert read_due(first) == due
    assert read_due(second) == due
    first.reset()
    assert read_due(second) == 0


def test_an_unreachable_database_blocks_requests_and_the_error_shows_no_password() -> None:
    with pytest.raises(RateLimiterFailed, match="IPLUM_LIMITER_URL") as failure:
        RateLimiter(5, store=PostgresStateStore("postgresql://me:s3cret@127.0.0.1:1/none", "KEY")).acquire()
    assert "s3cret" not in str(failure.value)


def test_penalties_of_many_threads_and_their_requests_do_not_mix_in_a_database(
    postgres_url: str, tmp_path: Path
) -> None:
    limiter = RateLimiter(10_000, store=PostgresStateStore(libpq_url(postgres_url), str(tmp_path)))
    started = datetime.now(UTC)
    failures: list[Exception] = []

    def work(number: int) -> None:
        try:
            for step in range(20):
                limiter.penalize(started + timedelta(milliseconds=10 * number + step))
                limiter.acquire()
        except (RateLimiterFailed, psycopg2.Error, ValueError) as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    limiter.penalize(datetime.now(UTC) + timedelta(hours=1))
    with pytest.raises(RateLimited):
        limiter.acquire(longest_penalty=900)
