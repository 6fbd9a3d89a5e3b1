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
        return [self._add(f"{key}.{suffix}", content) for suffix, content in members]

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

    def _add(self, name: str, content: bytes) -> Span:
        member = tarfile.TarInfo(name)
        member.size, member.mode = len(content), 0o644
        self._write(member.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict"))
        offset = self._size
        self._write(content)
        self._write(b"\0" * (-len(content) % tarfile.BLOCKSIZE))
        return Span(offset, len(content))

    def _write(self, content: bytes) -> None:
        with writing(self._path):
            self._file.write(content)
        self._digest.update(content)
        self._size += len(content)
