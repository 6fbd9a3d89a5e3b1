"""Commands as typed: on a terminal that lacks their characters, into a pipe that nobody reads, without the platform."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from inpainting_files import make_hole, make_photo

ROOT = Path(__file__).resolve().parents[3]
INPAINT = ("-m", "pipelines", "inpaint", "fünf.png", "--mask", "hole.png", "-o", "gefüllt.png")


def typed(
    folder: Path, *arguments: str, out: int = subprocess.PIPE, **environment: str
) -> subprocess.CompletedProcess[bytes]:
    """``python`` with arguments."""
    command = [sys.executable, *arguments]
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    surroundings = inherited | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | environment
    return subprocess.run(
        command, cwd=folder, env=surroundings, stdout=out, stderr=subprocess.PIPE, timeout=120, check=False
    )


def test_characters_that_a_terminal_lacks_are_replaced(tmp_path: Path) -> None:
    shown = typed(tmp_path, "-m", "pipelines", "--help", PYTHONIOENCODING="latin-1")
    assert (shown.returncode, shown.stderr) == (0, b"")
    assert b"COMMAND ?" in shown.stdout


@pytest.mark.slow
@pytest.mark.parametrize("stream", ["1", "2"])
def test_a_command_whose_output_is_closed_does_its_work(tmp_path: Path, stream: str) -> None:
    command = f'exec "$0" -m pipelines example {stream}>&-'
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["sh", "-c", command, sys.executable], cwd=tmp_path, env=environment, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "example/photo.png").exists()


@pytest.mark.slow
def test_names_of_files_that_a_terminal_lacks_the_characters_of_are_files_all_the_same(tmp_path: Path) -> None:
    make_photo(tmp_path / "fünf.png")
    make_hole(tmp_path / "hole.png")
    filled = typed(tmp_path, *INPAINT, PYTHONIOENCODING="ascii")
    assert filled.returncode == 0, filled.stderr
    assert b"gef?llt.png: filled" in filled.stdout


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (("-m", "pipelines", "--help"), {}),
        (("-m", "sgenet", "--help"), {}),
        pytest.param(INPAINT, {"PYTHONUNBUFFERED": "1"}, marks=pytest.mark.slow),
    ],
    ids=["platform", "method", "unbuffered"],
)
def test_a_command_whose_output_nobody_reads_ends_quietly(
    tmp_path: Path, arguments: tuple[str, ...], environment: dict[str, str]
) -> None:
    make_photo(tmp_path / "fünf.png")
    make_hole(tmp_path / "hole.png")
    read, written = os.pipe()
    os.close(read)
    try:
        ended = typed(tmp_path, *arguments, out=written, **environment)
    finally:
        os.close(written)
    assert ended.returncode == 141
    assert b"Error" not in ended.stderr


def test_a_pipe_that_breaks_elsewhere_is_a_fault(tmp_path: Path) -> None:
    code = (
        "import sys; from sgenet.console import run_command\n"
        "def main(): raise BrokenPipeError('a server hung up')\n"
        "sys.exit(run_command(main))"
    )
    ended = typed(tmp_path, "-c", code)
    assert ended.returncode == 1
    assert b"a server hung up" in ended.stderr


def test_without_the_packages_of_the_platform_a_command_says_what_to_install(tmp_path: Path) -> None:
    code = "import sys; sys.modules['pydantic'] = None; from pipelines.__main__ import console; console()"
    ended = typed(tmp_path, "-c", code)
    assert ended.returncode == 2
    assert ended.stderr.startswith(b"error: the package pydantic is not installed; `pip install 'sgenet[platform]'`")
