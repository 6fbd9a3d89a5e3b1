"""A search in MLflow: one parent run, a child for each trial, found again by the trial's id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import mlflow
from mlflow.entities import Run

from pipelines.tracking.address import open_client
from pipelines.tracking.logger import RunLogger
from pipelines.tracking.runs import Scalar, Status, open_run

PARENT_TAG = "mlflow.parentRunId"
TRIAL_TAG = "trial"


@dataclass(frozen=True)
class TrialResult:
    """How a trial ended, with its last score; None where it was never judged.

    Attributes:
        rows: its history, see :meth:`~pipelines.tracking.logger.RunLogger.log_missing`.
    """

    status: Status
    step: int
    score: float | None
    rows: Sequence[tuple[int, Mapping[str, float]]] = ()


def open_trial(
    experiment: str, parent_run_id: str, run_key: str, trial_id: str, name: str, params: Mapping[str, Scalar]
) -> RunLogger:
    """The child run of a trial: the one it had before it was interrupted, or a new one.

    Args:
        params: what is tried comes first, under names of its own, for the views that compare runs.
    """
    tags = {PARENT_TAG: parent_run_id, TRIAL_TAG: trial_id, "mlflow.source.name": "sgenet tune"}
    return RunLogger(open_run(experiment, run_key, name=name, params=params, tags=tags))


def trial_runs(parent_run_id: str) -> dict[str, Run]:
    """The child runs of a search by their trial's id."""
    experiment = open_client().get_run(parent_run_id).info.experiment_id
    found = mlflow.search_runs([experiment], f"tags.`{PARENT_TAG}` = '{parent_run_id}'", output_format="list")
    return {run.data.tags[TRIAL_TAG]: run for run in found if TRIAL_TAG in run.data.tags}


def close_trials(parent_run_id: str, results: Mapping[str, TrialResult], metric: str) -> None:
    """Close every child run with its trial's result, its last score as ``search/<metric>``.

    A run whose trial the search does not know is removed: the search was killed after the trial had begun and
    before it was written down, and tried again under another id.
    """
    client = open_client()
    for trial_id, run in trial_runs(parent_run_id).items():
        result = results.get(trial_id)
        if result is None:
            client.set_terminated(run.info.run_id, "KILLED")
            client.delete_run(run.info.run_id)
            continue
        logger = RunLogger(run.info.run_id)
        logger.log_missing(result.rows)
        if result.score is not None:
            logger.results({f"search/{metric}": result.score}, result.step)
        client.set_terminated(run.info.run_id, result.status)


def interrupt_trials(parent_run_id: str) -> None:
    """Close the child runs of trials that an interrupted search leaves in the middle; they are opened again with it."""
    client = open_client()
    for run in trial_runs(parent_run_id).values():
        if run.info.status == "RUNNING":
            client.set_terminated(run.info.run_id, "KILLED")
