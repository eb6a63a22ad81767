"""Two machines that share a bucket add to one chain."""

import shutil
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.support.raw_responses import call, fold, response
from tests.support.s3 import S3Server
from warehouse.errors import SealRefused
from warehouse.evidence.chain_verification import find_chain_problems
from warehouse.evidence.seal import read_chain, seal
from warehouse.storage.atomic_files import Modes
from warehouse.storage.paths import DataFolder

DAY = datetime(2030, 1, 1, tzinfo=UTC)


def test_two_machines_add_to_one_chain_without_a_fork(s3_server: S3Server, tmp_path: Path) -> None:
    bucket = s3_server.create_bucket()
    one, other = (DataFolder.in_bucket(bucket, tmp_path / name, Modes()) for name in ("one", "other"))
    fold(one, response([call("a")], hours=1))
    assert seal(one, one.seal_key, now=DAY) is not None
    other.seal_key.parent.mkdir(parents=True)
    shutil.copy(one.seal_key, other.seal_key)
    refused = []

    def add(folder: DataFolder, hours: int) -> None:
        fold(folder, response([call(str(hours))], hours=hours))
        try:
            seal(folder, folder.seal_key, now=DAY + timedelta(days=1))
        except SealRefused as error:
            refused.append(error)

    for number in range(3):
        threads = [
            threading.Thread(target=add, args=(folder, 10 * number + place))
            for place, folder in enumerate((one, other), 2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert list(find_chain_problems(other, other.seal_key)) == []
    seal(one, one.seal_key, now=DAY + timedelta(days=2))
    _, entries = read_chain(other)
    assert [entry.sequence for entry in entries] == list(range(1, len(entries) + 1))
    assert sum(entry.items for entry in entries) == 7
    assert list(find_chain_problems(one, one.seal_key)) == []
