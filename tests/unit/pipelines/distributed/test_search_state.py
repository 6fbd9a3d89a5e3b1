from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from pyarrow.fs import LocalFileSystem, PyFileSystem, copy_files

from pipelines.training.search.state import disk_for_search_state


@pytest.fixture
def staged(tmp_path: Path) -> Path:
    folder = tmp_path / "staged"
    folder.mkdir()
    return folder


def _copy(staged: Path, kept: Path, disk: PyFileSystem) -> None:
    copy_files(str(staged), str(kept), source_filesystem=LocalFileSystem(), destination_filesystem=disk)


def test_the_start_of_a_state_does_not_replace_a_whole_one(staged: Path, tmp_path: Path) -> None:
    disk, kept = pickle.loads(pickle.dumps(disk_for_search_state())), tmp_path / "kept"
    (staged / "experiment_state-1.json").write_text('{"trials": [1]}')
    (staged / "searcher.pkl").write_bytes(b"first")
    _copy(staged, kept, disk)
    # What another thread has written of the next one so far:
    (staged / "experiment_state-1.json").write_text('{"trials": [1, ')
    (staged / "searcher.pkl").write_bytes(b"second")
    _copy(staged, kept, disk)
    assert (kept / "experiment_state-1.json").read_text() == '{"trials": [1]}'
    assert (kept / "searcher.pkl").read_bytes() == b"second"
    (staged / "experiment_state-1.json").write_text('{"trials": [1, 2]}')
    _copy(staged, kept, disk)
    assert (kept / "experiment_state-1.json").read_text() == '{"trials": [1, 2]}'


def test_until_a_file_is_whole_there_is_the_one_before(tmp_path: Path) -> None:
    disk, path = disk_for_search_state(), tmp_path / "state.pkl"
    path.write_bytes(b"before")
    with disk.open_output_stream(str(path)) as stream:
        stream.write(b"after")
        assert path.read_bytes() == b"before"
    assert path.read_bytes() == b"after"
    assert [file.name for file in tmp_path.iterdir()] == ["state.pkl"]
