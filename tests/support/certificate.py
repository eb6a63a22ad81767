"""Self-signed TLS certificates."""

import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Certificate:
    """A certificate file (`path`) and a server's SSL context that uses it."""

    path: Path
    context: ssl.SSLContext


def create_certificate(folder: Path, host: str) -> Certificate:
    """Create a certificate for a host with openssl; skip the test if openssl is not installed."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    key, path = folder / "key.pem", folder / "certificate.pem"
    names = ["-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}"]
    options = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names]
    command = [openssl, "req", *options, "-keyout", str(key), "-out", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, key)
    return Certificate(path, context)
