"""A training that is killed and started again learns what it would have learnt undisturbed, to the bit."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from training_process import make_workspace, result_of, start_training

pytestmark = [pytest.mark.slow, pytest.mark.faults]
STEPS = 12


def _workspace(folder: Path, dataset: Path) -> Path:
    often = {"checkpoint_every": 3, "keep_checkpoints": 2}
    return make_workspace(
        folder, dataset, str(folder / "storage"), {"workers": 0}, steps=STEPS, loader_processes=1, **often
    )


@pytest.fixture(scope="module")
def undisturbed(tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    workspace = _workspace(tmp_path_factory.mktemp("undisturbed"), tiny_dataset)
    start_training(workspace, os.environ).finish()
    return result_of(workspace)


@pytest.mark.parametrize(("number", "exit_status"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 130)])
def test_resumed_training_equals_the_undisturbed_one(
    number: signal.Signals, exit_status: int, tiny_dataset: Path, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    workspace = _workspace(tmp_path, tiny_dataset)
    training = start_training(workspace, os.environ)
    training.wait_for("step 5/")
    # To its decoders as well, as a terminal or a scheduler does.
    os.killpg(training.process.pid, number)
    assert training.process.wait(60) == exit_status
    assert not (workspace / "runs").exists()

    resumed = start_training(workspace, os.environ)
    assert 3 <= int(resumed.wait_for("continuing after step").split()[-1]) < STEPS
    assert "step 1/" not in resumed.finish()
    assert result_of(workspace) == undisturbed


def test_each_step_is_in_the_history_once_after_a_resume(undisturbed: dict[str, bytes]) -> None:
    lines = undisturbed["losses.csv"].decode().splitlines()
    assert [line.split(",")[0] for line in lines] == ["step", *(str(step) for step in range(1, STEPS + 1))]
