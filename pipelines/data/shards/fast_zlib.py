"""Inflating and CRC-32 by zlib-ng where it is installed, which takes an eighth of the time; the values are the same.

Deflating is left to zlib: the bytes of zlib-ng depend on the processor.
"""

from __future__ import annotations

try:
    from zlib_ng import zlib_ng as library
except ImportError:
    import zlib as library  # type: ignore[no-redef]

crc32 = library.crc32
decompressobj = library.decompressobj
error: type[Exception] = library.error  # type: ignore[assignment]
