"""One process per node downloads the shards that its trainings read, and removes the others.

Every process of every training leases what it reads now and next (:class:`.cache.ShardCache`) and starts one of these.
The process that holds the folder's lock works for all of them; the others stand by. No other process adds or removes
shards, so it keeps count of them in memory. What has no room is not cached, and read sample by sample.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from functools import cache
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

from pipelines.data.shards.cache import (
    Lease,
    checksums_of,
    is_at,
    lock,
    make_folders,
    published_path,
    stored_size,
    tail_of,
    unlock,
)
from pipelines.storage.store import Storage, open_storage
from sgenet.errors import DataError

Say = Callable[[str], None]

_AT_ONCE = 16
_BYTES_AT_ONCE = 8 << 20
_SECONDS_BETWEEN_LOOKS = 0.5
_SECONDS_BEFORE_TRYING_AGAIN = 10.0
_SECONDS_TO_START = 30.0
_SECONDS_TO_END = 5.0
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class FetcherProcess:
    """A process that is, or waits to be, the fetcher of a cache until it is stopped or this process dies.

    Start it where processes may be forked: before threads are at work. The cache may take ``capacity`` bytes.
    """

    def __init__(self, folder: Path, capacity: int) -> None:
        context = get_context("fork") if sys.platform == "linux" else get_context("spawn")
        self._connection, there = context.Pipe()
        self._process = context.Process(
            target=_work, args=(folder, capacity, there, os.getpid()), name="shard-fetcher", daemon=True
        )
        self._process.start()
        there.close()
        self._status: int | None = None
        # From here on it knows what was in the cache, and says what vanishes from it.
        self._connection.poll(_SECONDS_TO_START)

    def pass_on(self, say: Say) -> None:
        """Forward its messages to ``say``."""
        with suppress(EOFError, OSError):
            while self._connection.poll():
                text = self._connection.recv()
                if text:
                    say(text)
        status = self._process.exitcode
        if status and status != self._status and status != -signal.SIGTERM:
            say(f"the process that downloads shards ended with status {status}; samples are read one by one")
        self._status = status

    def stop(self, say: Say) -> None:
        """Stop it; its successor restarts unfinished downloads."""
        with suppress(OSError):
            self._connection.send("stop")
        self._process.join(_SECONDS_TO_END)
        self.pass_on(say)
        self._process.kill()
        self._process.join()
        self._connection.close()


def _work(folder: Path, capacity: int, connection: Connection, parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    said = {""}

    def say_once(text: str) -> None:
        if text not in said:
            said.add(text)
            connection.send(text)

    def stopped(seconds: float) -> bool:
        return connection.poll(seconds) or os.getppid() != parent

    waiting = False
    while not stopped(_SECONDS_BETWEEN_LOOKS if waiting else 0):
        with the_only(folder) as alone:
            fetcher = Fetcher(folder, capacity, say_once) if alone else None
            if not waiting:
                connection.send("")
            if fetcher is not None:
                try:
                    fetcher.work(stopped)
                except OSError as error:
                    say_once(f"no more shards are cached in {folder}: {error}")
                # Downloads under way end with the process, and only then the lock is another's.
                os._exit(0)
        waiting = True


@contextmanager
def the_only(folder: Path) -> Iterator[bool]:
    """Whether this is the one process that may download and remove shards, until the end of the block."""
    make_folders(folder)
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield lock(descriptor)
    finally:
        unlock(descriptor)


class Fetcher:
    """Downloads leased shards into a cache and removes others; only for the process that holds :func:`the_only`.

    Room below ``capacity`` bytes is made by removing shards that are not leased, those that came first before others.
    ``say`` is told what keeps a shard from being cached, and when a cached one was damaged.
    """

    def __init__(self, folder: Path, capacity: int, say: Say) -> None:
        self._folder = folder
        self._capacity = capacity
        self._say = say
        self._leases: dict[Path, Lease] = {}
        # Of each shard the address of a storage that has it, and its size.
        self._wanted: dict[str, tuple[str, int]] = {}
        self._open = cache(open_storage)
        for partial in (folder / "partial").iterdir():
            partial.unlink()
        shards = sorted((entry.stat().st_mtime_ns, entry) for entry in (folder / "shards").iterdir())
        self._here = {path.name: path.stat().st_size for _, path in shards}
        self._used = sum(self._here.values())
        self._idle: deque[str] = deque(self._here)

    def work(self, stopped: Callable[[float], bool]) -> None:
        """Download what is leased until ``stopped``, which waits for so many seconds at most, says so."""
        while not stopped(0):
            self.fetch_wanted(lambda: stopped(0))
            again = time.monotonic() + _SECONDS_BEFORE_TRYING_AGAIN
            while not self._look_at_leases() and time.monotonic() < again:
                if stopped(_SECONDS_BETWEEN_LOOKS):
                    break
        self._notice_removed()

    def fetch_wanted(self, stopped: Callable[[], bool] = lambda: False) -> None:
        """Download all that is leased, as far as there is room and the storage has it."""
        self._look_at_leases()
        self._notice_removed()
        queue, failures = self._missing(), 0
        running: dict[Future[None], tuple[str, int]] = {}
        pool = ThreadPoolExecutor(_AT_ONCE)
        try:
            while (queue or running) and not stopped():
                while queue and len(running) < _AT_ONCE:
                    digest = queue.popleft()
                    address, size = self._wanted[digest]
                    room = stored_size(size)
                    refused = self._make_room(digest, room)
                    if refused is not None:
                        self._say(f"not all shards are cached in {self._folder}: {refused}")
                        queue.clear()
                        break
                    running[pool.submit(self._fetch, self._open(address), digest, size)] = digest, room
                done, _ = wait(running, _SECONDS_BETWEEN_LOOKS, FIRST_COMPLETED)
                for future in done:
                    failures += not self._finish(*running.pop(future), future)
                if failures >= _AT_ONCE:
                    # It is the storage or the disk, not a shard; tried again later.
                    queue.clear()
                if self._look_at_leases():
                    under_way = {digest for digest, _ in running.values()}
                    queue = deque(digest for digest in self._missing() if digest not in under_way)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _look_at_leases(self) -> bool:
        """Read the leases that are new, and remove those of dead processes; whether any of both changed."""
        found: dict[Path, Lease] = {}
        for path in (self._folder / "leases").iterdir():
            # One whose name begins with a dot is being written. A name is never used again.
            if not path.name.startswith("."):
                with suppress(OSError, ValueError, TypeError, KeyError):
                    if not _remove_if_unlocked(path):
                        found[path] = self._leases.get(path) or Lease(**json.loads(path.read_text(encoding="utf-8")))
        if found.keys() == self._leases.keys():
            return False
        self._leases = found
        self._wanted = {}
        for name in ("now", "next"):
            shards = {
                digest: (lease.storage, size)
                for lease in found.values()
                for digest, size in getattr(lease, name).items()
            }
            digests = [digest for digest in shards if digest not in self._wanted]
            # Each node in an order of its own, so that not all of them ask for the same shard at once.
            random.Random().shuffle(digests)
            self._wanted |= {digest: shards[digest] for digest in digests}
        self._idle = deque(digest for digest in self._here if digest not in self._wanted)
        return True

    def _missing(self) -> deque[str]:
        return deque(digest for digest in self._wanted if digest not in self._here)

    def _notice_removed(self) -> None:
        """Whoever reads a damaged copy removes it."""
        for digest in self._wanted:
            if digest in self._here and not (self._folder / "shards" / digest).exists():
                self._used -= self._here.pop(digest)
                self._say(
                    f"the copy of {published_path(digest)} in {self._folder} was damaged or removed; fetching it again"
                )

    def _make_room(self, digest: str, size: int) -> str | None:
        """Give a partial file its full size on the disk; else why that cannot be."""
        while self._used + size > self._capacity:
            if not self._idle:
                return (
                    f"what the running trainings read now and next is larger than {self._capacity / 1e9:g} GB, so that "
                    "other shards are read sample by sample; raise run.cache.gigabytes, or set "
                    "training.window_gigabytes to less than half of it"
                )
            self._remove_idle()
        while not _allocate(self._folder / "partial" / digest, size):
            if not self._idle:
                return "the disk is full; other shards are read sample by sample"
            self._remove_idle()
        self._used += size
        return None

    def _remove_idle(self) -> None:
        digest = self._idle.popleft()
        self._used -= self._here.pop(digest)
        (self._folder / "shards" / digest).unlink(missing_ok=True)

    def _fetch(self, storage: Storage, digest: str, size: int) -> None:
        """Copy and verify a shard, and write the checksums of its blocks behind it."""
        partial = self._folder / "partial" / digest
        whole, checksums = hashlib.sha256(), []
        with partial.open("r+b") as file:
            for offset in range(0, size, _BYTES_AT_ONCE):
                content = storage.read_range(published_path(digest), offset, min(_BYTES_AT_ONCE, size - offset))
                file.write(content)
                whole.update(content)
                checksums += checksums_of(content)
            if whole.hexdigest() != digest:
                raise DataError(
                    f"the shard published as {digest} is damaged: its SHA-256 is {whole.hexdigest()}; "
                    "remove it there and run train again to publish a new copy"
                )
            file.write(tail_of(checksums, size))
        partial.rename(self._folder / "shards" / digest)

    def _finish(self, digest: str, room: int, future: Future[None]) -> bool:
        """Note what came of a download; whether the shard is here."""
        try:
            future.result()
        except (DataError, OSError) as error:
            self._used -= room
            (self._folder / "partial" / digest).unlink(missing_ok=True)
            self._say(f"a shard could not be cached, its samples are read from the storage one by one: {error}")
            return False
        self._here[digest] = room
        if digest not in self._wanted:
            self._idle.append(digest)
        return True


def _allocate(path: Path, size: int) -> bool:
    """Take the room on the disk at once, so that a full disk is found out before anything is fetched."""
    with path.open("wb") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            path.unlink()
            return False
    return True


def _remove_if_unlocked(path: Path) -> bool:
    """Remove a file whose owner is dead; whether it is gone."""
    descriptor = os.open(path, os.O_RDWR)
    if not lock(descriptor):
        os.close(descriptor)
        return False
    # Its owner may just have given it up.
    if is_at(descriptor, path):
        path.unlink()
    unlock(descriptor)
    return True
