"""What is said to lie somewhere in a shard lies there, and the bytes are the same everywhere."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.data.shards.reader import decode_stored_label
from pipelines.data.shards.tar import ShardWriter, encode_png

SHA256 = "8118c24cfb46843cd9022d4427b5f5f02c97f44708856b05f892088073d8bec8"
LABEL_SHA256 = "63cf62ba10d6a37f0cb210b2a9f7182dd71313d717ac91c74eeb3adec00e266d"


def test_members_lie_where_it_is_said_and_the_bytes_are_the_same_everywhere(tmp_path: Path) -> None:
    path = tmp_path / "train-000000.tar"
    samples = {
        "one": [("jpg", b"1" * 700), ("json", b"{}")],
        "zwölf": [("jpg", b"12"), ("label.png", b""), ("json", b"x" * 512)],
        "large": [("jpg", bytes(range(256)) * 6000), ("json", b"{}")],
        "x" * 120: [("jpg", b"last"), ("json", b"{}")],
    }
    with ShardWriter(path) as shard:
        spans = {key: shard.add(key, members) for key, members in samples.items()}
    content = path.read_bytes()
    assert shard.size == len(content)
    assert shard.sha256 == hashlib.sha256(content).hexdigest() == SHA256
    with tarfile.open(path) as opened:
        names = opened.getnames()
    assert names == [f"{key}.{suffix}" for key, members in samples.items() for suffix, _ in members]
    for key, members in samples.items():
        for (_, stored), span in zip(members, spans[key], strict=True):
            assert content[span.offset : span.offset + span.size] == stored


def test_a_label_map_comes_back_and_has_the_same_bytes_everywhere() -> None:
    rng = np.random.default_rng(37)
    label = np.repeat(rng.choice([0, 3, 7, 255], (37, 10)).astype(np.uint8), 5, axis=1)
    content = encode_png(label)
    assert (decode_stored_label(content) == label).all()
    with Image.open(io.BytesIO(content)) as image:
        assert image.mode == "L"
    assert hashlib.sha256(content).hexdigest() == LABEL_SHA256
    for share in (0.0, 0.1, 0.5, 0.9):
        with pytest.raises((OSError, ValueError, SyntaxError)):
            decode_stored_label(content[: int(share * len(content))])
