"""What is still to be sent to the tracking store: records in order, on disk, so that a killed process loses none."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

Record = dict[str, Any]

_RECORDS, _SENT, _OWNER, _FILES = "records.jsonl", "sent", "owner", "files"


class Spool:
    """A queue in a folder: any thread appends, one sends. Only one process owns it, and holds its lock.

    Records are lines of ``records.jsonl``; ``sent`` holds how many of its bytes are done with. What was appended
    outlives the process, since the operating system has it; a machine that loses power may lose the last seconds.

    Args:
        folder: of a spool that exists, or is made.

    Raises:
        BlockingIOError: another process owns it.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._owner = _lock(folder / _OWNER)
        _cut_torn_line(folder / _RECORDS)
        self._records = (folder / _RECORDS).open("ab", buffering=0)
        self._appending = threading.Lock()
        self._appended = self._records.tell()
        self._num_files = max((int(path.name) for path in (folder / _FILES).glob("*")), default=0)
        self._sent = _read_number(folder / _SENT)

    def append(self, record: Record) -> None:
        """Add a record at the end.

        Raises:
            OSError: the disk is full or gone.
        """
        line = json.dumps(record).encode() + b"\n"
        with self._appending:
            written = self._records.write(line)
            if written != len(line):
                self._records.truncate(self._appended)
                raise OSError("the disk is full")
            self._appended += len(line)

    def new_folder(self) -> Path:
        """An empty folder for the files that a record names."""
        with self._appending:
            self._num_files += 1
            folder = self.folder / _FILES / str(self._num_files)
        folder.mkdir(parents=True)
        return folder

    @property
    def is_empty(self) -> bool:
        """Whether everything is done with."""
        return self._sent >= self._appended

    def waiting(self, most: int) -> list[tuple[Record, int]]:
        """The next records, each with the position after it for :meth:`done`."""
        records: list[tuple[Record, int]] = []
        with self._appending:
            end = self._appended
        with (self.folder / _RECORDS).open("rb") as file:
            file.seek(self._sent)
            while file.tell() < end and len(records) < most:
                line = file.readline()
                records.append((json.loads(line), file.tell()))
        return records

    def done(self, position: int) -> None:
        """Forget what lies before a position."""
        partial = self.folder / f"{_SENT}.partial"
        partial.write_text(str(position))
        partial.replace(self.folder / _SENT)
        self._sent = position

    def forget_files(self, record: Record) -> None:
        """Remove the files that a record named, which is done with."""
        if "file" in record:
            shutil.rmtree((self.folder / record["file"]).parent, ignore_errors=True)

    def count_waiting(self) -> int:
        """How many records are left."""
        return len(self.waiting(most=10**9))

    def close(self) -> None:
        """Give up ownership; an empty spool is removed."""
        self._records.close()
        if self.is_empty:
            shutil.rmtree(self.folder, ignore_errors=True)
            with suppress(OSError):  # another spool of the run is there
                self.folder.parent.rmdir()
        self._owner.close()


def spools_root(address: str) -> Path:
    """Where spools for a tracking store lie: ``$XDG_STATE_HOME/sgenet/tracking/…``, by default ``~/.local/state``."""
    configured = os.environ.get("XDG_STATE_HOME", "").strip()
    try:
        state = Path(configured) if configured else Path.home() / ".local" / "state"
    except RuntimeError:  # a container's user may have no home
        state = Path(tempfile.gettempdir())
    return state / "sgenet" / "tracking" / hashlib.sha256(address.encode()).hexdigest()[:12]


def new_spool(address: str, run_id: str) -> Spool:
    """A spool of this process for a run."""
    # Sorted by name they are in the order in which they were made.
    return Spool(spools_root(address) / run_id / f"{time.time_ns():020d}-{os.getpid()}")


def left_behind(address: str, run_id: str) -> Iterator[Spool]:
    """The spools of a run whose processes are gone, oldest first; this process owns them now."""
    for folder in sorted((spools_root(address) / run_id).glob("*-*")):
        try:
            spool = Spool(folder)
        except BlockingIOError:
            continue  # its owner is at work
        if spool.is_empty:
            spool.close()
        else:
            yield spool


def runs_left_behind(address: str) -> list[str]:
    """The ids of runs for which something may wait on this machine."""
    root = spools_root(address)
    return sorted(folder.name for folder in root.iterdir() if any(folder.iterdir())) if root.is_dir() else []


def _lock(path: Path) -> IO[bytes]:
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise
    return file


def _cut_torn_line(path: Path) -> None:
    """Remove a last line that a killed process left half-written."""
    if not path.exists():
        return
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(path, whole)


def _read_number(path: Path) -> int:
    try:
        return int(path.read_text())
    except (FileNotFoundError, ValueError):
        return 0
