"""``python -m pipelines tune`` as a user runs it: killed in the middle, run again, run through Ray Train."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient
from mlflow.entities import Run
from processes import kill_all
from tiny import DATASET, METHOD, tiny_settings

from pipelines.settings.load import load
from pipelines.training.search.space import with_values

pytestmark = [pytest.mark.slow, pytest.mark.faults]

ROOT = Path(__file__).resolve().parents[2]
TRIALS = 6
STEPS = 4
_DONE = re.compile(r"^trial \d+ of \d+ \((\w+)\): done$")


@pytest.fixture
def folder(tiny_dataset: Path, tmp_path: Path) -> Path:
    """A working folder with data and settings."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / DATASET).symlink_to(tiny_dataset)
    return tmp_path


def _write_settings(folder: Path, workers: int, trials: int) -> None:
    settings = tiny_settings(folder / "data" / DATASET, folder / "storage").model_dump(mode="json")
    settings["run"] |= {"workers": workers, "cpus_per_worker": 1}
    settings["search"] |= {"trials": trials, "steps": STEPS, "report_every": 1, "grace_steps": 2, "reduction_factor": 2}
    (folder / "params.yaml").write_text(yaml.safe_dump(settings))


def _tune(folder: Path) -> subprocess.Popen[str]:
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
        "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING": "false",
    }
    environment.pop("RAY_ADDRESS", None)
    command = [sys.executable, "-m", "pipelines", "tune", "--dataset", DATASET, "--method", METHOD]
    output = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT, text=True)


def _lines(process: subprocess.Popen[str]) -> Iterator[str]:
    assert process.stdout is not None
    for line in process.stdout:
        yield line.rstrip("\n")


def _kill_with_ray(process: subprocess.Popen[str]) -> None:
    """SIGKILL to the driver, to Ray and to every worker, as when the machine is lost."""
    kill_all(process.pid)
    process.wait(timeout=30)


def _finish(folder: Path) -> list[str]:
    process = _tune(folder)
    said = list(_lines(process))
    assert process.wait(timeout=60) == 0, "\n".join(said)
    return said


def _done(lines: list[str]) -> list[str]:
    return [match[1] for line in lines if (match := _DONE.match(line))]


def _kept(folder: Path) -> dict[str, str]:
    """The trials that are on the disk, with what they are: RUNNING, TERMINATED …"""
    states = sorted((folder / "storage" / "searches").glob("*/tune/experiment_state-*.json"))
    if not states:
        return {}
    trials = [json.loads(trial) for trial, _ in json.loads(states[-1].read_text())["trial_data"]]
    return {trial["trial_id"]: trial["status"] for trial in trials}


def _runs(folder: Path) -> tuple[Run, list[Run]]:
    """The search's run and those of its trials."""
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(DATASET)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert len(parents) == 1
    assert all(run.data.tags["mlflow.parentRunId"] == parents[0].info.run_id for run in runs if run is not parents[0])
    return parents[0], [run for run in runs if run is not parents[0]]


def _table(folder: Path) -> list[dict[str, str]]:
    with (folder / "search" / DATASET / METHOD / "trials.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_search_killed_half_way_finishes_with_every_trial_once(folder: Path) -> None:
    _write_settings(folder, workers=0, trials=TRIALS)
    process = _tune(folder)
    before: list[str] = []
    for line in _lines(process):
        before.append(line)
        # Half of it is done, of which something is on the disk; another trial has begun and is lost in the middle.
        if len(_done(before)) >= TRIALS // 2 and "step" in line and "TERMINATED" in _kept(folder).values():
            break
    else:
        pytest.fail("\n".join(before))
    _kill_with_ray(process)
    kept = _kept(folder)

    after = _finish(folder)
    # What ended or began in the last second before may not have been written down, and is done again.
    ended = {trial for trial, status in kept.items() if status == "TERMINATED"}
    assert not ended & set(_done(after)), "a finished trial was run again"
    trials = _table(folder)
    ids = [trial["trial"] for trial in trials]
    assert len(set(ids)) == len(ids) == TRIALS
    assert set(kept) <= set(ids)
    assert max(int(trial["step"]) for trial in trials) == STEPS

    parent, children = _runs(folder)
    assert sorted(run.data.tags["trial"] for run in children) == sorted(ids)
    assert {run.info.status for run in (parent, *children)} == {"FINISHED"}
    compared = {"lambda_p", "lambda_alpha", "lambda_s", "tau_0", "tau_1", "tau_2", "tau_3"}
    for run in children:
        assert compared <= set(run.data.params)
        row = next(trial for trial in trials if trial["trial"] == run.data.tags["trial"])
        assert run.data.metrics["search/psnr_hole"] == pytest.approx(float(row["psnr_hole"]))
        assert float(run.data.params["tau_3"]) == pytest.approx(float(row["tau_3"]))

    _check_outcome(folder, trials)
    # All is done: the same command runs nothing and says the same.
    again = _finish(folder)
    assert _done(again) == []
    assert _table(folder) == trials
    assert len(_runs(folder)[1]) == TRIALS


def test_ctrl_c_keeps_the_last_whole_result_and_trials_can_be_added(folder: Path) -> None:
    _write_settings(folder, workers=0, trials=2)
    _finish(folder)
    first, best = _table(folder), folder / "search" / DATASET / METHOD / "best.yaml"
    written = best.read_bytes()

    _write_settings(folder, workers=0, trials=4)
    process = _tune(folder)
    said: list[str] = []
    for line in _lines(process):
        said.append(line)
        if line.startswith("trial 3 of 4") and "step" in line:
            process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    assert re.search(r"interrupted after [23] of 4 trials; to resume: python -m pipelines tune", said[-1])
    assert best.read_bytes() == written
    assert _runs(folder)[0].info.status == "KILLED"

    _finish(folder)
    trials = _table(folder)
    assert len({trial["trial"] for trial in trials}) == len(trials) == 4
    assert all(trial in trials for trial in first)
    parent, children = _runs(folder)
    assert {run.info.status for run in (parent, *children)} == {"FINISHED"}
    assert len(children) == 4


def _check_outcome(folder: Path, trials: list[dict[str, str]]) -> None:
    output = folder / "search" / DATASET / METHOD
    summary = json.loads((output / "search.json").read_text())
    finalists = [trial for trial in trials if int(trial["step"]) == STEPS]
    best = max(finalists, key=lambda trial: float(trial["psnr_hole"]))
    assert trials[0] == best
    assert summary["best"]["trial"] == best["trial"]
    assert sum(summary["importance"]["shares"].values()) == pytest.approx(1)
    tried = {name: float(best[name]) for name in best if name.startswith(("lambda_", "tau_"))}
    found, asked = load(output / "best.yaml").recipes[DATASET], load(folder / "params.yaml").recipes[DATASET]
    wanted = with_values(asked, tried)
    assert found.losses.adversarial == pytest.approx(wanted.losses.adversarial, rel=1e-3)
    assert found.network.tau.ratios == pytest.approx(wanted.network.tau.ratios, rel=1e-3)
    assert found.losses.perceptual == 0
    assert (found.training, found.optimizer) == (asked.training, asked.optimizer)
    assert (output / "importance.png").read_bytes().startswith(b"\x89PNG")


def test_trials_train_on_ray_train_workers(folder: Path) -> None:
    _write_settings(folder, workers=1, trials=2)
    said = _finish(folder)
    assert len(_done(said)) == 2
    _, children = _runs(folder)
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    for run in children:
        # Every loss once, whatever the search thought of the trial.
        steps = [point.step for point in client.get_metric_history(run.info.run_id, "loss/reconstruction")]
        assert steps == list(range(1, len(steps) + 1))
    # One trial is the recipe as it stands.
    recipe = load(folder / "params.yaml").recipes[DATASET]
    tried = [(float(trial["lambda_alpha"]), float(trial["tau_0"])) for trial in _table(folder)]
    assert tried.count((recipe.losses.adversarial, recipe.network.tau.ratios[0])) == 1
