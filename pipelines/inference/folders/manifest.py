"""What became of every image: JSON lines in parts, written during the work, read again by the next call.

The manifest lies in ``manifest/`` below the outputs. Each call writes parts of its own, named by the time it
started, so that parts sort by age and two calls never write the same one. An image's newest row counts; when a
call ends well, the rows that it superseded are taken out of older parts, so that each image has one row. The row
of a result goes before another result takes its place, so that no row ever tells of an image that is gone.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from pipelines.inference.folders.work import ManifestRow
from pipelines.storage.store import Storage

FOLDER = "manifest"
NOT_UTF8 = "backslashreplace"
"""How the bytes of names that are not UTF-8 are written, which Python reads as half surrogates: ``\\udce9``."""
_SUFFIX = ".jsonl"
_ROWS_A_PART = 10_000
_SECONDS_BETWEEN_WRITES = 2.0


class ManifestWriter:
    """Adds rows to the manifest of a folder.

    Rows are written with the first row that is added two seconds or more after the last writing, when a part is full,
    and by :meth:`flush`. What a call had not written when it was killed is done again.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._call = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
        self._part = 0
        self._lines: list[str] = []
        self._written_at = time.monotonic()
        self._unwritten = False
        # Kept only where there is something to supersede.
        self._superseding: set[str] | None = set() if _part_paths(storage) else None

    def add(self, row: ManifestRow) -> None:
        """Add a row."""
        self._lines.append(json.dumps(asdict(row), ensure_ascii=False))
        if self._superseding is not None:
            self._superseding.add(row.image)
        self._unwritten = True
        full = len(self._lines) >= _ROWS_A_PART
        if full or time.monotonic() - self._written_at >= _SECONDS_BETWEEN_WRITES:
            self.flush()
        if full:
            self._part, self._lines = self._part + 1, []

    def flush(self) -> None:
        """Write what was added since the last time."""
        if self._unwritten:
            content = "".join(f"{line}\n" for line in self._lines).encode("utf-8", NOT_UTF8)
            self._storage.write(f"{FOLDER}/{self._call}-{self._part:05d}{_SUFFIX}", content)
            self._unwritten, self._written_at = False, time.monotonic()

    def drop(self, images: Iterable[str]) -> None:
        """Take the rows of images out of the parts of earlier calls: their results are about to be overwritten."""
        dropped = set(images)
        # The oldest part first: the newest row of an image goes last, so that none before it ever counts again.
        for path in _part_paths(self._storage) if dropped else ():
            if path.startswith(f"{FOLDER}/{self._call}-"):
                continue
            lines = self._storage.read(path).splitlines(keepends=True)
            kept = [line for line in lines if (row := _row(line)) is not None and row["image"] not in dropped]
            if not kept:
                self._storage.delete(path)
            elif len(kept) < len(lines):
                self._storage.write(path, b"".join(kept))

    def drop_superseded(self) -> None:
        """Take the rows that this call superseded out of the parts of earlier calls."""
        self.flush()
        self.drop(self._superseding or ())


def read_manifest(storage: Storage) -> Iterator[dict[str, Any]]:
    """The newest row of every image."""
    yield from {row["image"]: row for row in _rows(storage)}.values()


def known_keys(storage: Storage) -> dict[str, str]:
    """The keys of the results that earlier calls recorded, by image; empty for an image that failed."""
    return {row["image"]: row["key"] if row["status"] == "done" else "" for row in _rows(storage)}


def _part_paths(storage: Storage) -> list[str]:
    """The manifest's parts, the oldest first."""
    return [entry.path for entry in storage.list(FOLDER) if entry.path.endswith(_SUFFIX)]


def _rows(storage: Storage) -> Iterator[dict[str, Any]]:
    """Every row, the oldest first; a line that is none, as a damaged part would hold, is passed over."""
    for path in _part_paths(storage):
        for line in storage.read(path).splitlines():
            row = _row(line)
            if row is not None:
                yield row


def _row(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
        return row if {"image", "key", "status"} <= row.keys() else None
    except (ValueError, AttributeError):
        return None
