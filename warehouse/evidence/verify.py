#!/usr/bin/env python3
"""Check an evidence chain without the project that wrote it.

    python3 verify.py FOLDER [SEQUENCE:HASH]

FOLDER holds `evidence/` and the sealed files. It needs Python 3.9 and either the package `cryptography` or the command
`openssl` (3.0 or later). It exits with 1 and names the first entry and each file that do not fit.
"""

import base64
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Optional

Last = Optional[tuple[dict[str, Any], bytes]]  # the last entry and its line


def canonical(content: object) -> bytes:
    """Return canonical JSON: sorted keys, no white space, ASCII."""
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def merkle_root(lines: list[bytes]) -> bytes:
    """Return the Merkle tree hash of RFC 6962, section 2.1."""
    if not lines:
        return hashlib.sha256().digest()
    if len(lines) == 1:
        return hashlib.sha256(b"\x00" + lines[0]).digest()
    split = 1 << (len(lines) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + merkle_root(lines[:split]) + merkle_root(lines[split:])).digest()


def is_signed(content: bytes, encoded_signature: str, public_key: str) -> bool:
    """Whether the Ed25519 signature (RFC 8032) of the content is valid; key and signature are base64."""
    key, signature = base64.b64decode(public_key), base64.b64decode(encoded_signature)
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        return is_signed_for_openssl(content, signature, key)
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, content)
    except (InvalidSignature, ValueError):
        return False
    return True


def is_signed_for_openssl(content: bytes, signature: bytes, key: bytes) -> bool:
    """Ask the command `openssl`, which reads a raw key with the prefix of RFC 8410."""
    der = base64.b64encode(bytes.fromhex("302a300506032b6570032100") + key).decode()
    with tempfile.TemporaryDirectory() as folder:
        key_file, signature_file, content_file = (Path(folder, name) for name in ("key.pem", "signature", "content"))
        key_file.write_text(f"-----BEGIN PUBLIC KEY-----\n{der}\n-----END PUBLIC KEY-----\n")
        signature_file.write_bytes(signature)
        content_file.write_bytes(content)
        command = ["openssl", "pkeyutl", "-verify", "-pubin", "-rawin", "-inkey", str(key_file)]
        command += ["-sigfile", str(signature_file), "-in", str(content_file)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


def check_entry(entry: dict[str, Any], line: bytes, last: Last, evidence: Path) -> tuple[str, list[Any]]:
    """Return what does not fit in an entry, or an empty text, and its items."""
    unsigned = {name: value for name, value in entry.items() if name != "signature"}
    content = (evidence / entry["list"]).read_bytes() if entry["list"] else b""
    lines = content.splitlines()
    checks = (
        (canonical(entry) == line, "is not in canonical form"),
        (entry["sequence"] == (last[0]["sequence"] + 1 if last else 1), "is not in order"),
        (entry["previous"] == (hashlib.sha256(last[1]).hexdigest() if last else "0" * 64), "does not follow the last"),
        (not last or entry["public_key"] == (last[0]["next_key"] or last[0]["public_key"]), "has another key"),
        (is_signed(canonical(unsigned), entry["signature"], entry["public_key"]), "has no valid signature"),
        (not last or entry["sealed_at"] >= last[0]["sealed_at"], "is older than the entry before it"),
        (hashlib.sha256(content).hexdigest() == entry["list_sha256"], "has another list"),
        (merkle_root(lines).hex() == entry["root"] and len(lines) == entry["items"], "has another list"),
    )
    return next((problem for fits, problem in checks if not fits), ""), [json.loads(one) for one in lines]


def read_deleted(folder: Path) -> dict[str, str]:
    """Return the hashes of the files that finished deletion records account for, by path."""
    deleted = {}
    for path in sorted(folder.glob("retention/account=*/*.json")):
        record = json.loads(path.read_bytes())
        listed = [(window, raw) for window, content in record["windows"].items() for raw in content["raw"]]
        listed += [(raw["window"], raw) for raw in record.get("rewritten", [])]
        for window, raw in listed if record["finished_at"] else ():
            place = f"raw/{raw['dataset']}/{path.parent.name}/window_start={window}/{raw['name']}"
            deleted[place] = raw.get("sha256")
        for file in record["files"] if record["finished_at"] else ():
            if file["sha256"] not in record["files_kept"]:
                deleted[file["path"]] = file["sha256"]
    return deleted


def check_file(folder: Path, item: dict[str, str], deleted: dict[str, str]) -> str:
    """Return what is wrong with a sealed file, or an empty text."""
    path = folder / item["path"]
    if not path.is_file():
        return "" if deleted.get(item["path"]) == item["sha256"] else "is missing"
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return "" if digest.hexdigest() == item["sha256"] else "was changed"


def main(folder: Path, expected: str = "") -> int:
    """Check everything, print the result, and return the exit code."""
    chain, deleted = folder / "evidence/chain.jsonl", read_deleted(folder)
    problems, references, count = [], set(), 0
    last: Last = None
    for line in chain.read_bytes().splitlines():
        try:
            entry = json.loads(line)
            problem, items = check_entry(entry, line, last, chain.parent)
        except (OSError, ValueError, KeyError, TypeError) as error:
            problem, entry, items = f"cannot be read ({type(error).__name__})", {"sequence": "?"}, []
        if problem:
            problems.append(f"entry {entry['sequence']} {problem}; later entries were not checked")
            break
        checked = ((item["path"], check_file(folder, item, deleted)) for item in items)
        problems += [f"entry {entry['sequence']}: {path} {found}" for path, found in checked if found]
        last, count = (entry, line), count + len(items)
        references.add(f"{entry['sequence']}:{hashlib.sha256(line).hexdigest()}")
    if expected and expected not in references:
        problems.append(f"entry {expected.partition(':')[0]} is missing or is another one")
    print("".join(f"PROBLEM: {problem}\n" for problem in problems), end="")
    if last:
        key = base64.b64encode(hashlib.sha256(base64.b64decode(last[0]["public_key"])).digest()).decode().rstrip("=")
        print(f"{last[0]['sequence']} entries, {count} files, last sealed at {last[0]['sealed_at']}, key SHA256:{key}")
        print(f"last entry {last[0]['sequence']}:{hashlib.sha256(last[1]).hexdigest()}")
    return 1 if problems or not last else 0


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
