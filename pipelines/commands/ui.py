"""`iplum ui`: Dagster's UI and daemon."""

from typing import Annotated, Literal

import typer

from pipelines.settings import find_home


def ui(
    host: Annotated[str, typer.Option(help="Address to listen on. The UI has no password.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of the UI.")] = 3000,
    only: Annotated[
        Literal["webserver", "daemon"] | None, typer.Option(help="Start one of the two, for systemd or a container.")
    ] = None,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Show the UI without the buttons that change something.")
    ] = False,
) -> None:
    """Run the Dagster UI and its daemon, which starts the scheduled syncs, until Ctrl-C.

    Requests that another web page sends, or that use another name than localhost, are refused. List the names of a
    proxy in IPLUM_UI_HOSTS.

    Examples: `iplum ui` · `iplum ui --only webserver --read-only --port 3001`
    """
    import os

    if read_only and only != "webserver":
        raise typer.BadParameter("--read-only needs --only webserver: the daemon always starts runs")
    from pipelines.container_init import is_first_process, run_as_first_process
    from pipelines.dagster_home import build_daemon_command, build_ui_command, build_webserver_command, prepare_ui

    home, environ = prepare_ui(os.environ, find_home(os.environ).path)
    address = ("--host", host, "--port", str(port))
    if only == "daemon":
        command = build_daemon_command()
    elif only == "webserver":
        command = build_webserver_command(*address, *(["--read-only"] if read_only else []))
    else:
        command = build_ui_command(*address)
    os.chdir(home)
    if is_first_process():
        raise typer.Exit(run_as_first_process(command, environ))
    os.execve(command[0], command, environ)  # noqa: S606 the project's own program
