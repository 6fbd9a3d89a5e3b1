"""Columns of a table that all processes of a node share: plain arrays in files that are mapped. Needs NumPy alone."""

from __future__ import annotations

import json
import mmap
import os
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, overload

import numpy as np
import numpy.typing as npt

from pipelines.storage.files import alone_at, publish_folder, writing

Column = npt.NDArray[Any]
Pieces = Iterable[dict[str, Column]]
"""Some rows of every column at a time, each (n,)."""

COLUMNS_VERSION = 1
"""Raised whenever columns that nodes have on their disks can no longer be read."""

_LIST = "files.json"
_BLOCK = 1 << 16


class Text:
    """A column of text: the UTF-8 of all rows one behind the other, and where each begins.

    Args:
        content: (total,) uint8.
        starts: (N + 1,) int64; row i is ``content[starts[i] : starts[i + 1]]``.
    """

    def __init__(self, content: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64]) -> None:
        self.content = content
        self.starts = starts

    @classmethod
    def of(cls, values: Iterable[str]) -> Text:
        """Text that is in memory."""
        encoded = [value.encode() for value in values]
        starts = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
        return cls(np.frombuffer(b"".join(encoded), np.uint8), starts)

    @classmethod
    def column(cls, columns: dict[str, Column], name: str) -> Text:
        """The text of a column of this name."""
        return cls(columns[f"{name}_content"], columns[f"{name}_starts"])

    def as_columns(self, name: str) -> dict[str, Column]:
        """What :meth:`column` makes it of."""
        return {f"{name}_content": self.content, f"{name}_starts": self.starts}

    def __len__(self) -> int:
        return len(self.starts) - 1

    @overload
    def __getitem__(self, rows: int | np.integer) -> str: ...

    @overload
    def __getitem__(self, rows: slice | npt.NDArray[np.integer]) -> Text: ...

    def __getitem__(self, rows: int | np.integer | slice | npt.NDArray[np.integer]) -> str | Text:
        """A row, or some of them; those of a slice share the memory of these."""
        if isinstance(rows, slice):
            first, last, step = rows.indices(len(self))
            if step == 1:
                return Text(self.content, self.starts[first : max(first, last) + 1])
            rows = np.arange(first, last, step)
        if isinstance(rows, np.ndarray):
            return Text.of(self[row] for row in rows)
        row = range(len(self))[int(rows)]
        return self.content[self.starts[row] : self.starts[row + 1]].tobytes().decode()

    def __iter__(self) -> Iterator[str]:
        return (self[row] for row in range(len(self)))

    def tolist(self) -> list[str]:
        """All rows."""
        return list(self)

    def equals(self, other: Text) -> bool:
        """Whether all rows are the same."""
        return np.array_equal(np.diff(self.starts), np.diff(other.starts)) and np.array_equal(
            self.content[self.starts[0] : self.starts[-1]], other.content[other.starts[0] : other.starts[-1]]
        )


def in_memory(pieces: Pieces) -> dict[str, Column]:
    """The columns whose pieces come one after the other."""
    # Pieces in a list would be as large again, and their memory is not given back once they are put together.
    contents: dict[str, bytearray] = defaultdict(bytearray)
    types: dict[str, np.dtype[Any]] = {}
    for piece in pieces:
        for name, part in piece.items():
            contents[name] += part.tobytes()
            types[name] = part.dtype
    return {name: np.frombuffer(content, types[name]) for name, content in contents.items()}


def mapped(folder: Path, pieces: Callable[[], Pieces]) -> dict[str, Column]:
    """The same columns, written to a folder by the first process that asks for them, and mapped by all.

    Files that are missing, cut off, or damaged where they begin or end are written again. Reading all of them would
    take longer than what they are for, and more memory.

    Args:
        folder: on a disk of this node, named after the content; it appears when it is whole.
        pieces: called where the folder is not there yet, or damaged.

    Raises:
        DataError: the disk is full or the folder cannot be written to.
    """
    if not _is_whole(folder):
        # Whoever waited finds it whole.
        with alone_at(folder):
            if not _is_whole(folder):
                with publish_folder(folder) as partial, writing(folder):
                    _write(partial, pieces())
    return {path.stem: _map(path) for path in folder.iterdir() if path.name != _LIST}


def _is_whole(folder: Path) -> bool:
    try:
        written = json.loads((folder / _LIST).read_text(encoding="utf-8"))
        return bool(written == {name: _mark(folder / name) for name in written})
    except (OSError, ValueError, TypeError):
        return False


def _mark(path: Path) -> list[int]:
    """The size of a file, and the CRC-32 of its first and its last block."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(_BLOCK)
        file.seek(max(0, size - _BLOCK))
        return [size, zlib.crc32(file.read(), zlib.crc32(start))]


def _map(path: Path) -> Column:
    with path.open("rb") as file:
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    # The rows of a window lie here and there: without this, each would read what lies around it into memory.
    content.madvise(mmap.MADV_RANDOM)
    return np.frombuffer(content, path.suffix[1:])


def _write(folder: Path, pieces: Pieces) -> None:
    with ExitStack() as stack:
        files: dict[str, BinaryIO] = {}
        for piece in pieces:
            for name, part in piece.items():
                if name not in files:
                    files[name] = stack.enter_context((folder / f"{name}.{part.dtype.name}").open("wb"))
                files[name].write(np.ascontiguousarray(part).data)
        for file in files.values():
            file.flush()
            os.fsync(file.fileno())
    marks = {path.name: _mark(path) for path in folder.iterdir()}
    (folder / _LIST).write_text(json.dumps(marks), encoding="utf-8")
