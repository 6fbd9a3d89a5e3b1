"""Label maps as PNGs that any viewer opens, and that are decoded by inflating them.

8-bit grey, one row after the other without a filter, compressed by run lengths and Huffman codes: an eighth of the
time of a general decoder, a third of that of a general encoder, and no larger for label maps.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
import numpy.typing as npt

from pipelines.data.shards import fast_zlib

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER = struct.Struct(">IIBBBBB")
_GREY = (8, 0, 0, 0, 0)
_BEGIN = len(_SIGNATURE) + 12 + _HEADER.size
_END = 12


def encode_label(label: npt.NDArray[np.uint8]) -> bytes:
    """(H, W) uint8 class ids as PNG, with the same bytes everywhere."""
    height, width = label.shape
    rows = np.zeros((height, 1 + width), np.uint8)
    rows[:, 1:] = label
    # Run lengths alone: deflate's search for longer matches depends on the processor in some zlib builds.
    deflate = zlib.compressobj(6, strategy=zlib.Z_RLE)
    compressed = deflate.compress(rows.tobytes()) + deflate.flush()
    return b"".join(
        [
            _SIGNATURE,
            _chunk(b"IHDR", _HEADER.pack(width, height, *_GREY)),
            _chunk(b"IDAT", compressed),
            _chunk(b"IEND", b""),
        ]
    )


def decode_label(content: bytes) -> npt.NDArray[np.uint8] | None:
    """(H, W) uint8 class ids of what :func:`encode_label` made; None for another PNG, or a damaged one."""
    if len(content) < _BEGIN + 12 + _END:
        return None
    width, height, *kind = _HEADER.unpack_from(content, len(_SIGNATURE) + 8)
    compressed = content[_BEGIN + 8 : -_END - 4]
    expected = (
        _SIGNATURE
        + _chunk(b"IHDR", _HEADER.pack(width, height, *_GREY))
        + struct.pack(">I", len(compressed))
        + b"IDAT"
        + struct.pack(">I", fast_zlib.crc32(compressed, fast_zlib.crc32(b"IDAT")))
        + _chunk(b"IEND", b"")
    )
    if tuple(kind) != _GREY or content[: _BEGIN + 8] + content[-_END - 4 :] != expected:
        return None
    size = height * (1 + width)
    try:
        rows = np.frombuffer(fast_zlib.decompressobj().decompress(compressed, size + 1), np.uint8)
    except fast_zlib.error:
        return None
    if len(rows) != size:
        return None
    rows = rows.reshape(height, 1 + width)
    return None if rows[:, 0].any() else rows[:, 1:]


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
