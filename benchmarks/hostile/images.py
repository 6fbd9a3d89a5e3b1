"""Image files that were made to break whoever decodes them, and some that are only unusual."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from functools import cache

import numpy as np
from PIL import Image

SIDE = 48
"""Height and width of the images that are not about their size."""


def landscape() -> np.ndarray:
    """A small landscape, (SIDE, SIDE, 3) uint8."""
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    return np.stack([90 + y, 140 + x, 250 - 2 * y], axis=-1).astype(np.uint8)


def hole() -> np.ndarray:
    """Its hole mask, (SIDE, SIDE) uint8, 255 = missing."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[SIDE // 4 : SIDE // 2, SIDE // 3 : -SIDE // 4] = 255
    return mask


def encoded(pixels: np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    return saved(Image.fromarray(pixels), kind, **options)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind: bytes, content: bytes, length: int | None = None, crc: int | None = None) -> bytes:
    """A chunk of a PNG, which may lie about its length and checksum."""
    checksum = zlib.crc32(kind + content) if crc is None else crc
    return struct.pack(">I", len(content) if length is None else length) + kind + content + struct.pack(">I", checksum)


def png(width: int, height: int, *between: bytes, depth: int = 8, colours: int = 2, data: bytes | None = None) -> bytes:
    """A PNG from its parts: what its header says need not be what it holds."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(b"\0" * 64) if data is None else data)
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(between) + body + chunk(b"IEND", b"")


@cache
def zeros(mebibytes: int) -> bytes:
    """So many MiB of zeros, deflated to a thousandth."""
    deflate = zlib.compressobj(9)
    block = bytes(1 << 20)
    return b"".join(deflate.compress(block) for _ in range(mebibytes)) + deflate.flush()


def animated(kind: str) -> bytes:
    frames = [Image.fromarray(np.roll(landscape(), shift, 1)) for shift in range(3)]
    return saved(frames[0], kind, save_all=True, append_images=frames[1:])


def with_exif(content: bytes) -> bytes:
    return encoded(landscape(), "JPEG", exif=content)


def rotated() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(landscape(), "JPEG", exif=exif)


def cut(content: bytes, share: float) -> bytes:
    return content[: int(len(content) * share)]


def claiming_jpeg(width: int, height: int) -> bytes:
    """A JPEG whose frame header claims another size."""
    content = bytearray(encoded(landscape(), "JPEG"))
    at = content.index(b"\xff\xc0")
    content[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(content)


BROKEN: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "one byte": lambda: b"\x89",
    "signature of a PNG alone": lambda: b"\x89PNG\r\n\x1a\n",
    "text": lambda: b"this is not an image",
    "PNG of 60000x60000": lambda: png(60000, 60000),
    "PNG of 2^31 x 2^31": lambda: png(2**31 - 1, 2**31 - 1),
    "PNG of 9000x1": lambda: png(9000, 1),
    "PNG of 8000x8000 that is whole": lambda: png(8000, 8000, colours=0, data=zeros(62)),
    "PNG of 0x0": lambda: png(0, 0),
    "PNG of 0x5": lambda: png(0, 5),
    "PNG with a text of 64 MiB": lambda: png(SIDE, SIDE, chunk(b"zTXt", b"a\0\0" + zeros(64))),
    "PNG with an international text of 64 MiB": lambda: png(SIDE, SIDE, chunk(b"iTXt", b"a\0\1\0\0\0" + zeros(64))),
    "PNG that ends too early": lambda: png(SIDE, SIDE, data=zlib.compress(bytes(100))),
    "PNG with a wrong checksum": lambda: png(SIDE, SIDE, chunk(b"gAMA", bytes(4), crc=1)),
    "PNG with a chunk of 4 GiB": lambda: png(SIDE, SIDE, chunk(b"tEXt", b"a\0b", length=2**32 - 1)),
    "PNG with a chunk longer than the file": lambda: png(SIDE, SIDE, chunk(b"tEXt", b"a\0b", length=2**20)),
    "PNG with a nonsense chunk": lambda: png(SIDE, SIDE, chunk(b"\0\0\0\0", bytes(9))),
    "PNG with no palette": lambda: png(SIDE, SIDE, colours=3),
    "PNG of 3 bits": lambda: png(SIDE, SIDE, depth=3),
    "PNG of colour type 9": lambda: png(SIDE, SIDE, colours=9),
    "PNG without pixels": lambda: b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", bytes(13)) + chunk(b"IEND", b""),
    "PNG with two headers": lambda: png(SIDE, SIDE, chunk(b"IHDR", struct.pack(">IIBBBBB", 9, 9, 8, 2, 0, 0, 0))),
    "PNG with data that is not deflated": lambda: png(SIDE, SIDE, data=b"\xff" * 500),
    "cut PNG": lambda: cut(encoded(landscape()), 0.6),
    "cut JPEG": lambda: cut(encoded(landscape(), "JPEG"), 0.6),
    "cut WebP": lambda: cut(encoded(landscape(), "WEBP"), 0.6),
    "JPEG of 65500x65500": lambda: claiming_jpeg(65500, 65500),
    "JPEG of 0x0": lambda: claiming_jpeg(0, 0),
    "SVG": lambda: b'<svg xmlns="http://www.w3.org/2000/svg" width="48" height="48"><rect width="9" height="9"/></svg>',
    "SVG with an entity": lambda: b'<!DOCTYPE s [<!ENTITY a SYSTEM "file:///etc/passwd">]><svg>&a;</svg>',
    "PostScript": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 48 48\nshowpage\n",
    "zip": lambda: b"PK\3\4" + bytes(200),
}
"""Refused as an image or as a hole mask, or both; none is ever filled as a pair of an image and itself."""

UNUSUAL: dict[str, Callable[[], bytes]] = {
    "CMYK JPEG": lambda: saved(Image.fromarray(landscape()).convert("CMYK"), "JPEG"),
    "grey JPEG": lambda: saved(Image.fromarray(landscape()).convert("L"), "JPEG"),
    "16-bit PNG": lambda: encoded(landscape()[..., 0].astype(np.uint16) << 8),
    "palette PNG": lambda: saved(Image.fromarray(landscape()).quantize(16), "PNG"),
    "one-bit PNG": lambda: saved(Image.fromarray(hole()).convert("1"), "PNG"),
    "transparent PNG": lambda: encoded(np.dstack([landscape(), 255 - hole()])),
    "rotated JPEG": rotated,
    "JPEG with nonsense as EXIF": lambda: with_exif(b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\xff" * 60),
    "JPEG with an EXIF loop": lambda: with_exif(b"Exif\0\0MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\x08"),
    "JPEG with nonsense as colour profile": lambda: encoded(landscape(), "JPEG", icc_profile=b"\xff" * 300),
    "PNG with nonsense as colour profile": lambda: encoded(landscape(), icc_profile=b"\xff" * 300),
    "PNG with a colour profile of 64 MiB": lambda: png(
        SIDE, SIDE, chunk(b"iCCP", b"a\0\0" + zeros(64)), data=zlib.compress(bytes(SIDE * (3 * SIDE + 1)))
    ),
    "PNG whose pixels go on for 64 MiB": lambda: png(SIDE, SIDE, data=zeros(64)),
    "WebP": lambda: encoded(landscape(), "WEBP"),
    "animated PNG": lambda: animated("PNG"),
    "animated GIF": lambda: animated("GIF"),
    "animated WebP": lambda: animated("WEBP"),
    "TIFF": lambda: encoded(landscape(), "TIFF"),
    "BMP": lambda: encoded(landscape(), "BMP"),
    "one pixel": lambda: encoded(landscape()[:1, :1]),
    "a strip": lambda: encoded(np.zeros((1, 3000, 3), np.uint8)),
}
"""May be filled or refused: what matters is that nothing breaks."""
