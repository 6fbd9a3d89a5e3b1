"""The headers of a shard's members are those that tarfile writes, and what is said to lie somewhere lies there."""

from __future__ import annotations

import hashlib
import tarfile
from pathlib import Path

import pytest

from pipelines.data.shards import tar
from pipelines.data.shards.tar import ShardWriter


@pytest.mark.parametrize("size", [0, 1, 511, 512, 30_000, 8**11 - 1, 8**11])
@pytest.mark.parametrize("name", ["a.jpg", "with space.label.png", "x" * 100, "x" * 101, "größe.png", "日本.json"])
def test_a_header_has_the_bytes_of_tarfile(name: str, size: int) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    assert tar._header(name, size) == member.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")


def test_members_lie_where_it_is_said_and_the_hash_is_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "train-000000.tar"
    samples = {
        "one": [("jpg", b"1" * 700), ("json", b"{}")],
        "zwölf": [("jpg", b"12"), ("label.png", b""), ("json", b"x" * 512)],
        # More than is written at once, and some after it.
        "large": [("jpg", bytes(range(256)) * (tar._BLOCK // 200)), ("json", b"{}")],
        "last": [("jpg", b"last"), ("json", b"{}")],
    }
    with ShardWriter(path) as shard:
        spans = {key: shard.add(key, members) for key, members in samples.items()}
    content = path.read_bytes()
    assert (shard.size, shard.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    with tarfile.open(path) as opened:
        names = opened.getnames()
    assert names == [f"{key}.{suffix}" for key, members in samples.items() for suffix, _ in members]
    for key, members in samples.items():
        for (_, stored), span in zip(members, spans[key], strict=True):
            assert content[span.offset : span.offset + span.size] == stored
