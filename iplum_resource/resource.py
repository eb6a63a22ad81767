"""The Dagster resource, a thin factory of the client. The only module here that imports Dagster."""

import threading
from typing import Literal

import dagster as dg
from pydantic import Field, PrivateAttr

from iplum_resource.client import BASE_URL, IPlumClient
from iplum_resource.credentials import Credentials
from iplum_resource.http.responses import JsonParser, reject_invalid_json
from iplum_resource.limits.rate_limit_state import open_state_store
from iplum_resource.limits.rate_limiter import RateLimiter


class IPlumResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """One signed client per run, shared by its steps, so that one rejected key ends the whole run.

    Pass the keys as `dg.EnvVar(...)`: Dagster then shows the variable's name, never its value. `limiter_file`
    stores the rate limit shared by the processes of a machine, `limiter_database` (a PostgreSQL URL) the one
    shared by several machines; without either, this process has its own.
    """

    access_key: str = Field(repr=False)
    secret_key: str = Field(repr=False)
    login_id: str = Field(repr=False)
    base_url: str = BASE_URL
    language: str = "en"
    login_case: Literal["lower", "typed"] = "lower"
    requests_per_second: float = 5.0
    limiter_file: str | None = None
    limiter_database: str | None = Field(default=None, repr=False)

    _client: IPlumClient | None = PrivateAttr(default=None)
    _lock: threading.Lock = PrivateAttr(default_factory=threading.Lock)

    def get_client(self, parse_invalid: JsonParser = reject_invalid_json) -> IPlumClient:
        """Return the run's client, the same for all threads; `parse_invalid` is that of `IPlumClient`.

        Raises:
            ValueError: The credentials or the base URL cannot be used.

        """
        with self._lock:
            if self._client is None:
                self._client = IPlumClient(
                    Credentials(self.access_key, self.secret_key, self.login_id),
                    base_url=self.base_url,
                    language=self.language,
                    login_case=self.login_case,
                    parse_invalid=parse_invalid,
                    limiter=RateLimiter(
                        self.requests_per_second,
                        store=open_state_store(self.access_key, file=self.limiter_file, database=self.limiter_database),
                    ),
                )
            return self._client

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002
        """Close the client's connections when the run ends."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None
