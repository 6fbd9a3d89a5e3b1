"""``python -m pipelines tune``: search for the weights of the losses and the thresholds τ."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.commands.common import add_params, ask_addressed_cluster, check_dataset, positive
from pipelines.settings.layout import DatasetPaths, SearchPaths
from pipelines.settings.load import load
from pipelines.settings.params import Settings
from sgenet.errors import SettingsError

if TYPE_CHECKING:
    from pipelines.tracking.logger import RunLogger
    from pipelines.tracking.runs import DataInput, Scalar
    from pipelines.training.job import TrainingJob
    from pipelines.training.search.outcome import Outcome
    from pipelines.training.search.plan import SearchPlan
    from pipelines.training.search.trials import Trial

HELP = "Search for the loss weights and thresholds of a method; resumes an interrupted one."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The dataset, the method and the number of trials."""
    add_params(parser)
    parser.add_argument("--dataset", required=True, help="a name in datasets of params.yaml")
    parser.add_argument("--method", default="sge_net", help="base_net, sg_net or sge_net (default)")
    parser.add_argument("--trials", type=positive, metavar="N", help="in place of search.trials")


def execute(options: argparse.Namespace) -> None:
    """Search, and write what was found to ``search/<dataset>/<method>/``.

    Raises:
        UserError: the settings or the data do not allow it, or no trial was judged.
        KeyboardInterrupt: asked to stop; the state is stored.
    """
    from pipelines.parallel.loopback import keep_to_loopback
    from pipelines.tracking.runs import logical_run
    from pipelines.training.search.outcome import judge, write_outcome
    from pipelines.training.search.space import outside_bounds

    settings, dataset, method = load(options.params), options.dataset, options.method
    check_dataset(settings, dataset)
    ask_addressed_cluster()
    if options.trials is not None:
        search = settings.search.model_copy(update={"trials": options.trials})
        settings = settings.model_copy(update={"search": search})
    paths, output = DatasetPaths(dataset), SearchPaths(dataset, method).root
    plan, left_out = _plan(settings, dataset, method, paths)
    for sentence in filter(None, (*left_out.values(), outside_bounds(plan.job.recipe, plan.searched))):
        print(sentence)
    keep_to_loopback()
    with logical_run(
        dataset,
        plan.key,
        name=f"search {method}",
        params=_parameters(plan),
        tags={"dataset": dataset, "method": method, "storage": plan.storage},
        inputs=_inputs(settings, paths),
    ) as logger:
        trials = _search(plan, logger)
        outcome = judge(plan, trials, perceptual="lambda_p" not in left_out)
        write_outcome(output, plan, trials, outcome, options.params)
        shares = {f"importance/{name}": share for name, share in outcome.shares.items()}
        logger.results({f"search/{plan.settings.metric}": outcome.best.curve[-1][1], **shares}, outcome.best.step)
        logger.artifact(output)
    _show(plan, outcome, output, options.params)


def _plan(settings: Settings, dataset: str, method: str, paths: DatasetPaths) -> tuple[SearchPlan, dict[str, str]]:
    """What is searched; and which λ are not, each with why."""
    from pipelines.stages import train as stage
    from pipelines.storage.store import join
    from pipelines.training.inputs import fetch_dataset, publish_for_workers
    from pipelines.training.search.plan import plan_search, search_recipe
    from pipelines.training.search.space import dimensions, not_searched

    searched = dimensions(settings.search, method)
    recipe = search_recipe(settings.recipes[dataset], settings.search)
    left_out = not_searched(recipe)
    searched = tuple(dimension for dimension in searched if dimension.name not in left_out)
    if not searched:
        reasons = "; ".join(left_out.values())
        raise SettingsError([f"recipes.{dataset} leaves nothing to search for {method} ({reasons}); turn a term on"])
    if "lambda_p" in left_out:
        recipe = replace(recipe, losses=replace(recipe.losses, perceptual=0.0))
    trained = settings.model_copy(update={"recipes": {**settings.recipes, dataset: recipe}})
    labels = fetch_dataset(settings, paths)
    digests = stage.read_digests(paths.shards, paths.masks, labels)
    job = stage.plan(trained, dataset, method, paths.shards, paths.masks, digests, labels)
    job = publish_for_workers(job, settings.storage)
    storage = settings.storage if "://" in settings.storage else str(Path(settings.storage).resolve())
    plan = plan_search(job, searched, settings.search, settings.run, join(storage, "searches"))
    return plan, left_out


def _search(plan: SearchPlan, logger: RunLogger) -> list[Trial]:
    """Run the trials, and close their runs on every way out."""
    from pipelines.tracking.search import TrialResult, close_trials, interrupt_trials
    from pipelines.training.search.ray_tune import search_on_ray

    try:
        trials = search_on_ray(plan, partial(_open_trial, logger.run_id, logger.address))
    except BaseException:
        interrupt_trials(logger.run_id)
        raise
    results = {
        trial.trial_id: TrialResult(
            "FAILED" if trial.error else "FINISHED", trial.step, trial.score, _history(plan, trial)
        )
        for trial in trials
    }
    close_trials(logger.run_id, results, plan.settings.metric)
    return trials


def _history(plan: SearchPlan, trial: Trial) -> list[tuple[int, dict[str, float]]]:
    from pipelines.training.checkpoints import CheckpointStore
    from pipelines.training.hooks import tracked_rows

    job = plan.trial(trial.trial_id, trial.values)
    history = CheckpointStore(job.checkpoints, keep=1).load_history(trial.step)
    return list(tracked_rows(history, job.recipe.training.batch_size))


def _open_trial(
    parent_run_id: str, address: str, job: TrainingJob, trial_id: str, values: Mapping[str, float]
) -> TrainingJob:
    """The trial's training, logging to its child run. Called in the trial's process, which may be elsewhere."""
    from pipelines.tracking.runs import flat_parameters
    from pipelines.tracking.search import open_trial

    os.environ["MLFLOW_TRACKING_URI"] = address
    tried = {"lambda_p": job.recipe.losses.perceptual, **values}
    params = {**tried, **flat_parameters(asdict(job.recipe))}
    logger = open_trial(job.dataset, parent_run_id, job.run_key, trial_id, f"trial {trial_id}", params)
    return replace(job, run_id=logger.run_id, tracking_address=logger.address)


def _parameters(plan: SearchPlan) -> dict[str, Scalar]:
    from pipelines.tracking.runs import flat_parameters

    search = plan.settings.model_dump(mode="json", exclude={"run"})
    searched = ", ".join(dimension.name for dimension in plan.searched)
    return flat_parameters(
        {"dataset": plan.job.dataset, "method": plan.job.method, "searched": searched, "search": search}
    )


def _inputs(settings: Settings, paths: DatasetPaths) -> list[DataInput]:
    from pipelines.stages.train import data_inputs, read_digests

    labels = settings.labels_of(paths.dataset).automatic(paths.labels)
    digests = read_digests(paths.shards, paths.masks, labels)
    return data_inputs(paths.dataset, paths.shards, paths.masks, labels, digests)


def _show(plan: SearchPlan, outcome: Outcome, output: Path, params: Path) -> None:
    import yaml

    from pipelines.training.search.outcome import BEST, IMPORTANCE, overrides

    best = outcome.best
    print(f"best of the search {plan.key}: {plan.settings.metric} {best.score:.5g} after {best.step} steps")
    for key, value in outcome.changed.items():
        print(f"  recipes.{plan.job.dataset}.{key}: {value}")
    for name, share in outcome.shares.items():
        print(f"  {name} explains {share:.0%} of the variance")
    raw = yaml.safe_load(params.read_text(encoding="utf-8"))
    changes = " ".join(f"-S '{change}'" for change in overrides(raw, plan.job.dataset, outcome.changed))
    print(f"{output / BEST} is {params} with these; {output / IMPORTANCE} plots their importance. To train with them:")
    print(f"  cp {output / BEST} {params} && dvc repro")
    print(f"  dvc exp run {changes}")
