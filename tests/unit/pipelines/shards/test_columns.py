"""Columns in files that the processes of a node map: made once, and again where they are damaged."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipelines.data.shards.columns import Pieces, mapped

ROWS = np.arange(100_000, dtype=np.int64)


def _cut_off(file: Path) -> None:
    os.truncate(file, file.stat().st_size - 8)


def _zero_the_end(file: Path) -> None:
    """As after a loss of power, where the file system knew the size before it had the content."""
    size = file.stat().st_size
    os.truncate(file, max(0, size - 4096))
    os.truncate(file, size)


def _change_the_start(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.write(b"\x07")


def _empty(file: Path) -> None:
    file.write_bytes(b"")


@pytest.mark.parametrize("damage", [None, _cut_off, _zero_the_end, _change_the_start, _empty, Path.unlink])
@pytest.mark.parametrize("name", ["rows.int64", "files.json"])
def test_damaged_columns_are_written_again(tmp_path: Path, name: str, damage: Callable[[Path], None] | None) -> None:
    made = []

    def pieces() -> Pieces:
        made.append(None)
        yield {"rows": ROWS[:10], "small": np.ones(3, np.uint8)}
        yield {"rows": ROWS[10:]}

    folder = tmp_path / "columns"
    before = mapped(folder, pieces)
    if damage is not None:
        damage(folder / name)
    found = mapped(folder, pieces)
    assert len(made) == (1 if damage is None else 2)
    assert found.keys() == {"rows", "small"}
    np.testing.assert_array_equal(found["rows"], ROWS)
    np.testing.assert_array_equal(found["small"], [1, 1, 1])
    # Whoever reads the damaged files goes on: they are replaced, not written to.
    assert len(before["rows"]) == len(ROWS)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["columns"]
