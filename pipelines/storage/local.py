"""Files in a local folder, published atomically; the local half of :mod:`pipelines.storage.store`."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.storage.files import PARTIAL_SUFFIX, published
from sgenet.errors import DataError


class MissingFileError(DataError):
    """The file is not there."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file: its path relative to the storage's root, with ``/``, and its size in bytes."""

    path: str
    size: int


Entries = list[Entry]


def join(address: str, *parts: str) -> str:
    """An address below another: ``join("s3://bucket", "a", "b")`` is ``s3://bucket/a/b``."""
    below = [part.strip("/") for part in parts if part.strip("/")]
    return "/".join([address.rstrip("/"), *below]) or "/"


def absolute(address: str) -> str:
    """The same place for processes whose working folder may be another."""
    return address if "://" in address else str(Path(address).resolve())


@dataclass(frozen=True)
class LocalStorage:
    """A local folder; a relative one is meant from the working directory at construction."""

    address: str
    root: Path = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", Path(self.address).absolute())

    def list(self, prefix: str = "") -> Entries:
        """See :class:`pipelines.storage.store.Storage`; so for all methods."""
        with explained(join(self.address, prefix), "listed"):
            entries = [Entry(folder_prefix(prefix) + path, size) for path, size in _walk(self._locate(prefix))]
        return sorted(entries, key=lambda entry: entry.path)

    def exists(self, path: str) -> bool:
        """Whether there is such a file."""
        try:
            return self._locate(path).is_file()
        except OSError:
            return False  # such as a name that is too long

    def read(self, path: str) -> bytes:
        """The whole file."""
        # Without pathlib and a buffer, whose making takes as long as a small file's reading.
        with explained(join(self.address, path), "read"), open(f"{self.root}/{checked_path(path)}", "rb", 0) as file:
            return file.read()

    def read_range(self, path: str, offset: int, size: int) -> bytes:
        """Exactly ``size`` bytes from ``offset`` on."""
        name = join(self.address, path)
        with explained(name, "read"), self._locate(path).open("rb") as file:
            file.seek(offset)
            return whole_range(file.read(size), name, offset, size)

    def write(self, path: str, data: bytes) -> None:
        """Publish a file, replacing one of the same path."""
        with explained(join(self.address, path), "written"), published(self._locate(path)) as partial:
            partial.write_bytes(data)

    def upload(self, local: Path, path: str, sha256: str | None = None) -> None:
        """Publish a copy of a local file."""
        check_local(local)
        with explained(join(self.address, path), "written"), published(self._locate(path)) as partial:
            shutil.copyfile(local, partial)

    def download(self, path: str, local: Path) -> None:
        """Make a local copy of a file."""
        with explained(join(self.address, path), "copied"), published(local) as partial:
            shutil.copyfile(self._locate(path), partial)

    def delete(self, path: str) -> None:
        """Remove a file, if it is there."""
        with explained(join(self.address, path), "removed"):
            self._locate(path).unlink(missing_ok=True)

    def _locate(self, path: str) -> Path:
        return self.root / checked_path(path)


@contextmanager
def explained(name: str, done: str) -> Iterator[None]:
    """Turn what the file system raises into one sentence: ``name`` could not be ``done``."""
    try:
        yield
    except FileNotFoundError:
        raise MissingFileError(f"{name} does not exist; check the path") from None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG and done == "read":
            raise MissingFileError(f"{name} does not exist; its name is too long") from None
        reason = (error.strerror or str(error)).lower()
        raise DataError(f"{name} could not be {done}: {reason}; check the disk and the permissions") from None


def checked_path(path: str) -> str:
    """The path without slashes at its ends; a DataError where it would leave its storage."""
    if path.startswith("/") or ".." in path.split("/"):
        raise DataError(f"the path {path!r} leaves its storage; give one relative to the root")
    return path.strip("/")


def check_local(path: Path) -> None:
    """A MissingFileError where a file to be published is not there."""
    if not path.is_file():
        raise MissingFileError(f"{path} does not exist; check the path")


def folder_prefix(path: str) -> str:
    """``a/b`` and ``a/b/`` → ``a/b/``; nothing → nothing."""
    return f"{path.strip('/')}/" if path.strip("/") else ""


def whole_range(data: bytes, name: str, offset: int, size: int) -> bytes:
    """The data, once it is sure that they are ``size`` bytes."""
    if len(data) != size:
        raise DataError(f"{name} ends before byte {offset + size}; it is truncated or not the file that was indexed")
    return data


def _walk(top: Path) -> Iterator[tuple[str, int]]:
    """Every file below a folder with its size, links followed, each real folder entered once.

    Folders come before links to them, so that a link never takes over their files, and links
    upwards are left out: a loop ends. A dangling link counts as an empty file, so that reading
    it fails with a clear message.
    """
    entered = {str(parent) for parent in Path(os.path.realpath(top)).parents}
    waiting = deque([top] if top.is_dir() else [])
    while waiting:
        for name, folders, files in os.walk(waiting.popleft(), onerror=_refuse):
            folder, real_folder = Path(name), os.path.realpath(name)
            if real_folder in entered:
                folders.clear()
                continue
            entered.add(real_folder)
            folders.sort()
            waiting.extend(path for path in map(folder.joinpath, folders) if path.is_symlink())
            below = "" if folder == top else f"{folder.relative_to(top).as_posix()}/"
            for file in files:
                size = _size(folder / file)
                if size is not None and not file.endswith(PARTIAL_SUFFIX):
                    yield below + file, size


def _size(path: Path) -> int | None:
    """None for a pipe, socket or device, which reading could wait for without end."""
    try:
        status = path.stat()
    except OSError:
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _refuse(error: OSError) -> None:
    raise error
