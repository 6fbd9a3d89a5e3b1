"""A training that is killed and started again learns what it would have learnt undisturbed, to the bit."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from train_tiny import EXIT_INTERRUPTED

SCRIPT = Path(__file__).with_name("train_tiny.py")
pytestmark = [pytest.mark.slow, pytest.mark.faults]


@pytest.fixture(scope="module")
def undisturbed(tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    assert _start(tiny_dataset, folder).wait() == 0
    return folder


@pytest.mark.parametrize(
    ("number", "exit_status"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, EXIT_INTERRUPTED)]
)
def test_resumed_training_equals_the_undisturbed_one(
    number: signal.Signals, exit_status: int, tiny_dataset: Path, undisturbed: Path, tmp_path: Path
) -> None:
    process = _start(tiny_dataset, tmp_path)
    _wait_for(process, "step 5/")
    # To its decoders as well, as a terminal or a scheduler does.
    os.killpg(process.pid, number)
    process.communicate()
    assert process.returncode == exit_status
    assert not (tmp_path / "output").exists()

    resumed = _start(tiny_dataset, tmp_path)
    text, _ = resumed.communicate()
    assert resumed.returncode == 0
    start = re.search(r"continuing after step (\d+)", text)
    assert start is not None
    assert 3 <= int(start[1]) < 12
    assert "step 1/" not in text
    for name in ("losses.csv", "validation.csv", "model.safetensors"):
        assert (tmp_path / "output" / name).read_bytes() == (undisturbed / "output" / name).read_bytes(), name
    assert _final_state(tmp_path) == _final_state(undisturbed)


def test_each_step_is_in_the_history_once_after_a_resume(undisturbed: Path) -> None:
    lines = (undisturbed / "output" / "losses.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["step", *(str(step) for step in range(1, 13))]


def test_a_finished_training_is_not_repeated(tiny_dataset: Path, undisturbed: Path) -> None:
    again = _start(tiny_dataset, undisturbed)
    text, _ = again.communicate()
    assert again.returncode == 0
    assert "step 12/" not in text


def _start(dataset: Path, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, str(SCRIPT), str(dataset), str(folder / "storage"), str(folder / "output")]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)


def _wait_for(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return
    pytest.fail(f"the training ended without printing {text!r}")


def _final_state(folder: Path) -> list[tuple[str, object]]:
    (path,) = (folder / "storage" / "checkpoints").glob("*/step-00000012.pt")
    return sorted(_flatten("", torch.load(path, weights_only=True)))


def _flatten(prefix: str, value: object) -> list[tuple[str, object]]:
    if isinstance(value, dict):
        return [item for key, inner in value.items() for item in _flatten(f"{prefix}/{key}", inner)]
    if isinstance(value, (list, tuple)):
        return [item for key, inner in enumerate(value) for item in _flatten(f"{prefix}/{key}", inner)]
    return [(prefix, value.tolist() if isinstance(value, torch.Tensor) else value)]
