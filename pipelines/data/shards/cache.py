"""Whole shards on the disk of a training node, shared by the processes there. Needs NumPy alone.

====================  ============================================================================
``shards/<sha256>``   a whole shard, named once its SHA-256 was verified; behind its end lie the
                      CRC-32 of each of its blocks of 64 KiB, and its size
``partial/<sha256>``  a shard on its way here, locked by the process that fetches it
``leases/<name>``     the shards that a training reads, locked while one of its processes lives
``lock``              held while somebody decides which shards stay
====================  ============================================================================

All locks belong to open files, so a killed process leaves none behind. Every read is verified
block by block: a damaged copy is thrown away and the caller reads from where it came from.

A shard that is read by a running training is never evicted. Training reads samples in random
order: evicting a shard to make room for another of the same data would fetch a whole shard for
almost every sample. What does not fit is not cached.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import secrets
import struct
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sgenet.errors import DataError

_BLOCK = 1 << 16
_SIZE = struct.Struct("<Q")
_FETCHED_AT_ONCE = 8 << 20
_MAX_OPEN_FILES = 128
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

ReadRange = Callable[[int, int], bytes]
"""Gives the bytes of a shard at an offset, of a size, from where it was published."""


class Fetched(Enum):
    """What came of asking for a shard."""

    HERE = "it is in the cache"
    BUSY = "another process is fetching it"
    NO_ROOM = "shards of running trainings fill the cache"
    DISK_FULL = "the disk is full"


class ShardCache:
    """A folder of shards, at most ``capacity`` bytes of them.

    Args:
        folder: on a disk of this node; made when it is first needed.
        capacity: in bytes. Room is made by removing the shards that no running training reads,
            the longest unused first.
    """

    def __init__(self, folder: Path, capacity: int) -> None:
        self.folder = folder
        self.capacity = capacity
        self._open: OrderedDict[str, _OpenShard] = OrderedDict()
        self._leases: list[int] = []

    def __reduce__(self) -> tuple[type[ShardCache], tuple[Path, int]]:
        # Sent elsewhere, it starts without open files; the lease stays with whoever took it.
        return type(self), (self.folder, self.capacity)

    def lease(self, digests: Iterable[str]) -> None:
        """Keep these shards from being evicted while this process, or one forked from it later, lives.

        Raises:
            OSError: the folder cannot be written to.
        """
        wanted = sorted(digests)
        with self._decisions():
            path = self.folder / "leases" / f"{os.getpid()}-{secrets.token_hex(4)}"
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            os.write(descriptor, json.dumps(wanted).encode())
            for digest in wanted:
                _touch(self._path(digest))
        self._leases.append(descriptor)

    def has(self, digest: str) -> bool:
        """Whether the whole shard is here."""
        return self._path(digest).exists()

    def fetch(self, digest: str, size: int, read_range: ReadRange) -> Fetched:
        """Download a shard, unless it is here, on its way, or there is no room for it.

        Raises:
            DataError: it cannot be read, or is not what was published under this hash.
            OSError: the folder cannot be written to.
        """
        if self.has(digest):
            return Fetched.HERE
        self._make_folders()
        partial = self.folder / "partial" / digest
        descriptor = os.open(partial, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            # Whoever renamed or removed the file between these lines has been quicker.
            if not _lock(descriptor) or not _is_at(descriptor, partial):
                return Fetched.HERE if self.has(digest) else Fetched.BUSY
            refused = self._reserve(descriptor, _stored_size(size))
            if refused is not None:
                return refused
            _fill(descriptor, digest, size, read_range)
            with self._decisions():
                partial.replace(self._path(digest))
            return Fetched.HERE
        finally:
            _unlock(descriptor)
            # Where it has not got its new name, it is now like one that a killed process left.
            _remove_if_unlocked(partial)

    def read(self, digest: str, offset: int, size: int) -> bytes | None:
        """Verified bytes of a shard; None where it is not here or its copy was damaged, and is gone now."""
        shard = self._opened(digest)
        if shard is None:
            return None
        content = shard.read(offset, size)
        if content is None:
            self._discard(digest, shard)
        return content

    def _path(self, digest: str) -> Path:
        return self.folder / "shards" / digest

    def _make_folders(self) -> None:
        for name in ("shards", "partial", "leases"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)

    @contextmanager
    def _decisions(self) -> Iterator[None]:
        """One process at a time decides what stays."""
        self._make_folders()
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            _unlock(descriptor)

    def _reserve(self, descriptor: int, size: int) -> Fetched | None:
        """Give a partial file its full size on the disk, making room for it; else why that cannot be."""
        with self._decisions():
            os.ftruncate(descriptor, 0)
            idle = self._idle_shards()
            used = self._size_of("shards") + self._size_of("partial")
            while used + size > self.capacity:
                if not idle:
                    return Fetched.NO_ROOM
                used -= _remove(idle.pop(0))
            while not _allocate(descriptor, size):
                if not idle:
                    return Fetched.DISK_FULL
                _remove(idle.pop(0))
        return None

    def _idle_shards(self) -> list[Path]:
        """The shards no running training reads, the longest unused first; what dead processes left is removed."""
        for partial in (self.folder / "partial").iterdir():
            _remove_if_unlocked(partial)
        in_use: set[str] = set()
        for lease in (self.folder / "leases").iterdir():
            if not _remove_if_unlocked(lease):
                with suppress(OSError, ValueError):
                    in_use |= set(json.loads(lease.read_text()))
        idle = [path for path in (self.folder / "shards").iterdir() if path.name not in in_use]
        return sorted(idle, key=lambda path: path.stat().st_mtime_ns)

    def _size_of(self, name: str) -> int:
        return sum(_size(path) for path in (self.folder / name).iterdir())

    def _opened(self, digest: str) -> _OpenShard | None:
        if digest not in self._open:
            shard = _OpenShard.open(self._path(digest))
            if shard is None:
                return None
            if len(self._open) >= _MAX_OPEN_FILES:
                os.close(self._open.popitem(last=False)[1].descriptor)
            self._open[digest] = shard
            _touch(self._path(digest))
        self._open.move_to_end(digest)
        return self._open[digest]

    def _discard(self, digest: str, shard: _OpenShard) -> None:
        del self._open[digest]
        with self._decisions():
            # Somebody may have replaced the damaged copy already.
            if _is_at(shard.descriptor, self._path(digest)):
                _remove(self._path(digest))
        os.close(shard.descriptor)

    def __del__(self) -> None:
        for descriptor in (*self._leases, *(shard.descriptor for shard in self._open.values())):
            os.close(descriptor)


class _OpenShard(NamedTuple):
    """A shard this process has open, with the checksums of its blocks."""

    descriptor: int
    size: int
    checksums: npt.NDArray[np.uint32]

    @classmethod
    def open(cls, path: Path) -> _OpenShard | None:
        """None where it is not there; one whose every read fails where its checksums make no sense."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        stored = os.fstat(descriptor).st_size
        end = os.pread(descriptor, _SIZE.size, max(stored - _SIZE.size, 0))
        size = _SIZE.unpack(end)[0] if len(end) == _SIZE.size else -1
        checksums = b""
        if 0 <= size < stored and _stored_size(size) == stored:
            checksums = os.pread(descriptor, stored - _SIZE.size - size, size)
        return cls(descriptor, size, np.frombuffer(checksums, np.uint32))

    def read(self, offset: int, size: int) -> bytes | None:
        """None where the bytes do not match the checksums."""
        first, last = offset // _BLOCK, (offset + size - 1) // _BLOCK
        try:
            # pread has no file position, so processes forked from this one may share its descriptors.
            end = min((last + 1) * _BLOCK, self.size)
            content = os.pread(self.descriptor, max(end - first * _BLOCK, 0), first * _BLOCK)
        except OSError:
            return None
        start = offset - first * _BLOCK
        wanted = content[start : start + size]
        expected = self.checksums[first : last + 1].tolist()
        return wanted if len(wanted) == size and _checksums(content) == expected else None


def _fill(descriptor: int, digest: str, size: int, read_range: ReadRange) -> None:
    """Copy and verify a shard, and write the checksums of its blocks behind it."""
    whole, checksums = hashlib.sha256(), []
    for offset in range(0, size, _FETCHED_AT_ONCE):
        content = read_range(offset, min(_FETCHED_AT_ONCE, size - offset))
        os.pwrite(descriptor, content, offset)
        whole.update(content)
        checksums += _checksums(content)
    if whole.hexdigest() != digest:
        raise DataError(
            f"the shard published as {digest} is damaged: its SHA-256 is {whole.hexdigest()}; "
            "remove it there and run train again, which publishes it again"
        )
    os.pwrite(descriptor, np.array(checksums, np.uint32).tobytes() + _SIZE.pack(size), size)
    os.fsync(descriptor)


def _checksums(content: bytes) -> list[int]:
    view = memoryview(content)
    return [zlib.crc32(view[start : start + _BLOCK]) for start in range(0, len(view), _BLOCK)]


def _stored_size(size: int) -> int:
    """Of a shard with its checksums."""
    return size + np.uint32().itemsize * -(-size // _BLOCK) + _SIZE.size


def _allocate(descriptor: int, size: int) -> bool:
    """Take the room on the disk at once, so that a full disk is found out before anything is fetched."""
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        os.ftruncate(descriptor, 0)
        return False
    return True


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        # A fetch that failed has just removed its partial file.
        return 0


def _remove(path: Path) -> int:
    size = path.stat().st_size
    path.unlink()
    return size


def _touch(path: Path) -> None:
    with suppress(OSError):
        os.utime(path)


def _lock(descriptor: int) -> bool:
    """Lock an open file unless another open file of any process holds it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _unlock(descriptor: int) -> None:
    # Closing alone would leave the lock with a process that was forked from this one meanwhile.
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file is the one of this name, not one that was removed or renamed."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _remove_if_unlocked(path: Path) -> bool:
    """Remove a file whose owner is dead; whether it is gone."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return True
    if not _lock(descriptor):
        os.close(descriptor)
        return False
    # Locked or not, what was opened may have been renamed since, and the name now be another owner's.
    if _is_at(descriptor, path):
        path.unlink()
    _unlock(descriptor)
    return True
