"""Files that appear whole or not at all: a temporary neighbour first, then one rename."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sgenet.errors import DataError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_LONGEST_NAME = 240

PARTIAL_SUFFIX = ".partial"
"""How the name of a file ends that is being written."""


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that readers see the old content or the new one, never a part.

    Raises:
        DataError: the disk is full or the folder cannot be written to.
    """
    with writing(path), published(path) as partial:
        partial.write_bytes(content)


@contextmanager
def published(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` whose file takes that name when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{secrets.token_hex(8)}{PARTIAL_SUFFIX}")
    try:
        yield partial
        with partial.open("rb") as file:
            # Else a power cut could keep the new name and lose the content.
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def publish_folder(output: Path) -> Iterator[Path]:
    """Give an empty folder to fill; it becomes ``output`` when the block ends well, and vanishes when it does not.

    Its name depends on ``output`` alone, so what a killed run left behind is cleared by the next one.

    Raises:
        DataError: the disk is full or the folder cannot be written to.
    """
    temporary, replaced = _neighbour(output, "partial"), _neighbour(output, "replaced")
    with writing(output):
        for leftover in (temporary, replaced):
            _remove(leftover)
        temporary.mkdir(parents=True)
    try:
        yield temporary
        with writing(output):
            if output.exists():
                output.replace(replaced)
            temporary.replace(output)
    finally:
        _remove(temporary)
        _remove(replaced)


@contextmanager
def alone_at(path: Path) -> Iterator[None]:
    """Let one process of this machine at a time work on a file or folder; the others wait. The lock lies beside it.

    Raises:
        DataError: the folder it lies in cannot be written to.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        # Closing alone would leave the lock with a process that was forked from this one meanwhile.
        fcntl.flock(lock, fcntl.LOCK_UN)
        os.close(lock)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals to write into a sentence that names ``path``.

    Raises:
        DataError: the disk is full, permission is denied, a folder's name is that of a file, a name is too long, …
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise DataError(f"the disk is full while writing {path}; free some space and run this again") from error
        if isinstance(error, PermissionError):
            raise DataError(f"{path} cannot be written ({error.strerror}); check the folder's permissions") from error
        # What exists where a folder is needed is a file, or a link to nothing.
        reason = os.strerror(errno.ENOTDIR) if isinstance(error, FileExistsError) else error.strerror or error
        raise DataError(f"{path} cannot be written ({reason}); choose another place") from error


@contextmanager
def reading(path: Path, remedy: str) -> Iterator[None]:
    """Turn what can be wrong with a small file into a sentence that names ``path`` and ends in the remedy.

    Args:
        path: of a file that the block reads and takes apart.
        remedy: what makes the file, such as "run the shards stage".

    Raises:
        DataError: the file does not exist, cannot be read, or does not hold what it should.
    """
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(f"{path} does not exist; {remedy}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is damaged ({error}); {remedy} again") from error


def check_writable(path: Path) -> None:
    """Refuse a path that no file can be written to, before there is anything to write; leaves no new folder.

    Raises:
        DataError: what is in the way.
    """
    with writing(path):
        made = [folder for folder in path.parents if not folder.exists()]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            probe = _neighbour(path, "partial")
            probe.touch()
            probe.unlink()
        finally:
            for folder in made:
                with suppress(OSError):
                    folder.rmdir()


def sha256_of_file(path: Path) -> str:
    """Hexadecimal sha256 of a file's content, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_files(paths: Iterable[Path], root: Path) -> str:
    """Hash files by their names below ``root`` and their bytes; the order they come in does not matter."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(root).as_posix()}\0{content}\n".encode())
    return digest.hexdigest()


def _neighbour(path: Path, kind: str) -> Path:
    """A hidden name beside a path, that depends on its name alone and is no longer than file systems allow."""
    name = path.name
    if len(os.fsencode(name)) > _LONGEST_NAME:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()
    return path.with_name(f".{name}.{kind}")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
