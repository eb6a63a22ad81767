"""`iplum receiver`: the callback receiver."""

from typing import Annotated

import typer

from pipelines.clock import now
from pipelines.commands.invocation import read_accounts


def receiver(
    host: Annotated[str, typer.Option(help="Address to listen on. Use a proxy for TLS.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 selects a free one.")] = 8088,
) -> None:
    """Receive callbacks from iPlum, store each before acknowledging it, and load them into the tables within a minute.

    Loading needs the Dagster daemon ('iplum ui'); otherwise the next 'iplum sync' loads them. The paths are
    /callbacks/IPLUM_CALLBACK_TOKEN/usage and /callbacks/IPLUM_CALLBACK_TOKEN/recordings. /healthz reports whether
    callbacks can be stored. Stop the receiver with Ctrl-C.

    Example: `iplum receiver --port 8088`
    """
    accounts, environ = read_accounts()
    from pipelines.receiver.server import serve

    serve(*accounts, environ=environ, host=host, port=port, clock=now)
