from __future__ import annotations

import errno
import shutil
from pathlib import Path

import pytest

from pipelines.__main__ import main
from pipelines.storage.files import check_writable, digest_files, publish_folder, write_atomically
from sgenet.errors import DataError

PARAMS = Path(__file__).parents[3] / "params.yaml"


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_that_cannot_be_written_whole_keeps_its_old_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "table"
    write_atomically(path, b"old")

    def half(self: Path, content: bytes) -> int:
        with self.open("wb") as file:
            file.write(content[:2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(DataError, match=r"the disk is full while writing .*table; free some space"):
        write_atomically(path, b"new content")
    assert path.read_bytes() == b"old"
    assert _names(tmp_path) == ["table"]


def test_a_folder_appears_whole_in_place_of_the_one_before(tmp_path: Path) -> None:
    output = tmp_path / "folder"
    for name in ("first", "second"):
        with publish_folder(output) as folder:
            (folder / name).write_text("1")
            assert not (output / name).exists()
        assert _names(output) == [name]
    assert _names(tmp_path) == ["folder"]


def test_a_failure_leaves_the_folder_before_and_nothing_else(tmp_path: Path) -> None:
    output = tmp_path / "folder"
    with publish_folder(output) as folder:
        (folder / "good").write_text("1")

    def interrupted() -> None:
        with publish_folder(output) as folder:
            (folder / "half").write_text("1")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert _names(output) == ["good"]
    assert _names(tmp_path) == ["folder"]


def test_a_read_only_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, content: bytes) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(DataError, match=r"table cannot be written \(Permission denied\)"):
        write_atomically(tmp_path / "table", b"")


def test_digest_of_files_sees_names_and_content_but_no_order(tmp_path: Path) -> None:
    first, second = tmp_path / "a.py", tmp_path / "b.py"
    first.write_text("1")
    second.write_text("2")
    digest = digest_files([first, second], tmp_path)
    assert digest_files([second, first], tmp_path) == digest
    second.write_text("3")
    assert digest_files([first, second], tmp_path) != digest
    second.write_text("2")
    assert digest_files([first, second.rename(tmp_path / "c.py")], tmp_path) != digest


@pytest.mark.parametrize("output", ["file/below", "folder", "file/below/deeper", "/proc/nothing/here", "x" * 300])
def test_what_is_in_the_way_of_a_file_is_said_in_a_sentence_and_leaves_nothing(tmp_path, output):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    before = sorted(tmp_path.rglob("*"))
    for write in (check_writable, lambda path: write_atomically(path, b"content")):
        with pytest.raises(DataError, match="cannot be written"):
            write(tmp_path / output)
    assert sorted(tmp_path.rglob("*")) == before


def test_asking_whether_a_file_can_be_written_leaves_no_folder(tmp_path):
    (tmp_path / "there").mkdir()
    check_writable(tmp_path / "there" / "new" / "newer" / "file")
    with pytest.raises(DataError, match="cannot be written"):
        check_writable(tmp_path / "there" / "new" / ("x" * 300) / "file")
    assert [path.name for path in tmp_path.rglob("*")] == ["there"]


@pytest.mark.parametrize(
    "command",
    [
        ["export", "--model", "no/such/model", "-o", "new/model.onnx"],
        ["register", "--dataset", "mixed_scenes", "--method", "sge_net"],
    ],
)
def test_a_refused_command_leaves_no_folder(tmp_path, monkeypatch, command):
    shutil.copy(PARAMS, tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main(command) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


def test_a_name_of_255_bytes_is_written(tmp_path):
    path = tmp_path / ("é" * 126 + "abc")
    write_atomically(path, b"content")
    assert path.read_bytes() == b"content"


def test_an_export_to_a_place_below_a_file_ends_with_a_sentence_at_once(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert main(["export", "--model", "shipped", "-o", "file/below.onnx"]) == 2
    assert capsys.readouterr().err.startswith("error: file/below.onnx cannot be written (")
