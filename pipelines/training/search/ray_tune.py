"""The trials of a search on Ray: Optuna proposes, ASHA stops the worse, Ray Train trains each.

A trial is a process beside the search's driver that launches its training like any other – on Ray
Train's workers, or in itself where the settings ask for none – and hands its validation scores on
to Ray Tune. Tune's own way, a callback of the trainer, needs every
worker to report at a barrier; ours already tell their launcher.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import optuna
import ray
from pyarrow.fs import PyFileSystem
from ray import tune
from ray.tune.execution.placement_groups import PlacementGroupFactory
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

from pipelines.parallel.cluster import joined_cluster
from pipelines.settings.params import RunSettings
from pipelines.storage.store import join, open_storage
from pipelines.training.checkpoints import CheckpointStore
from pipelines.training.display import ProgressUpdate
from pipelines.training.history import ValidationRow
from pipelines.training.job import TrainingJob
from pipelines.training.launch import train_here
from pipelines.training.ray_train import train_on_ray
from pipelines.training.search.plan import SearchPlan
from pipelines.training.search.space import current_values
from pipelines.training.search.state import disk_for_search_state
from pipelines.training.search.trials import Trial

_STEP, _CURVE = "step", "curve"
# A resource of the node where the search's driver runs; a trial's own process takes no core from the trainings.
_BESIDE_THE_DRIVER = {"node:__internal_head__": 0.001}
_QUIET = {
    # Tables of results beside ours, which nobody reads.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    # Tune's own handler ends a search that was interrupted as if it were done.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
}
_ROUNDS = "rounds.json"
"""How many trials each call has added to a search: a search of Tune has a fixed number of them."""

OpenTrial = Callable[[TrainingJob, str, Mapping[str, float]], TrainingJob]
"""Gives a trial's training the tracked run it logs to; called in the trial's process."""


class SearchInterrupted(KeyboardInterrupt):
    """A search was asked to stop, its state stored; the same command resumes it."""


def search_on_ray(plan: SearchPlan, open_trial: OpenTrial) -> list[Trial]:
    """Run the trials that are left of a search: all of it, or what an earlier, interrupted or smaller one has left.

    Returns:
        All trials of the search, those that were trained longest first, and of these the best.

    Raises:
        SearchInterrupted: asked to stop by Ctrl-C; the state is stored.
        UserError: the cluster does not answer or cannot be started.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    # What has begun or ended is written down within about so many seconds. What was not, when the driver is killed,
    # begins again under another id, or is told again from its checkpoint.
    os.environ.setdefault("TUNE_GLOBAL_CHECKPOINT_S", "10" if "://" in plan.storage else "0.5")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # All of this machine, where it is one: what a trial asks for is less.
    with joined_cluster(plan.run.model_copy(update={"cpus_per_worker": 0})):
        run = _share(plan.run)
        found: list[Trial] = []
        for number, size in enumerate(_rounds(plan)):
            found += _run_round(replace(plan, run=run), open_trial, number, size, found)
    # A restored search has them in another order: the one that got furthest, then the best, comes first.
    sign = 1 if plan.maximises else -1
    return sorted(found, key=lambda trial: (-trial.step, -sign * (trial.score or 0.0), trial.trial_id))


def _rounds(plan: SearchPlan) -> list[int]:
    """The number of trials in each round of a search, with one more for those that no call has asked for yet."""
    storage = open_storage(join(plan.storage, plan.key))
    rounds: list[int] = json.loads(storage.read(_ROUNDS)) if storage.exists(_ROUNDS) else []
    missing = plan.settings.trials - sum(rounds)
    if missing > 0:
        rounds.append(missing)
        storage.write(_ROUNDS, json.dumps(rounds).encode())
    return rounds


def _run_round(
    plan: SearchPlan, open_trial: OpenTrial, number: int, size: int, earlier: Sequence[Trial]
) -> list[Trial]:
    """Run what is left of the ``number``-th round, from 0, with ``size`` trials; it resumes from ``earlier`` ones.

    Raises:
        SearchInterrupted: asked to stop by Ctrl-C.
    """
    path = f"{plan.storage}/{plan.key}/{_round_name(number)}"
    disk = None if "://" in path else disk_for_search_state()
    try:
        grid = _tuner(plan, open_trial, number, size, earlier, path, disk).fit()
        # The public grid has results, but not whether a trial has ended.
        trials: Sequence[TuneTrial] = grid._experiment_analysis.trials
        if not all(map(_has_ended, trials)):
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        done, wanted = len(earlier) + _num_ended(path), max(plan.settings.trials, len(earlier) + size)
        raise SearchInterrupted(f"interrupted after {done} of {wanted} trials") from None
    return [_finished(trial) for trial in trials]


def _round_name(number: int) -> str:
    return f"tune-{number + 1}" if number else "tune"


def _num_ended(path: str) -> int:
    """How many trials of a round have ended, by the newest state that Tune wrote of it."""
    storage = open_storage(path)
    states = [entry.path for entry in storage.list() if entry.path.startswith("experiment_state-")]
    if not states:
        return 0
    trials = [json.loads(trial) for trial, _ in json.loads(storage.read(max(states)))["trial_data"]]
    return sum(trial["status"] in (TuneTrial.TERMINATED, TuneTrial.ERROR) for trial in trials)


def _has_ended(trial: TuneTrial) -> bool:
    return trial.status in (TuneTrial.TERMINATED, TuneTrial.ERROR)


def _tuner(
    plan: SearchPlan,
    open_trial: OpenTrial,
    number: int,
    size: int,
    earlier: Sequence[Trial],
    path: str,
    disk: PyFileSystem | None,
) -> tune.Tuner:
    def trial(values: dict[str, float]) -> None:
        _run_trial(plan, open_trial, values)

    trainable = tune.with_resources(trial, PlacementGroupFactory([_resources_of_a_trial(plan.run)]))
    if tune.Tuner.can_restore(path, disk):
        # Trials that failed stay so: what fails once with the same state and settings fails again.
        return tune.Tuner.restore(path, trainable, resume_unfinished=True, storage_filesystem=disk)
    search, mode = plan.settings, "max" if plan.maximises else "min"
    return tune.Tuner(
        trainable,
        param_space={
            dimension.name: (tune.loguniform if dimension.logarithmic else tune.uniform)(dimension.low, dimension.high)
            for dimension in plan.searched
        },
        tune_config=tune.TuneConfig(
            metric=search.metric,
            mode=mode,
            num_samples=size,
            max_concurrent_trials=_concurrency(plan.run),
            # The next trial in the process of the one before: importing PyTorch takes seconds.
            reuse_actors=True,
            trial_name_creator=_trial_name,
            trial_dirname_creator=_trial_name,
            search_alg=_proposer(plan, number, earlier),
            scheduler=ASHAScheduler(
                time_attr=_STEP,
                max_t=search.steps,
                grace_period=search.grace_steps,
                reduction_factor=search.reduction_factor,
            ),
        ),
        run_config=tune.RunConfig(
            name=_round_name(number),
            storage_path=f"{plan.storage}/{plan.key}",
            storage_filesystem=disk,
            callbacks=[_Progress(len(earlier), len(earlier) + size, search.metric)],
            verbose=0,
        ),
    )


def _proposer(plan: SearchPlan, number: int, earlier: Sequence[Trial]) -> OptunaSearch:
    """Proposes first the recipe as it stands; in a later round, from what the rounds before have shown."""
    known = [(dict(trial.values), trial.score) for trial in earlier if trial.error is None and trial.score is not None]
    if known:
        points, scores = zip(*known, strict=True)
        return OptunaSearch(
            seed=plan.settings.seed + number, points_to_evaluate=list(points), evaluated_rewards=list(scores)
        )
    now = current_values(plan.job.recipe, plan.searched)
    return OptunaSearch(seed=plan.settings.seed + number, points_to_evaluate=[now] if now else None)


def _trial_name(trial: TuneTrial) -> str:
    return str(trial.trial_id)


def _run_trial(plan: SearchPlan, open_trial: OpenTrial, values: dict[str, float]) -> None:
    trial_id = tune.get_context().get_trial_id()
    job = open_trial(plan.trial(trial_id, values), trial_id, values)
    reporter = _Reporter(job, plan.settings.metric)
    (train_on_ray if plan.run.max_workers else train_here)(job, plan.run, reporter)
    reporter.report_stored()


class _Reporter:
    """Hands the scores of a training on to Ray Tune, those from before an interruption included."""

    def __init__(self, job: TrainingJob, metric: str) -> None:
        self._job = job
        self._metric = metric
        self._curve: list[tuple[int, float]] = []

    def show(self, shown: ProgressUpdate) -> None:
        """Report a validation; the losses are in the tracked run."""
        if isinstance(shown, ValidationRow):
            if not self._curve:
                self._curve = self._stored(shown.step - 1)
            self._report((shown.step, shown.scores[self._metric]))

    def say(self, text: str) -> None:
        """Ignored: trials have no terminal."""

    def report_stored(self) -> None:
        """Report what an earlier process trained and could not report any more."""
        stored = self._stored(self._job.recipe.training.steps)
        if len(stored) > len(self._curve):
            self._curve = stored[:-1]
            self._report(stored[-1])

    def _stored(self, step: int) -> list[tuple[int, float]]:
        history = CheckpointStore(self._job.checkpoints, keep=1).load_history(step)
        return [(row.step, row.scores[self._metric]) for row in history.validations]

    def _report(self, point: tuple[int, float]) -> None:
        self._curve.append(point)
        tune.report({_STEP: point[0], self._metric: point[1], _CURVE: [list(pair) for pair in self._curve]})


class _Progress(tune.Callback):
    """A line for each thing that happens."""

    def __init__(self, num_before: int, num_trials: int, metric: str) -> None:
        self._num_before = num_before
        self._num_trials = num_trials
        self._metric = metric

    def on_trial_result(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, result: dict[str, Any], **info: Any
    ) -> None:
        """Say how far a trial is."""
        self._say(trials, trial, f"step {result[_STEP]}, {self._metric} {result[self._metric]:.5g}")

    def on_trial_complete(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        """Say that a trial has ended."""
        self._say(trials, trial, "done")

    def on_trial_error(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        """Say that a trial has failed."""
        self._say(trials, trial, f"failed: {_error(trial)}")

    def _say(self, trials: list[TuneTrial], trial: TuneTrial, what: str) -> None:
        number = self._num_before + trials.index(trial) + 1
        print(f"trial {number} of {self._num_trials} ({trial.trial_id}): {what}", flush=True)


def _finished(trial: TuneTrial) -> Trial:
    curve = tuple((int(step), float(score)) for step, score in trial.last_result.get(_CURVE, ()))
    error = _error(trial) if trial.status == TuneTrial.ERROR else None
    return Trial(trial.trial_id, dict(trial.config), curve, error)


def _error(trial: TuneTrial) -> str:
    error = trial.get_error()
    cause = getattr(error, "cause", None) or error
    return " ".join(str(cause).split())[-300:] if cause is not None else "unknown"


def _share(run: RunSettings) -> RunSettings:
    """What a trial asks for: where the settings leave the cores open, one for a worker, or a GPU's share of them."""
    cores = run.cpus_per_worker
    if not cores:
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        cores = max(1, int(resources["CPU"] // max(resources.get("GPU", 1), 1))) if run.use_gpu else 1
    return run.model_copy(update={"cpus_per_worker": cores})


def _resources_of_a_trial(run: RunSettings) -> dict[str, float]:
    """Of its own process, which trains where there are no workers, and else only launches them."""
    if run.max_workers:
        return _BESIDE_THE_DRIVER
    return {"CPU": run.cpus_per_worker, **({"GPU": 1} if run.use_gpu else {})}


def _concurrency(run: RunSettings) -> int:
    """How many trials the cluster has room for at a time."""
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    workers = max(run.max_workers, 1)
    room = resources["CPU"] // (workers * run.cpus_per_worker)
    if run.use_gpu:
        room = min(room, resources.get("GPU", 0) // workers)
    return max(1, int(room))
