"""Label maps as PNG: what others read is what was written, and what is not whole is not taken."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from pipelines.data.shards import label_png
from pipelines.data.shards.label_png import decode_label, encode_label
from pipelines.data.shards.reader import decode_stored_label


def _label(height: int = 37, width: int = 50) -> np.ndarray:
    rng = np.random.default_rng(height)
    return np.repeat(rng.choice([0, 3, 7, 255], (height, -(-width // 5))).astype(np.uint8), 5, axis=1)[:, :width]


@pytest.mark.parametrize("size", [(37, 50), (1, 1), (256, 342)])
def test_it_comes_back_and_pillow_reads_the_same(size: tuple[int, int]) -> None:
    label = _label(*size)
    content = encode_label(label)
    decoded = decode_label(content)
    assert decoded is not None
    assert decoded.dtype == np.uint8
    assert (decoded == label).all()
    with Image.open(io.BytesIO(content)) as image:
        assert image.mode == "L"
        assert (np.asarray(image) == label).all()


def test_another_png_is_left_to_pillow() -> None:
    label = _label()
    content = io.BytesIO()
    Image.fromarray(label).save(content, "PNG")
    assert decode_label(content.getvalue()) is None
    assert (decode_stored_label(content.getvalue()) == label).all()


@pytest.mark.parametrize("library", ["zlib", "zlib_ng.zlib_ng"])
def test_either_library_takes_and_refuses_the_same(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_png, "fast_zlib", pytest.importorskip(library))
    label = _label(19, 23)
    content = encode_label(label)
    decoded = decode_label(content)
    assert decoded is not None
    assert (decoded == label).all()
    # A stream that zlib does not know, under a header and checksums that are right.
    body = b"\x78\x9c" + bytes(range(90))
    chunk = struct.pack(">I", len(body)) + b"IDAT" + body + struct.pack(">I", zlib.crc32(b"IDAT" + body))
    assert decode_label(content[:33] + chunk + content[-12:]) is None


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_a_cut_one_is_refused(share: float) -> None:
    content = encode_label(_label())
    cut = content[: int(share * len(content))]
    assert decode_label(cut) is None
    with pytest.raises((OSError, ValueError, SyntaxError)):
        decode_stored_label(cut)


def test_no_changed_byte_is_overlooked() -> None:
    content = encode_label(_label(9, 11))
    for place in range(len(content)):
        changed = content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :]
        assert decode_label(changed) is None, place


def test_more_pixels_than_the_header_says_are_not_unpacked() -> None:
    large, small = encode_label(np.zeros((4000, 4000), np.uint8)), encode_label(np.zeros((4, 4), np.uint8))
    assert decode_label(small[:33] + large[33:]) is None
