"""A tar file whose bytes depend on the members alone: no times, no owners, no modes of the machine."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from pipelines.storage.files import writing
from pipelines.data.shards.schema import Span


class ShardWriter:
    """Writes one shard and knows where each member's content lies.

    Raises:
        DataError: from any method: the disk is full or the folder cannot be written to.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._digest = hashlib.sha256()
        self._size = 0
        self._pieces: list[bytes] = []
        self._waiting = 0
        with writing(path):
            self._file = path.open("wb")

    def add(self, key: str, members: Sequence[tuple[str, bytes]]) -> list[Span]:
        """Append a sample's members, given as (suffix, content), and say where each lies."""
        spans: list[Span] = []
        for suffix, content in members:
            header = _header(f"{key}.{suffix}", len(content))
            spans.append(Span(self._size + len(header), len(content)))
            self._append(header, content, _PADDING[: -len(content) % tarfile.BLOCKSIZE])
        if self._waiting >= _BLOCK:
            self._write()
        return spans

    @property
    def size(self) -> int:
        """Bytes added so far; the whole file's once it is closed."""
        return self._size

    @property
    def sha256(self) -> str:
        """Of the whole file, once it is closed."""
        return self._digest.hexdigest()

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with writing(self._path):
            try:
                if error is None:
                    # Two empty blocks end a tar file, and it is filled up to a whole record.
                    end = 2 * tarfile.BLOCKSIZE
                    self._append(bytes(end + -(self._size + end) % tarfile.RECORDSIZE))
                    self._write()
            finally:
                self._file.close()

    def _append(self, *pieces: bytes) -> None:
        size = sum(map(len, pieces))
        self._pieces += pieces
        self._waiting += size
        self._size += size

    def _write(self) -> None:
        block = b"".join(self._pieces)
        with writing(self._path):
            self._file.write(block)
        self._digest.update(block)
        self._pieces.clear()
        self._waiting = 0


def _header(name: str, size: int) -> bytes:
    """What tarfile writes before a member."""
    if not name.isascii() or len(name) > tarfile.LENGTH_NAME or size > _LARGEST_PLAIN:
        return _header_by_tarfile(name, size)
    text, digits = name.encode(), b"%011o" % size
    checksum = _PLAIN_SUM + sum(text) + sum(digits)
    return b"%b%b%b%b%06o\0%b" % (text.ljust(tarfile.LENGTH_NAME, b"\0"), _OWNER, digits, _TIME, checksum, _REST)


def _header_by_tarfile(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    return member.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")


# Of most members only name and size differ, and putting these between the rest takes a twentieth of the time of a
# header from the beginning. The checksum is the sum of all bytes, with spaces in its own place.
_PLAIN = _header_by_tarfile("", 0)
_SIZE, _CHECKSUM = slice(124, 135), slice(148, 155)
_OWNER, _TIME = _PLAIN[tarfile.LENGTH_NAME : _SIZE.start], _PLAIN[_SIZE.stop : _CHECKSUM.start]
_REST = _PLAIN[_CHECKSUM.stop :]
_PLAIN_SUM = sum(_OWNER) + sum(_TIME) + sum(b" " * 7) + sum(_REST)
_LARGEST_PLAIN = 8**11 - 1
_PADDING = bytes(tarfile.BLOCKSIZE)

# At least as much is written at once: for every sample alone, writing takes half as long again.
_BLOCK = 1 << 20
