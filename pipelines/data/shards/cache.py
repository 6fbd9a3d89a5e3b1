"""Whole shards on the disk of a training node, shared by the processes there. Needs NumPy alone.

====================  ============================================================================
``shards/<sha256>``   a whole shard, given this name once its SHA-256 is verified; followed by the
                      CRC-32 of each of its blocks of 64 KiB, and its size
``leases/<name>``     the shards that a process of a training reads now and next, and where they
                      are published; locked while the process lives
``partial``, ``lock`` of the one process that downloads and evicts shards: :mod:`.fetcher`
====================  ============================================================================

All locks belong to open files, so a killed process leaves none behind. Every read is verified
block by block: a damaged copy is thrown away and the caller reads from where it came from.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import struct
import zlib
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

_BLOCK = 1 << 16
_SIZE = struct.Struct("<Q")
_CHECKSUM = np.uint32().itemsize


@dataclass(frozen=True)
class Lease:
    """What a process reads: the SHA-256 of shards, which name them here and where they are published, and their sizes.

    Attributes:
        storage: address of where all of it is published.
        now: the shards it reads.
        next: those it is going to read.
    """

    storage: str
    now: dict[str, int] = field(default_factory=dict)
    next: dict[str, int] = field(default_factory=dict)


def published_path(digest: str) -> str:
    """Where a shard lies in a storage that many nodes share."""
    return f"shards/{digest}.tar"


class ShardCache:
    """A folder of shards on a disk of this node, as those who read them see it; made when it is first needed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lease: tuple[Path, int] | None = None

    def __reduce__(self) -> tuple[type[ShardCache], tuple[Path]]:
        # The lease stays with whoever took it.
        return type(self), (self.folder,)

    def lease(self, lease: Lease) -> None:
        """Replace the lease of this process, which processes forked from it later share.

        Leased shards are downloaded to this node and kept while the process lives.

        Raises:
            OSError: the folder cannot be written to.
        """
        make_folders(self.folder)
        path = self.folder / "leases" / f"{os.getpid()}-{secrets.token_hex(4)}"
        # Locked before it has its name: one that is found unlocked is of a dead process.
        unnamed = path.with_name(f".{path.name}")
        descriptor = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with open(descriptor, "wb", closefd=False) as file:
            file.write(json.dumps(asdict(lease)).encode())
        unnamed.rename(path)
        self.release()
        self._lease = path, descriptor

    def release(self) -> None:
        """Give up the lease, if there is one."""
        if self._lease is not None:
            path, descriptor = self._lease
            path.unlink(missing_ok=True)
            unlock(descriptor)
            self._lease = None

    def read(self, digest: str, offset: int, size: int) -> bytes | None:
        """Verified bytes of a shard; None if it is not here, or if its copy was damaged, which is then deleted."""
        path = self.folder / "shards" / digest
        try:
            with path.open("rb", buffering=0) as file:
                content = _verified(file.fileno(), offset, size)
                # Somebody may have replaced the damaged copy already.
                if content is None and is_at(file.fileno(), path):
                    path.unlink(missing_ok=True)
        except FileNotFoundError:
            return None
        return content


def _verified(descriptor: int, offset: int, size: int) -> bytes | None:
    """Bytes of a cached shard; None where they do not match the checksums behind its end."""
    try:
        stored = os.fstat(descriptor).st_size
        (shard_size,) = _SIZE.unpack(os.pread(descriptor, _SIZE.size, max(stored - _SIZE.size, 0)))
        if stored_size(shard_size) != stored:
            return None
        first, last = offset // _BLOCK, (offset + size - 1) // _BLOCK
        content = os.pread(descriptor, min((last + 1) * _BLOCK, shard_size) - first * _BLOCK, first * _BLOCK)
        checksums = os.pread(descriptor, _CHECKSUM * (last + 1 - first), shard_size + _CHECKSUM * first)
    except (OSError, ValueError, struct.error):
        return None
    start = offset - first * _BLOCK
    wanted = content[start : start + size]
    expected = np.frombuffer(checksums, np.uint32).tolist()
    return wanted if len(wanted) == size and checksums_of(content) == expected else None


def tail_of(checksums: list[int], size: int) -> bytes:
    """What lies behind the end of a shard of this size in the cache."""
    return np.array(checksums, np.uint32).tobytes() + _SIZE.pack(size)


def checksums_of(content: bytes) -> list[int]:
    """The CRC-32 of each block."""
    view = memoryview(content)
    return [zlib.crc32(view[start : start + _BLOCK]) for start in range(0, len(view), _BLOCK)]


def stored_size(size: int) -> int:
    """Bytes of a shard with its checksums."""
    return size + _CHECKSUM * -(-size // _BLOCK) + _SIZE.size


def make_folders(folder: Path) -> None:
    """Make those of a cache."""
    for name in ("shards", "partial", "leases"):
        (folder / name).mkdir(parents=True, exist_ok=True)


def lock(descriptor: int) -> bool:
    """Lock an open file unless another open file of any process holds it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def unlock(descriptor: int) -> None:
    """Unlock and close a file."""
    # Closing alone would leave the lock with a process that was forked from this one meanwhile.
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


def is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file is the one of this name, not one that was removed or renamed."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
