"""The node-local cache of shards: bounded, shared, and never a reason for wrong bytes."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from reads import paths_read, wait_until

from pipelines.data.shards import fetcher as fetcher_module
from pipelines.data.shards.cache import Lease, ShardCache, published_path
from pipelines.data.shards.fetcher import Fetcher, FetcherProcess, the_only
from pipelines.storage.store import LocalStorage

ROOM = 1 << 30
SIZE = 200_000


class Store:
    """Shards published in a folder, and a cache of them."""

    def __init__(self, folder: Path) -> None:
        self.address = str(folder / "store")
        self.folder = folder / "cache"
        self.said: list[str] = []

    def shard(self, number: int, size: int = SIZE) -> str:
        """The SHA-256 of a published shard."""
        LocalStorage(self.address).write(published_path(digest_of(number, size)), content_of(number, size))
        return digest_of(number, size)

    def lease(self, *numbers: int, following: tuple[int, ...] = ()) -> ShardCache:
        """One who reads these shards."""
        cache = ShardCache(self.folder)
        cache.lease(self.wanted(*numbers, following=following))
        return cache

    def wanted(self, *numbers: int, following: tuple[int, ...] = ()) -> Lease:
        now, later = ({self.shard(number): SIZE for number in chosen} for chosen in (numbers, following))
        return Lease(self.address, now, later)

    def fetcher(self, capacity: int = ROOM) -> Fetcher:
        with the_only(self.folder) as alone:
            assert alone
        return Fetcher(self.folder, capacity, self.said.append)

    def fetch(self, capacity: int = ROOM) -> None:
        self.fetcher(capacity).fetch_wanted()

    def here(self) -> set[int]:
        names = files_below(self.folder, "shards")
        return {number for number in range(20) if digest_of(number) in names}


def content_of(number: int, size: int = SIZE) -> bytes:
    return (number.to_bytes(4, "little") * (size // 4 + 1))[:size]


def digest_of(number: int, size: int = SIZE) -> str:
    return hashlib.sha256(content_of(number, size)).hexdigest()


def files_below(folder: Path, name: str) -> list[str]:
    return sorted(path.name for path in (folder / name).iterdir())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


@pytest.mark.parametrize("size", [1, 65_536, 65_537, 200_000, (8 << 20) + 5])
def test_what_was_fetched_is_read_back_anywhere(store: Store, size: int) -> None:
    digest, content, cache = store.shard(1, size), content_of(1, size), ShardCache(store.folder)
    assert cache.read(digest, 0, size) is None
    cache.lease(Lease(store.address, {digest: size}))
    store.fetch()
    for offset, count in [(0, size), (size - 1, 1), (size // 2, size - size // 2), (max(size - 65_540, 0), 1)]:
        assert cache.read(digest, offset, count) == content[offset : offset + count]
    assert files_below(store.folder, "partial") == store.said == []


def test_what_is_there_is_not_fetched_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = store.lease(1, 2)
    store.fetch()
    monkeypatch.setattr(LocalStorage, "read_range", lambda *_: pytest.fail("it is there"))
    store.fetch()
    assert store.here() == {1, 2}
    reader.release()


def test_content_of_another_hash_is_refused_and_leaves_nothing(store: Store) -> None:
    reader = store.lease(1, 2)
    LocalStorage(store.address).write(published_path(digest_of(1)), content_of(3))
    store.fetch()
    assert f"published as {digest_of(1)} is damaged" in store.said[0]
    assert store.here() == {2}
    assert files_below(store.folder, "partial") == []
    reader.release()


def flip(content: bytearray, position: int) -> None:
    content[position] ^= 1


@pytest.mark.parametrize(
    ("damage", "offset"),
    [
        (lambda content: flip(content, 100_000), 99_990),
        (lambda content: content.__delitem__(slice(150_000, None)), 149_000),
        (lambda content: flip(content, SIZE + 1), 0),
        (lambda content: content.clear(), 0),
        (lambda content: content.extend(b"more"), 0),
    ],
    ids=["flipped bit", "truncated", "checksums damaged", "emptied", "appended"],
)
def test_a_damaged_copy_is_thrown_away_and_fetched_again(
    store: Store, damage: Callable[[bytearray], None], offset: int
) -> None:
    reader, digest = store.lease(1), digest_of(1)
    fetcher = store.fetcher()
    fetcher.fetch_wanted()
    stored = bytearray((store.folder / "shards" / digest).read_bytes())
    damage(stored)
    (store.folder / "shards" / digest).write_bytes(stored)
    assert reader.read(digest, offset, 20) is None
    assert files_below(store.folder, "shards") == []
    fetcher.fetch_wanted()
    assert "was damaged or removed; fetching it again" in store.said[0]
    assert reader.read(digest, offset, 20) == content_of(1)[offset : offset + 20]


def test_a_window_is_fetched_with_the_next_one_and_the_last_one_is_let_go(store: Store) -> None:
    reader = store.lease(1, 2, following=(3, 4))
    fetcher = store.fetcher(int(4.5 * SIZE))
    fetcher.fetch_wanted()
    assert store.here() == {1, 2, 3, 4}
    reader.lease(store.wanted(3, 4, following=(5, 6)))
    fetcher.fetch_wanted()
    assert store.here() == {3, 4, 5, 6}
    assert store.said == []
    assert len(files_below(store.folder, "leases")) == 1


def test_what_is_read_now_comes_before_what_is_read_next(store: Store) -> None:
    readers = [store.lease(1, following=(2, 3)), store.lease(4, following=(5, 6))]
    store.fetch(int(2.5 * SIZE))
    assert store.here() == {1, 4}
    assert "what the running trainings read now and next is larger than 0.0005 GB" in store.said[0]
    for reader in readers:
        reader.release()


def test_nodes_ask_for_shards_in_orders_of_their_own(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetcher_module, "_AT_ONCE", 1)
    asked = paths_read(LocalStorage, monkeypatch)
    lease, orders = store.wanted(*range(12)), set()
    for node in range(3):
        reader = ShardCache(store.folder / str(node))
        reader.lease(lease)
        asked.clear()
        Fetcher(reader.folder, ROOM, store.said.append).fetch_wanted()
        assert sorted(asked) == sorted(map(published_path, lease.now))
        orders.add(tuple(asked))
    assert len(orders) == 3


def test_it_never_grows_beyond_its_capacity(store: Store) -> None:
    capacity = 5 * SIZE
    reader, fetcher = ShardCache(store.folder), None
    for number in range(12):
        reader.lease(store.wanted(number))
        fetcher = fetcher or store.fetcher(capacity)
        fetcher.fetch_wanted()
        assert sum(path.stat().st_size for path in (store.folder / "shards").iterdir()) <= capacity
    # The last ones that were read stay as long as there is room.
    assert store.here() == {8, 9, 10, 11}


def test_a_full_disk_makes_room_as_the_bound_does(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, fetcher = store.lease(1), store.fetcher()
    fetcher.fetch_wanted()
    allocate, failures = os.posix_fallocate, iter([True])

    def full_once(descriptor: int, offset: int, size: int) -> None:
        if next(failures, False):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        allocate(descriptor, offset, size)

    monkeypatch.setattr(os, "posix_fallocate", full_once)
    reader.lease(store.wanted(2))
    fetcher.fetch_wanted()
    assert store.here() == {2}
    assert store.said == []


READER = """
import sys, time
from pathlib import Path
from pipelines.data.shards.cache import Lease, ShardCache

cache = ShardCache(Path(sys.argv[1]))
cache.lease(Lease(sys.argv[2], {sys.argv[3]: int(sys.argv[4])}))
print("leased", flush=True)
time.sleep(600)
"""


def test_a_killed_reader_lets_its_shards_go(store: Store) -> None:
    arguments = [str(store.folder), store.address, store.shard(1), str(SIZE)]
    with subprocess.Popen([sys.executable, "-c", READER, *arguments], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "leased\n"
        other = store.lease(2)
        fetcher = store.fetcher(int(1.5 * SIZE))
        fetcher.fetch_wanted()
        # Whichever came first: neither makes room for the other.
        assert len(store.here()) == len(store.said) == 1
        process.send_signal(signal.SIGKILL)
    fetcher.fetch_wanted()
    assert store.here() == {2}
    assert len(files_below(store.folder, "leases")) == 1
    other.release()


KILLED = """
import os, signal, sys
from pathlib import Path
from pipelines.data.shards.fetcher import Fetcher, the_only
from pipelines.storage.store import LocalStorage

LocalStorage.read_range = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
with the_only(Path(sys.argv[1])) as alone:
    Fetcher(Path(sys.argv[1]), 1 << 30, print).fetch_wanted()
"""


def test_what_a_killed_fetcher_left_is_cleared_by_the_next(store: Store) -> None:
    reader = store.lease(1)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(store.folder)], check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert files_below(store.folder, "partial") == [digest_of(1)]
    store.fetch(int(1.5 * SIZE))
    assert store.here() == {1}
    assert files_below(store.folder, "partial") == []
    reader.release()


@pytest.mark.slow
def test_one_process_of_a_node_fetches_and_another_takes_its_place(store: Store) -> None:
    reader = store.lease(1)
    first = FetcherProcess(store.folder, ROOM)
    second = FetcherProcess(store.folder, ROOM)
    with the_only(store.folder) as alone:
        assert not alone
    wait_until(lambda: store.here() == {1})
    first._process.kill()
    reader.lease(store.wanted(1, following=(2,)))
    wait_until(lambda: store.here() == {1, 2})
    for process in (first, second):
        process.stop(store.said.append)
    with the_only(store.folder) as alone:
        assert alone
    assert len(store.said) == 1
    assert "ended with status -9" in store.said[0]


ORPHANED = """
import os, signal, sys
from pathlib import Path
from pipelines.data.shards.fetcher import FetcherProcess

FetcherProcess(Path(sys.argv[1]), 1 << 30)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_a_fetcher_ends_with_the_training_that_started_it(store: Store) -> None:
    subprocess.run([sys.executable, "-c", ORPHANED, str(store.folder)], check=False, timeout=60)

    def free() -> bool:
        with the_only(store.folder) as alone:
            return alone

    wait_until(free)


def test_what_is_no_longer_needed_is_not_fetched_any_more(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetcher_module, "_AT_ONCE", 1)
    reader, first_asked = store.lease(*range(10)), threading.Event()
    read_range = LocalStorage.read_range

    def noted(storage: LocalStorage, path: str, offset: int, size: int) -> bytes:
        if not first_asked.is_set():
            first_asked.set()
            reader.lease(store.wanted(15))
        return read_range(storage, path, offset, size)

    monkeypatch.setattr(LocalStorage, "read_range", noted)
    store.fetch()
    assert 15 in store.here()
    assert len(store.here()) == 2
