"""Stage ``train``: one method trained on one dataset, as one tracked run, to a released model.

The resumable state lies under ``settings.storage``, because DVC removes the stage's output before
it runs. It is keyed by what decides the result: running the same thing again continues or
reuses it, changing anything starts from the beginning.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from pipelines.data.evaluation_masks import load_evaluation_masks
from pipelines.data.shards.labels import read_label_manifest
from pipelines.data.shards.manifest import read_manifest
from pipelines.settings.params import RunSettings, Settings
from pipelines.settings.program import program
from pipelines.storage.code import digest_code
from pipelines.storage.files import publish_folder, sha256_of_file
from pipelines.storage.store import absolute, join
from pipelines.tracking.address import tracking_uri
from pipelines.tracking.commit import current_commit
from pipelines.tracking.model_source import find_model
from pipelines.tracking.runs import DataInput, Scalar, flat_parameters, logical_run
from pipelines.training.checkpoints import CheckpointStore
from pipelines.training.history import History
from pipelines.training.hooks import tracked_rows
from pipelines.training.inputs import publish_for_workers
from pipelines.training.job import StartingModel, TrainingJob
from pipelines.training.launch import finished_state, launch
from pipelines.training.published_weights import without_weights
from pipelines.training.run_key import TRAINED_BY, run_key
from pipelines.training.start import take_start
from pipelines.training.worker import build_state
from sgenet.errors import DataError
from sgenet.methods.build import count_macs, count_parameters
from sgenet.methods.files import WEIGHTS
from sgenet.methods.recipe import Recipe
from sgenet.methods.registry import METHODS
from sgenet.methods.release import save_released
from sgenet.settings import TrainingSettings
from sgenet.training.state import TrainingState

_JOB_OF_RAY = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Set by Ray in the environment of what ``ray job submit`` starts."""


def run(
    settings: Settings,
    dataset: str,
    method: str,
    shards: Path,
    masks: Path,
    output: Path,
    labels: Path | None = None,
) -> None:
    """Train, and write the released model with everything known about its making.

    Args:
        shards, masks: folders of the stages ``shards`` and ``masks``.
        output: folder for ``model.safetensors``, ``model.json`` (the averaged generator),
            ``losses.csv``, ``validation.csv`` and ``training.json``.
        labels: folder of the stage ``label``; None where the settings say that people labelled.

    Raises:
        UserError: something the user can fix keeps the training from starting or resuming.
        pipelines.training.interruption.TrainingInterrupted: asked to stop by SIGTERM or Ctrl-C; the state is stored.
    """
    digests = read_digests(shards, masks, labels)
    job = plan(settings, dataset, method, shards, masks, digests, labels)
    with logical_run(
        dataset,
        job.run_key,
        name=method,
        about=_length(job.recipe.training) + ("" if job.start is None else f" from {job.start.name}"),
        params=_parameters(job),
        tags={
            "dataset": dataset,
            "method": method,
            "labels": job.label_source,
            "checkpoints": _address(settings, job.run_key),
            **({} if job.start is None else {"start_from": f"{job.start.name} sha256:{job.start.sha256}"}),
        },
        description=(
            f"**{method}** trained on **{dataset}**: {_length(job.recipe.training)} of "
            f"{job.recipe.training.batch_size} images at {job.crop}×{job.crop}. Losses are means since the step logged "
            "before; `val/…` scores the averaged generator; the images `samples` show it at each validation."
        ),
        inputs=data_inputs(dataset, shards, masks, labels, digests),
    ) as logger:
        job = replace(job, run_id=logger.run_id, tracking_address=logger.address)
        _store_start(job, print)
        launch(publish_for_workers(job, settings.storage), settings.run)
        history = release(job, settings.run, digests, output)
        logger.log_missing(tracked_rows(history, job.recipe.training.batch_size))
        logger.artifact(output)
    print(f"{dataset}/{method}: trained; MLflow run {job.run_id} (see `{program()} ui`), model in {output}")
    if only_in_job():
        print(
            f"MLFLOW_TRACKING_URI is not set: the run and the model are only in this job's folder on the head node, "
            f"{output.resolve()}; copy the model from there, or submit the job again with the address of an MLflow "
            "server, which gets both without another training"
        )


def only_in_job() -> bool:
    """Whether this is a submitted job of Ray without an MLflow server, so that its results stay in the job's folder."""
    return _JOB_OF_RAY in os.environ and tracking_uri().startswith("sqlite:")


@dataclass(frozen=True)
class Digests:
    """Hashes of what a training is made from: the shards, the evaluation masks, the code, automatic labels."""

    shards: str
    masks: str
    code: str
    labels: str | None = None


def read_digests(shards: Path, masks: Path, labels: Path | None = None) -> Digests:
    """Read the hashes of the data from their folders, and take that of the code that runs.

    Raises:
        DataError: one of the folders is unfinished.
    """
    labelled = None if labels is None else read_label_manifest(labels).digest
    return Digests(
        read_manifest(shards).digest, load_evaluation_masks(masks).digest, digest_code(*TRAINED_BY), labelled
    )


def plan(
    settings: Settings,
    dataset: str,
    method: str,
    shards: Path,
    masks: Path,
    digests: Digests,
    labels: Path | None = None,
) -> TrainingJob:
    """Describe the training that the settings ask for; nothing is written.

    Raises:
        DataError: a folder of mask files does not exist, or the settings ask for automatic labels and there are none.
    """
    start = _starting_model(settings.recipes[dataset].start_from)
    source = settings.labels_of(dataset).source
    if source != "human" and (labels is None or digests.labels is None):
        raise DataError(
            f"labels.{dataset}.source is '{source}', but there are no automatic labels; run the label stage"
        )
    data, recipe, holes = settings.data[dataset], settings.recipes[dataset], settings.masks[dataset].training
    key = run_key(
        method=method,
        recipe=recipe,
        label_space=data.labels,
        crop=data.crop,
        holes=holes,
        data_digest=digests.shards,
        masks_digest=digests.masks,
        code_digest=digests.code,
        labels_digest=None if source == "human" else digests.labels,
        start_digest=None if start is None else start.sha256,
    )
    return TrainingJob(
        run_key=key,
        dataset=dataset,
        method=method,
        recipe=recipe,
        label_space=data.labels,
        crop=data.crop,
        holes=holes,
        shards=str(shards.resolve()),
        masks=str(masks.resolve()),
        validation_split=settings.evaluation.split,
        checkpoints=absolute(_address(settings, key)),
        cache=settings.run.cache,
        labels=None if labels is None or source == "human" else str(labels.resolve()),
        label_source=source,
        start=start,
    )


def _starting_model(spec: str) -> StartingModel | None:
    if spec == "none":
        return None
    source = find_model(spec)
    return StartingModel(source.name, sha256_of_file(source.folder / WEIGHTS), str(source.folder.resolve()))


def _store_start(job: TrainingJob, say: Callable[[str], None]) -> None:
    """Store what a training that starts from another model starts with, as the checkpoint of step 0, once."""
    if job.start is None:
        return
    store = CheckpointStore(job.checkpoints, job.recipe.training.keep_checkpoints)
    if store.steps():
        return
    state = build_state(without_weights(job))
    say(take_start(job, job.start, state))
    store.save(state.step, state.state_dict())


def release(job: TrainingJob, launched: RunSettings, digests: Digests, output: Path) -> History:
    """Write the result of a finished training, and give its history; ``output`` appears whole.

    Raises:
        CheckpointError: the last checkpoint is damaged.
    """
    state, history = finished_state(job)
    facts = _facts(job, launched, digests, state, history)
    with publish_folder(output) as folder:
        save_released(folder, job.method, state.ema.network, job.recipe, job.label_space)
        (folder / "losses.csv").write_text(history.losses_csv(), encoding="utf-8")
        (folder / "validation.csv").write_text(history.validation_csv(), encoding="utf-8")
        (folder / "training.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return history


def _facts(
    job: TrainingJob, launched: RunSettings, digests: Digests, state: TrainingState, history: History
) -> dict[str, object]:
    return {
        "run_id": job.run_id,
        "run_key": job.run_key,
        "dataset": job.dataset,
        "method": job.method,
        "steps": state.step,
        "images_seen": state.step * job.recipe.training.batch_size,
        # The history has the time of logged steps; a wall-clock budget counts every step.
        "seconds": state.seconds if job.recipe.training.budget == "wall_clock" else history.seconds,
        "images_per_second": history.steps_per_second * job.recipe.training.batch_size,
        "data_wait_share": history.data_wait_share,
        "best_validation": asdict(history.best) if history.best is not None else {},
        "validation": dict(history.validations[-1].scores) if history.validations else {},
        "parameters": count_parameters(state.method.generator),
        "discriminator_parameters": count_parameters(state.method.discriminator),
        "macs": count_macs(state.ema.network, job.crop),
        "perceptual_weights": METHODS[job.method].perceptual_weights(job.recipe),
        "precision": state.precision,
        "device": "cuda" if launched.use_gpu else "cpu",
        "workers": launched.model_dump(mode="json")["workers"],
        "machine": platform.machine(),
        "torch": torch.__version__,
        "git_commit": current_commit(),
        "holes": [asdict(hole) for hole in job.holes],
        "labels": job.label_source,
        "automatic_labels": _automatic_labels(job),
        "start_from": None if job.start is None else {"name": job.start.name, "sha256": job.start.sha256},
        "digests": {name: digest for name, digest in asdict(digests).items() if digest is not None},
    }


def _automatic_labels(job: TrainingJob) -> dict[str, object] | None:
    """What made the automatic labels that were trained with, and how well they agree with people's."""
    if job.labels is None:
        return None
    made = read_label_manifest(Path(job.labels))
    return {"segmenter": made.segmenter, "threshold": made.threshold, "agreement": made.agreement}


def _parameters(job: TrainingJob) -> dict[str, Scalar]:
    holes = ", ".join(f"{hole.kind} × {hole.weight:g}" for hole in job.holes)
    return flat_parameters(
        {
            "dataset": job.dataset,
            "method": job.method,
            "crop": job.crop,
            "holes": holes,
            **method_settings(job.recipe, job.method),
        }
    )


def _length(training: TrainingSettings) -> str:
    return f"{training.steps} steps" if training.budget == "steps" else f"{training.seconds:g} s"


def method_settings(recipe: Recipe, method: str) -> dict[str, Any]:
    """The part of a recipe that decides how this method is trained."""
    own = {name for name, spec in METHODS.items() if spec.settings is not None}
    shared = {"network", "discriminator", "losses", "guidance", "optimizer"}
    of_others = own - {method} | (shared if method in own else set())
    return {name: value for name, value in asdict(recipe).items() if name not in of_others}


def data_inputs(dataset: str, shards: Path, masks: Path, labels: Path | None, digests: Digests) -> list[DataInput]:
    """What a run records of the data that it was made from."""
    found = [("shards", shards, digests.shards), ("masks", masks, digests.masks)]
    if labels is not None and digests.labels is not None:
        found.append(("labels", labels, digests.labels))
    return [DataInput(name=f"{dataset}/{name}", source=str(path), digest=digest) for name, path, digest in found]


def _address(settings: Settings, key: str) -> str:
    return join(settings.storage, "checkpoints", key)
