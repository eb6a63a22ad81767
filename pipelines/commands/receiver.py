"""`iplum receiver`: the callback receiver."""

from typing import Annotated

import typer

from pipelines.clock import now
from pipelines.commands.invocation import read_accounts


def receiver(
    host: Annotated[str, typer.Option(help="Address to listen on. Use a proxy for TLS.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 selects a free one.")] = 8088,
) -> None:
    """Receive callbacks from iPlum: stored before they are acknowledged, in the tables within a minute.

    Its paths are /callbacks/IPLUM_CALLBACK_TOKEN/usage and …/recordings; /healthz reports whether events can be
    stored. It stops with Ctrl-C.

    Example: `iplum receiver --port 8088`
    """
    accounts, environ = read_accounts()
    from pipelines.receiver.server import serve

    serve(*accounts, environ=environ, host=host, port=port, clock=now)
