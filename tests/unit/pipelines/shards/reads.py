"""What is read from a storage, and waiting for it."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from pipelines.storage.store import LocalStorage, S3Storage


def paths_read(kind: type[LocalStorage] | type[S3Storage], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of which ranges are read from now on, one for each request."""
    paths: list[str] = []
    read_range = kind.read_range

    def noted(storage: LocalStorage | S3Storage, path: str, offset: int, size: int) -> bytes:
        paths.append(path)
        return read_range(storage, path, offset, size)

    monkeypatch.setattr(kind, "read_range", noted)
    return paths


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
