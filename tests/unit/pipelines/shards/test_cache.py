"""The node-local cache of shards: bounded, shared, and never a reason for wrong bytes."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.data.shards import cache as cache_module
from pipelines.data.shards.cache import Fetched, ShardCache
from sgenet.errors import DataError

ROOM = 1 << 30
SIZE = 200_000


def shard(number: int, size: int = SIZE) -> tuple[str, bytes]:
    content = (number.to_bytes(4, "little") * (size // 4 + 1))[:size]
    return hashlib.sha256(content).hexdigest(), content


def ranges(content: bytes) -> Callable[[int, int], bytes]:
    return lambda offset, size: content[offset : offset + size]


def refuse(offset: int, size: int) -> bytes:
    raise AssertionError("there is no need to fetch this")


def fetch(cache: ShardCache, number: int) -> Fetched:
    digest, content = shard(number)
    return cache.fetch(digest, len(content), ranges(content))


def has(cache: ShardCache, number: int) -> bool:
    return cache.has(shard(number)[0])


def files_below(folder: Path, name: str) -> list[str]:
    return sorted(path.name for path in (folder / name).iterdir())


@pytest.mark.parametrize("size", [1, 65_536, 65_537, 200_000, (8 << 20) + 5])
def test_what_was_fetched_is_read_back_anywhere(tmp_path: Path, size: int) -> None:
    digest, content = shard(1, size)
    cache = ShardCache(tmp_path, ROOM)
    assert cache.read(digest, 0, size) is None
    assert cache.fetch(digest, size, ranges(content)) is Fetched.HERE
    for offset, count in [(0, size), (size - 1, 1), (size // 2, size - size // 2), (max(size - 65_540, 0), 1)]:
        assert cache.read(digest, offset, count) == content[offset : offset + count]
    assert files_below(tmp_path, "partial") == []


def test_what_is_there_is_not_fetched_again(tmp_path: Path) -> None:
    digest, content = shard(1)
    ShardCache(tmp_path, ROOM).fetch(digest, SIZE, ranges(content))
    assert ShardCache(tmp_path, ROOM).fetch(digest, SIZE, refuse) is Fetched.HERE


def test_content_of_another_hash_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    digest, content = shard(1)
    with pytest.raises(DataError, match=f"published as {digest} is damaged"):
        ShardCache(tmp_path, ROOM).fetch(digest, SIZE, ranges(content[:-1] + b"x"))
    assert files_below(tmp_path, "shards") == files_below(tmp_path, "partial") == []


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
def test_a_damaged_copy_is_thrown_away(tmp_path: Path, damage: Callable[[bytearray], None], offset: int) -> None:
    digest, content = shard(1)
    cache = ShardCache(tmp_path, ROOM)
    cache.fetch(digest, SIZE, ranges(content))
    stored = bytearray((tmp_path / "shards" / digest).read_bytes())
    damage(stored)
    (tmp_path / "shards" / digest).write_bytes(stored)
    assert cache.read(digest, offset, 20) is None
    assert not cache.has(digest)
    assert fetch(cache, 1) is Fetched.HERE
    assert cache.read(digest, offset, 20) == content[offset : offset + 20]


def test_throwing_a_damaged_copy_away_spares_the_one_that_replaced_it(tmp_path: Path) -> None:
    digest, content = shard(1)
    late, early = ShardCache(tmp_path, ROOM), ShardCache(tmp_path, ROOM)
    late.fetch(digest, SIZE, ranges(content))
    assert late.read(digest, 0, 4) == content[:4]
    assert early.read(digest, 0, 4) == content[:4]
    with (tmp_path / "shards" / digest).open("r+b") as file:
        file.write(b"damage")
    assert early.read(digest, 0, 4) is None
    early.fetch(digest, SIZE, ranges(content))
    assert late.read(digest, 0, 4) is None
    assert late.has(digest)
    assert late.read(digest, 0, 4) == content[:4]


def test_the_longest_unused_makes_room(tmp_path: Path) -> None:
    cache = ShardCache(tmp_path, int(2.5 * SIZE))
    for number in (1, 2):
        fetch(cache, number)
    os.utime(tmp_path / "shards" / shard(2)[0], ns=(1, 1))
    os.utime(tmp_path / "shards" / shard(1)[0], ns=(0, 0))
    # Reading counts as use.
    ShardCache(tmp_path, ROOM).read(shard(1)[0], 0, 1)
    assert fetch(cache, 3) is Fetched.HERE
    assert [has(cache, number) for number in (1, 2, 3)] == [True, False, True]


def test_it_never_grows_beyond_its_capacity(tmp_path: Path) -> None:
    cache = ShardCache(tmp_path, 5 * SIZE)
    for number in range(12):
        fetch(cache, number)
        assert sum(path.stat().st_size for path in (tmp_path / "shards").iterdir()) <= cache.capacity
    assert len(files_below(tmp_path, "shards")) == 4


def test_what_a_running_training_reads_stays(tmp_path: Path) -> None:
    cache = ShardCache(tmp_path, int(2.5 * SIZE))
    cache.lease(shard(number)[0] for number in (1, 2, 3))
    assert [fetch(cache, number) for number in (1, 2, 3)] == [Fetched.HERE, Fetched.HERE, Fetched.NO_ROOM]
    assert fetch(ShardCache(tmp_path, int(2.5 * SIZE)), 4) is Fetched.NO_ROOM
    assert [has(cache, number) for number in (1, 2, 3, 4)] == [True, True, False, False]
    assert files_below(tmp_path, "partial") == []
    # The training has ended.
    del cache
    other = ShardCache(tmp_path, int(2.5 * SIZE))
    assert fetch(other, 4) is Fetched.HERE
    assert len(files_below(tmp_path, "shards")) == 2


def test_a_full_disk_makes_room_as_the_bound_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = ShardCache(tmp_path, ROOM)
    fetch(cache, 1)
    allocate, failures = os.posix_fallocate, iter([True])

    def full_once(descriptor: int, offset: int, size: int) -> None:
        if next(failures, False):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        allocate(descriptor, offset, size)

    monkeypatch.setattr(os, "posix_fallocate", full_once)
    assert fetch(cache, 2) is Fetched.HERE
    assert [has(cache, number) for number in (1, 2)] == [False, True]


KILLED = """
import os, signal, sys
from pathlib import Path
from pipelines.data.shards.cache import ShardCache

def cut_off(offset, size):
    if offset:
        os.kill(os.getpid(), signal.SIGKILL)
    return bytes(size)

cache = ShardCache(Path(sys.argv[1]), 1 << 30)
cache.lease(["shard of a dead training"])
cache.fetch("0" * 64, 20 << 20, cut_off)
"""


def test_what_a_killed_process_left_is_cleared(tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert files_below(tmp_path, "partial") == ["0" * 64]
    cache = ShardCache(tmp_path, int(1.5 * SIZE))
    assert not cache.has("0" * 64)
    assert fetch(cache, 1) is Fetched.HERE
    assert files_below(tmp_path, "partial") == files_below(tmp_path, "leases") == []


def test_a_partial_file_that_took_the_name_meanwhile_is_not_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    partial, lock = tmp_path / "partial", cache_module._lock
    partial.write_bytes(b"fetched by one")

    def renamed_before(descriptor: int) -> bool:
        partial.rename(tmp_path / "shard")
        partial.write_bytes(b"fetched by another")
        return lock(descriptor)

    monkeypatch.setattr(cache_module, "_lock", renamed_before)
    assert cache_module._remove_if_unlocked(partial)
    assert partial.read_bytes() == b"fetched by another"


def test_a_shard_is_fetched_by_one_process_at_a_time(tmp_path: Path) -> None:
    digest, content = shard(1)
    meanwhile: list[Fetched] = []

    def slow(offset: int, size: int) -> bytes:
        meanwhile.append(ShardCache(tmp_path, ROOM).fetch(digest, SIZE, refuse))
        return content[offset : offset + size]

    assert ShardCache(tmp_path, ROOM).fetch(digest, SIZE, slow) is Fetched.HERE
    assert meanwhile == [Fetched.BUSY]
    assert files_below(tmp_path, "partial") == []


MANY = """
import hashlib, random, sys
from pathlib import Path
from pipelines.data.shards.cache import ShardCache

random.seed(int(sys.argv[2]))
cache = ShardCache(Path(sys.argv[1]), 700_000)
contents = {hashlib.sha256(bytes([n]) * 200_000).hexdigest(): bytes([n]) * 200_000 for n in range(6)}
for _ in range(150):
    digest, content = random.choice(list(contents.items()))
    cache.fetch(digest, 200_000, lambda offset, size: content[offset:offset + size])
    read = cache.read(digest, 70_000, 100)
    assert read in (None, content[:100])
    with cache._decisions():
        assert cache._size_of("shards") + cache._size_of("partial") <= 700_000
"""


@pytest.mark.slow
def test_many_processes_share_it(tmp_path: Path) -> None:
    running = [subprocess.Popen([sys.executable, "-c", MANY, str(tmp_path), str(seed)]) for seed in range(4)]
    assert [process.wait(timeout=120) for process in running] == [0, 0, 0, 0]
    assert 1 <= len(files_below(tmp_path, "shards")) <= 3
    assert files_below(tmp_path, "partial") == []


FORKED = """
import os, sys, threading
from pathlib import Path
from pipelines.data.shards.cache import ShardCache

child = None

def fork_meanwhile(offset, size):
    # As a loader does: the child lives on with copies of all open files.
    global child
    child = os.fork()
    if child == 0:
        os.read(int(sys.argv[2]), 1)
        os._exit(0)
    raise OSError(5, "cut off")

cache = ShardCache(Path(sys.argv[1]), 1 << 30)
try:
    cache.fetch("0" * 64, 5, fork_meanwhile)
except OSError:
    pass
try:
    cache.fetch("0" * 64, 5, lambda offset, size: b"12345")
except Exception as error:
    print(type(error).__name__)
os.write(int(sys.argv[3]), b"x")
os.waitpid(child, 0)
"""


def test_a_forked_process_keeps_no_lock(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    output = subprocess.run(
        [sys.executable, "-c", FORKED, str(tmp_path), str(reading), str(writing)],
        pass_fds=(reading, writing),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    # The second attempt got as far as checking the hash.
    assert output == "DataError\n"
    os.close(reading)
    os.close(writing)
