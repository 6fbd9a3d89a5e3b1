"""A tar file whose bytes depend on the members alone: no times, no owners, no modes of the machine."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from pipelines.files import writing
from pipelines.shards.schema import Span


class ShardWriter:
    """Writes one shard and knows where each member's content lies.

    Raises:
        DataError: from any method: the disk is full or the folder cannot be written to.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._digest = hashlib.sha256()
        self._size = 0
        with writing(path):
            self._file = path.open("wb")

    def add(self, key: str, members: Sequence[tuple[str, bytes]]) -> list[Span]:
        """Append a sample's members, given as (suffix, content), and say where each lies."""
        spans: list[Span] = []
        pieces: list[bytes] = []
        end = self._size
        for suffix, content in members:
            header = _header(f"{key}.{suffix}", len(content))
            padding = bytes(-len(content) % tarfile.BLOCKSIZE)
            spans.append(Span(end + len(header), len(content)))
            pieces += [header, content, padding]
            end += len(header) + len(content) + len(padding)
        self._write(b"".join(pieces))
        return spans

    @property
    def size(self) -> int:
        """Bytes written so far; the whole file's once it is closed."""
        return self._size

    @property
    def sha256(self) -> str:
        """Of the bytes written so far; the whole file's once it is closed."""
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
                    self._write(b"\0" * (2 * tarfile.BLOCKSIZE))
                    self._write(b"\0" * (-self._size % tarfile.RECORDSIZE))
            finally:
                self._file.close()

    def _write(self, content: bytes) -> None:
        with writing(self._path):
            self._file.write(content)
        self._digest.update(content)
        self._size += len(content)


def _header(name: str, size: int) -> bytes:
    """What tarfile writes before a member."""
    if not name.isascii() or len(name) > tarfile.LENGTH_NAME or size > _LARGEST_PLAIN:
        return _header_by_tarfile(name, size)
    header = bytearray(_PLAIN)
    header[: len(name)] = name.encode()
    header[_SIZE] = b"%011o" % size
    header[_CHECKSUM] = b"%06o\0" % sum(header)
    return bytes(header)


def _header_by_tarfile(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    return member.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")


# Fields of a header; its checksum is taken with spaces in the place of the checksum. Of most members only name and size
# differ, and setting these takes a fifth of the time of a header from the beginning.
_SIZE, _CHECKSUM = slice(124, 135), slice(148, 155)
_LARGEST_PLAIN = 8**11 - 1
_PLAIN = bytearray(_header_by_tarfile("", 0))
_PLAIN[_CHECKSUM] = b" " * 7
