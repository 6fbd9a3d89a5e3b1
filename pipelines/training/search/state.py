"""The disk as Ray Tune sees it: of each file of a search's state there is a whole one, or the one before.

Tune keeps the state of a search by overwriting its files, copied from a folder to which it writes meanwhile.
A search that was killed in such a moment could not be restored.
"""

from __future__ import annotations

import io
import json
from pathlib import Path

from fsspec.implementations.local import LocalFileSystem
from pyarrow import PythonFile
from pyarrow.fs import FSSpecHandler, PyFileSystem

from pipelines.storage.files import write_atomically

_WRITTEN_IN_PLACE = "experiment_state-"


def disk_for_search_state() -> PyFileSystem:
    """The local disk, on which files appear whole or not at all."""
    return PyFileSystem(_WholeFiles(LocalFileSystem()))


class _WholeFiles(FSSpecHandler):  # type: ignore[misc]
    def open_output_stream(self, path: str, metadata: object) -> PythonFile:
        return PythonFile(_WholeFile(Path(path)), mode="w")


class _WholeFile(io.BytesIO):
    """A file in memory, on the disk once it is closed."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def close(self) -> None:
        if not self.closed:
            content = self.getvalue()
            # The others are moved into place where they are copied from; some are pickles that end with .json.
            if not self._path.name.startswith(_WRITTEN_IN_PLACE) or _is_json(content):
                write_atomically(self._path, content)
        super().close()


def _is_json(content: bytes) -> bool:
    try:
        json.loads(content)
    except ValueError:
        return False
    return True
