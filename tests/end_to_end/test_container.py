"""The container: its files, the conditions that it gives the commands, and the image where one can be built."""

import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from iplum_resource.standin.server import Running
from pipelines.settings import PROJECT
from tests.support.account import Account

CONTAINER = PROJECT / "deploy" / "container"
CONTAINERFILE = (CONTAINER / "Containerfile").read_text()
SERVICES: dict[str, Any] = yaml.safe_load((CONTAINER / "compose.yaml").read_text())["services"]
#: A user ID without an entry in passwd.
USER = "54321"
#: The option with which a user other than root may create namespaces.
AS_ROOT = [] if os.geteuid() == 0 else ["--map-root-user"]


def test_the_services_have_no_privileges_and_listen_on_this_machine_only() -> None:
    assert set(SERVICES) == {"daemon", "ui", "receiver"}
    for service in SERVICES.values():
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert service["volumes"] == ["data:/var/lib/iplum"]
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        assert service["healthcheck"]["test"][0] == "CMD"
    assert re.search(r"^USER 10001:10001$", CONTAINERFILE, re.MULTILINE)


def test_the_images_have_short_names() -> None:
    assert re.findall(r"^ARG BASE=(.+)$", CONTAINERFILE, re.MULTILINE) == ["python:3.12-slim"]
    assert set(re.findall(r"^FROM (\S+)", CONTAINERFILE, re.MULTILINE)) == {"${BASE}"}
    assert {service["image"] for service in SERVICES.values()} == {"iplum-warehouse"}


def test_the_build_gets_the_code_and_neither_data_nor_keys() -> None:
    lines = (PROJECT / ".containerignore").read_text().splitlines()
    assert (PROJECT / ".dockerignore").read_text().splitlines() == lines, "Docker reads the other name"
    allowed = {line.removeprefix("!") for line in lines if line.startswith("!")}
    wheel = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {*wheel["packages"], *wheel["shared-data"], "pyproject.toml", "requirements.lock", "LICENSE"}
    assert allowed == needed
    assert "**" in lines


@contextmanager
def running(volume: Path, environ: dict[str, str], *command: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run a command as the first process of a container, and yield its parent and its process ID.

    The root file system is read-only, the user has no name, and HOME, TZ and a terminal are missing.
    """
    variables = {**environ, "PATH": os.environ["PATH"], "PYTHONPATH": os.environ["PYTHONPATH"], "TMPDIR": str(volume)}
    script = (
        'mount --bind "$1" "$1" && mount -o remount,bind,ro / && shift && '
        'user=$1 && shift && exec unshare --user --map-user="$user" --map-group="$user" env -i "$@"'
    )
    arguments = ["sh", "-c", script, "sh", str(volume), USER, *(f"{name}={value}" for name, value in variables.items())]
    with subprocess.Popen(
        ["unshare", *AS_ROOT, "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", *arguments, *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
            while process.poll() is None and not (found := children.read_text().split()):
                time.sleep(0.05)
            yield process, int(found[0]) if process.poll() is None else 0
        finally:
            process.kill()


def can_unshare() -> bool:
    """Whether this user may create the namespaces of a container."""
    command = ["unshare", *AS_ROOT, "--mount", "--pid", "--fork", "mount", "--bind", "/usr", "/usr"]
    return bool(shutil.which("unshare")) and subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not can_unshare(), reason="this system does not let the user create namespaces")
def test_the_commands_work_as_in_the_container(standin: Running, tmp_path: Path) -> None:
    account = Account(standin, tmp_path)
    account.set_options(rows_per_day=2)
    volume = tmp_path / "volume"
    volume.mkdir()
    environ = {**account.environ, "IPLUM_HOME": str(volume)}
    del environ["IPLUM_DATA"]
    iplum = (sys.executable, "-m", "pipelines.cli")
    with running(volume, environ, *iplum, "sync", "--since", str(account.first_day)) as (process, _):
        output = process.communicate(timeout=200)[0]
    assert process.returncode == 0, output
    assert (volume / "data" / "report.html").is_file()

    token = {"IPLUM_CALLBACK_TOKEN": "a-token-of-callbacks"}
    with running(volume, {**environ, **token}, *iplum, "receiver", "--port", "0") as (process, first):
        assert process.stdout is not None
        url = process.stdout.readline().removeprefix("Receiving callbacks at ").strip()
        assert requests.get(f"{url}/healthz", timeout=30).ok
        os.kill(first, signal.SIGTERM)
        assert process.wait(timeout=60) == 0

    with running(volume, environ, *iplum, "ui", "--only", "daemon") as (process, first):
        assert process.stdout is not None
        lines = []
        while "Instance is configured with" not in (line := process.stdout.readline()):
            lines.append(line)
            assert line, lines
        os.kill(first, signal.SIGTERM)
        assert process.wait(timeout=60) == 0, process.stdout.read()


BUILDAH = str(shutil.which("buildah"))
OPTIONS = ("--isolation", "chroot", "--network", "host")


def create_base_image(folder: Path) -> None:
    """Create the image that the build starts from with mmdebstrap, unless it exists; a test downloads no image."""
    base = "python:3.12-slim"
    if subprocess.run([BUILDAH, "inspect", "--type", "image", base], capture_output=True, check=False).returncode == 0:
        return
    if shutil.which("mmdebstrap") is None:
        pytest.skip("neither the image python:3.12-slim nor mmdebstrap is installed")
    packages = "--include=python3,python3-venv,ca-certificates"
    suite = platform.freedesktop_os_release().get("VERSION_CODENAME", "stable")
    subprocess.run(["mmdebstrap", "--variant=minbase", packages, suite, str(folder / "base.tar")], check=True)
    (folder / "Containerfile").write_text("FROM scratch\nADD base.tar /\n")
    subprocess.run([BUILDAH, "build", *OPTIONS, "--tag", base, str(folder)], check=True)


@pytest.mark.skipif(
    "IPLUM_TEST_IMAGE" not in os.environ, reason="set IPLUM_TEST_IMAGE=1 to build the image (5 minutes)"
)
@pytest.mark.skipif(BUILDAH == "None", reason="buildah is not installed")
@pytest.mark.timeout(1800)
def test_the_image_is_built_and_runs(tmp_path: Path) -> None:
    """The variable IPLUM_TEST_IMAGE may contain options of buildah, such as a volume with packages."""
    create_base_image(tmp_path)
    own = [] if (given := os.environ["IPLUM_TEST_IMAGE"]) == "1" else shlex.split(given)
    file = ["--file", str(CONTAINER / "Containerfile"), "--tag", "iplum-warehouse-test"]
    subprocess.run([BUILDAH, "build", *OPTIONS, *own, *file, str(PROJECT)], check=True)
    (volume := tmp_path / "volume").mkdir()
    volume.chmod(0o1777)
    name = subprocess.run([BUILDAH, "from", "iplum-warehouse-test"], capture_output=True, text=True, check=True).stdout
    options = [*OPTIONS, "--user", USER, "--volume", f"{volume}:/var/lib/iplum", name.strip(), "--", "iplum"]
    try:
        shown = subprocess.run([BUILDAH, "run", *options, "doctor"], capture_output=True, text=True, check=False).stdout
        assert shown.startswith("OK    home                 /var/lib/iplum (set by IPLUM_HOME)\n"), shown
        subprocess.run([BUILDAH, "run", *options, "demo", "--days", "5"], check=True)
    finally:
        subprocess.run([BUILDAH, "rm", name.strip()], check=True)
    assert (volume / "demo-data" / "report.html").is_file()
