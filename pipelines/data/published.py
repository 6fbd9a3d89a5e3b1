"""Small folders that other machines need, in a storage they share, and copies of them there.

A folder is published once, under a name that follows from its content. The list of its files,
with their SHA-256, is written last: without it, nothing counts as published.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from pipelines.storage.files import alone_at, publish_folder, sha256_of_file
from pipelines.storage.store import MissingFileError, Storage, join
from sgenet.errors import DataError

_LIST = "files.json"


def publish_files(folder: Path, names: Iterable[str], storage: Storage, path: str) -> None:
    """Publish files of a folder below a path of their own, unless that was done before.

    Args:
        names: paths below ``folder``, with ``/``.

    Raises:
        DataError: a file is missing, or the storage cannot be used.
    """
    if is_published(storage, path):
        return
    digests = {}
    for name in sorted(names):
        storage.upload(folder / name, f"{path}/{name}")
        digests[name] = sha256_of_file(folder / name)
    storage.write(f"{path}/{_LIST}", json.dumps(digests, indent=1).encode())


def is_published(storage: Storage, path: str) -> bool:
    """Whether all of it is there."""
    return storage.exists(f"{path}/{_LIST}")


def fetch_files(storage: Storage, path: str, folder: Path) -> None:
    """Make ``folder`` a copy of what was published below a path; a whole copy stays as it is.

    The processes of a node may call this at once. A copy that was damaged is made again.

    Raises:
        DataError: nothing was published there, or the storage or the disk cannot be used.
    """
    with alone_at(folder):
        digests = _published(storage, path)
        if not _is_copy(folder, digests):
            with publish_folder(folder) as copy:
                for name in digests:
                    storage.download(f"{path}/{name}", copy / name)


def _published(storage: Storage, path: str) -> dict[str, str]:
    try:
        digests: dict[str, str] = json.loads(storage.read(f"{path}/{_LIST}"))
    except MissingFileError:
        raise DataError(
            f"nothing was published at {join(storage.address, path)}, or it was removed; run train again, "
            "which publishes it again"
        ) from None
    return digests


def _is_copy(folder: Path, digests: dict[str, str]) -> bool:
    try:
        return all(sha256_of_file(folder / name) == digest for name, digest in digests.items())
    except OSError:
        return False
