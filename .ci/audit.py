#!/usr/bin/env python3
"""Check the packages of requirements-dev.lock for known vulnerabilities.

pip-audit is installed separately, next to the packages it checks. Exit codes: 0 all packages were checked and none is
vulnerable, 1 some are vulnerable, 75 some could not be checked, which pip-audit alone reports as success.
"""

import json
import subprocess
import sys
import venv
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
_HOME = _ROOT / ".venv" / "audit"
_NOT_AUDITED = 75
_SERVICES = ("pypi", "osv")


def summarize(report: dict) -> tuple[int, list[str]]:
    """Return the exit code for pip-audit's report, and the lines to print."""
    packages = report.get("dependencies", [])
    vulnerable = [package for package in packages if package.get("vulns")]
    unknown = [package["name"] for package in packages if "skip_reason" in package]
    lines = [
        f"{package['name']} {package['version']}: {', '.join(vuln['id'] for vuln in package['vulns'])}"
        for package in vulnerable
    ]
    lines.append(f"{len(packages) - len(unknown)} of {len(packages)} packages checked, {len(vulnerable)} vulnerable")
    if unknown or not packages:
        lines.append("NOT AUDITED: no vulnerability service could check the other packages")
    code = 1 if vulnerable else _NOT_AUDITED if unknown or not packages else 0
    return code, lines


def run_pip_audit(service: str) -> dict:
    """Return pip-audit's report from one service, or an empty report if the service cannot be reached."""
    output = _HOME / f"{service}.json"
    output.unlink(missing_ok=True)
    lock = ["--requirement", str(_ROOT / "requirements-dev.lock"), "--require-hashes", "--disable-pip"]
    options = ["--format", "json", "--output", str(output), "--progress-spinner", "off"]
    command = [str(_HOME / "bin" / "pip-audit"), "--vulnerability-service", service, *lock, *options]
    try:
        subprocess.run(command, capture_output=True, timeout=300, check=False)
    except subprocess.TimeoutExpired:
        return {}
    return json.loads(output.read_text()) if output.exists() else {}


def main() -> int:
    """Install pip-audit if it is missing, query the services in turn until one responds, and print the result."""
    if not (_HOME / "bin" / "pip-audit").exists():
        venv.create(_HOME, with_pip=True)
        pip = [str(_HOME / "bin" / "python"), "-m", "pip", "install", "--quiet", "pip-audit>=2.10,<3"]
        if subprocess.run(pip, capture_output=True, check=False).returncode:
            print("NOT AUDITED: pip-audit cannot be installed")
            return _NOT_AUDITED
    for service in _SERVICES:
        code, lines = summarize(run_pip_audit(service))
        if code != _NOT_AUDITED:
            break
    print("\n".join(lines))
    return code


if __name__ == "__main__":
    sys.exit(main())
