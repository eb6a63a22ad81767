"""The Dagster resource: one client per run, closed at its end, and keys that are never shown."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from iplum_resource.client import IPlumClient
from iplum_resource.errors import Unauthorized
from iplum_resource.resource import IPlumResource
from iplum_resource.standin.options import Options
from iplum_resource.standin.server import Running
from tests.support.window_pulls import LATER, TYPES
from tests.support.window_requests import WIDE

SECRETS = {
    "TEST_ACCESS_KEY": "CANARY-access-4711",
    "TEST_SECRET_KEY": "CANARY-secret-0815",
    "TEST_LOGIN_ID": "canary.login@clinic.example",
}


@pytest.fixture
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


@pytest.fixture
def account(standin: Running) -> Running:
    standin.options = Options(
        access_key=SECRETS["TEST_ACCESS_KEY"],
        secret_key=SECRETS["TEST_SECRET_KEY"],
        login_id=SECRETS["TEST_LOGIN_ID"],
        now=lambda: LATER,
    )
    return standin


def _build_resource(base_url: str) -> IPlumResource:
    return IPlumResource(
        access_key=dg.EnvVar("TEST_ACCESS_KEY"),
        secret_key=dg.EnvVar("TEST_SECRET_KEY"),
        login_id=dg.EnvVar("TEST_LOGIN_ID"),
        base_url=base_url,
        requests_per_second=1000,
    )


def _build_resource_with_keys(**options: object) -> IPlumResource:
    keys = {"access_key": "CANARY-access", "secret_key": "CANARY-secret", "login_id": "canary@clinic.example"}
    return IPlumResource(**{**keys, **options})  # type: ignore[arg-type]


def _build_job(base_url: str) -> dg.JobDefinition:
    @dg.asset
    def usage(iplum: IPlumResource) -> None:
        iplum.get_client()

    definitions = dg.Definitions(assets=[usage], resources={"iplum": _build_resource(base_url)})
    return definitions.resolve_implicit_global_asset_job_def()


def _assert_no_secret(text: str) -> None:
    for secret in ("CANARY", "canary", "4711", "0815"):
        assert secret not in text


@pytest.mark.usefixtures("_environment")
def test_an_asset_sends_requests_through_the_resource(account: Running, instance: dg.DagsterInstance) -> None:
    @dg.asset
    def usage(iplum: IPlumResource) -> dg.MaterializeResult[None]:
        response = iplum.get_client().fetch_usage(WIDE, TYPES)
        return dg.MaterializeResult(metadata={"rows": len(response.records)})

    result = dg.materialize([usage], resources={"iplum": _build_resource(account.url)}, instance=instance)
    assert result.success
    rows = result.asset_materializations_for_node("usage")[0].metadata["rows"].value
    assert isinstance(rows, int)
    assert rows > 100
    assert [request.status for request in account.requests] == [200]


@pytest.mark.usefixtures("_environment")
def test_the_steps_of_a_run_share_one_client_that_is_closed_at_its_end(
    account: Running, instance: dg.DagsterInstance
) -> None:
    """One circuit breaker must apply to all steps of a run. A new run gets a new client."""
    clients_by_step: list[tuple[IPlumResource, IPlumClient]] = []

    @dg.asset
    def first(iplum: IPlumResource) -> None:
        clients_by_step.append((iplum, iplum.get_client()))

    @dg.asset(deps=[first])
    def second(iplum: IPlumResource) -> None:
        clients_by_step.append((iplum, iplum.get_client()))

    resource = _build_resource(account.url)
    for _ in range(2):
        assert dg.materialize([first, second], resources={"iplum": resource}, instance=instance).success
    clients = [client for _, client in clients_by_step]
    assert clients[0] is clients[1]
    assert clients[2] is clients[3]
    assert clients[0] is not clients[2]
    assert account.requests == []
    assert [used._client for used, _ in clients_by_step] == [None] * 4


@pytest.mark.usefixtures("_environment")
def test_the_client_is_closed_after_a_failed_run(account: Running, instance: dg.DagsterInstance) -> None:
    used: list[IPlumResource] = []
    account.options = Options()

    @dg.asset
    def usage(iplum: IPlumResource) -> None:
        used.append(iplum)
        iplum.get_client().fetch_usage(WIDE, TYPES)

    with pytest.raises(Unauthorized):
        dg.materialize([usage], resources={"iplum": _build_resource(account.url)}, instance=instance)
    assert [resource._client for resource in used] == [None]


def test_teardown_closes_the_connections_of_the_client() -> None:
    resource = _build_resource_with_keys(base_url="http://127.0.0.1:9")
    with dg.build_resources({"iplum": resource}) as resources:
        used: IPlumResource = resources.iplum
        closed: list[str] = []
        transport = used.get_client()._transport
        close = transport.close

        def record_and_close() -> None:
            closed.append("closed")
            close()

        transport.close = record_and_close  # type: ignore[method-assign]
    assert closed == ["closed"]
    assert used._client is None


def test_concurrent_threads_get_the_same_client(tmp_path: Path) -> None:
    """Two clients would have two circuit breakers, and would send a wrong key twice."""
    for number in range(20):
        resource = _build_resource_with_keys(limiter_file=str(tmp_path / f"limiter-{number}"))
        barrier, clients = threading.Barrier(8), list[IPlumClient]()

        def fetch(
            resource: IPlumResource = resource,
            barrier: threading.Barrier = barrier,
            clients: list[IPlumClient] = clients,
        ) -> None:
            barrier.wait(20)
            clients.append(resource.get_client())

        threads = [threading.Thread(target=fetch) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(clients) == 8
        assert len({id(client) for client in clients}) == 1
        clients[0].close()


@pytest.mark.usefixtures("_environment")
def test_logs_reprs_and_run_configuration_in_dagster_contain_no_key(
    account: Running, instance: dg.DagsterInstance, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    resource = _build_resource(account.url)
    shown = [repr(resource), str(resource)]

    @dg.asset
    def usage(context: dg.AssetExecutionContext, iplum: IPlumResource) -> None:
        shown.extend([repr(iplum), str(iplum), repr(iplum.get_client())])
        context.log.info(f"{iplum} {iplum!r}")
        iplum.get_client().fetch_usage(WIDE, TYPES)

    definitions = dg.Definitions(assets=[usage], resources={"iplum": resource})
    job = definitions.resolve_implicit_global_asset_job_def()
    config = job.resource_defs["iplum"].config_schema.default_value
    assert {"env": "TEST_SECRET_KEY"} in config.values()
    result = job.execute_in_process(instance=instance)
    records = instance.all_logs(result.run_id)
    assert result.success
    assert records
    shown += [json.dumps(config), *(repr(record) for record in records), caplog.text, *capfd.readouterr()]
    shown += [json.dumps(instance.get_runs()[0].run_config), repr(job)]
    for text in shown:
        _assert_no_secret(text)


@pytest.mark.usefixtures("_environment")
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("TEST_ACCESS_KEY", " CANARY-access-4711", "access_key has white space"),
        ("TEST_SECRET_KEY", "'CANARY-secret-0815'", "secret_key has quotes"),
        ("TEST_LOGIN_ID", "canary\x07", "login_id has an invisible"),
    ],
)
def test_an_invalid_key_is_reported_by_name_without_its_value(
    name: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch, account: Running, instance: dg.DagsterInstance
) -> None:
    monkeypatch.setenv(name, value)
    result = _build_job(account.url).execute_in_process(instance=instance, raise_on_error=False)
    shown = "\n".join(repr(record) for record in instance.all_logs(result.run_id))
    assert not result.success
    assert message in shown
    _assert_no_secret(shown)
    assert account.requests == []


@pytest.mark.usefixtures("_environment")
def test_an_unset_environment_variable_is_named_in_the_error(
    monkeypatch: pytest.MonkeyPatch, account: Running, instance: dg.DagsterInstance
) -> None:
    monkeypatch.delenv("TEST_SECRET_KEY")
    with pytest.raises(dg.DagsterInvalidConfigError, match="TEST_SECRET_KEY") as caught:
        _build_job(account.url).execute_in_process(instance=instance)
    _assert_no_secret(str(caught.value))


def test_definitions_load_in_an_empty_environment() -> None:
    definitions = dg.Definitions(resources={"iplum": _build_resource("https://api.iplum.com")})
    dg.Definitions.validate_loadable(definitions)


@pytest.mark.parametrize("base_url", ["http://api.iplum.com", "https://user@api.iplum.com", "ftp://api.iplum.com"])
def test_an_invalid_base_url_is_rejected(base_url: str) -> None:
    with pytest.raises(ValueError, match="base URL"):
        _build_resource_with_keys(base_url=base_url).get_client()


def test_the_settings_of_the_resource_are_passed_to_the_client() -> None:
    resource = _build_resource_with_keys(login_case="typed", requests_per_second=2.5, language="es")
    client = resource.get_client()
    assert client._limiter.requests_per_second == 2.5
    assert (client._language, client._login_id) == ("es", "canary@clinic.example")
    client.close()
