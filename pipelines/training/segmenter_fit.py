"""Fitting a segmenter to the labelled part of a dataset, as one tracked run, to a released segmenter and its report."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import asdict, replace
from pathlib import Path

from pipelines.data.labels.manifest import SegmenterManifest
from pipelines.data.labels.opened import open_segmenter, segmenter_folder, segmenter_place, weights_digest
from pipelines.data.labels.report import REPORT, score_segmenter, summary_sentence, write_report
from pipelines.data.shards.index import class_pixels, open_index
from pipelines.data.shards.manifest import read_manifest
from pipelines.settings.labels import training_recipe
from pipelines.settings.params import Settings
from pipelines.storage.code import digest_code
from pipelines.storage.files import publish_folder
from pipelines.storage.store import absolute, join
from pipelines.tracking.address import TrackingError
from pipelines.tracking.model_source import find_model
from pipelines.tracking.runs import DataInput, flat_parameters, logical_run
from pipelines.tracking.segmenters import register_segmenter
from pipelines.training.hooks import tracked_rows
from pipelines.training.inputs import publish_for_workers
from pipelines.training.job import SegmenterFit, TrainingJob
from pipelines.training.launch import finished_state, launch
from pipelines.training.run_key import FITTED_BY, segmenter_key
from pipelines.training.worker import TRAINING_SPLIT
from sgenet.methods.files import DESCRIPTION, WEIGHTS
from sgenet.segmenters.method import SegmentingGenerator, class_weights
from sgenet.segmenters.release import save_segmenter


def fit_segmenter(settings: Settings, dataset: str, shards: Path, output: Path) -> None:
    """Fit a segmenter, or resume an interrupted fit; ``output`` appears whole.

    Raises:
        DataError: nothing is labelled in the training or the evaluation split.
        UserError: something else that the user can fix.
        pipelines.training.interruption.TrainingInterrupted: asked to stop; the state is stored.
    """
    job = plan_fit(settings, dataset, shards)
    print(f"{dataset}: fitting the segmenter {job.method}, {job.recipe.training.steps:,} steps")
    described = {"dataset": dataset, "segmenter": job.method, "crop": job.crop}
    digest = read_manifest(shards).digest
    with logical_run(
        dataset,
        job.run_key,
        name=job.method,
        params=flat_parameters({**described, **asdict(settings.labels_of(dataset).recipe)}),
        tags={"dataset": dataset, "segmenter": job.method, "checkpoints": job.checkpoints},
        inputs=[DataInput(name=f"{dataset}/shards", source=str(shards), digest=digest)],
    ) as logger:
        job = replace(job, run_id=logger.run_id, tracking_address=logger.address)
        launch(publish_for_workers(job, settings.storage), settings.run)
        state, history = finished_state(job)
        network = state.ema.network
        assert isinstance(network, SegmentingGenerator), "what is fitted is a segmenter"
        assert job.segmenter is not None
        with publish_folder(output) as folder:
            save_segmenter(folder, job.method, network.segmenter, job.segmenter.recipe, job.label_space)
            (folder / "losses.csv").write_text(history.losses_csv(), encoding="utf-8")
            (folder / "validation.csv").write_text(history.validation_csv(), encoding="utf-8")
            scores = _check_and_record(settings, dataset, shards, folder, run_id=logger.run_id)
        logger.log_missing(tracked_rows(history, job.recipe.training.batch_size))
        logger.results({f"segmenter/{name}": value for name, value in scores.items()}, state.step)
        logger.artifact(output)
    _register(settings, dataset, SegmenterManifest.read(output), output.name)


def take_segmenter(settings: Settings, dataset: str, shards: Path, output: Path) -> None:
    """Take the fitted segmenter that the settings name, and score it where there is something to score it by.

    Raises:
        CheckpointError: it is missing, damaged, or of other classes.
        UserError: it cannot be fetched.
    """
    labels = settings.labels_of(dataset)
    assert labels.checkpoint is not None
    with publish_folder(output) as folder:
        if labels.segmenter != "transformers":
            source = find_model(labels.checkpoint)
            for name in (WEIGHTS, DESCRIPTION):
                shutil.copyfile(source.folder / name, folder / name)
        _check_and_record(settings, dataset, shards, folder)


def plan_fit(settings: Settings, dataset: str, shards: Path) -> TrainingJob:
    """Describe the fitting that the settings ask for; nothing is written.

    Raises:
        DataError: nothing is labelled, or a file of weights does not exist.
    """
    data, labels = settings.data[dataset], settings.labels_of(dataset)
    table = open_index(shards)
    table.of_split(TRAINING_SPLIT).labelled()
    table.of_split(settings.evaluation.split).labelled()
    key = segmenter_key(
        segmenter=labels.segmenter,
        recipe=labels.recipe,
        label_space=data.labels,
        crop=data.crop,
        validation_split=settings.evaluation.split,
        data_digest=table.digest,
        code_digest=digest_code(*FITTED_BY),
    )
    checkpoints = join(settings.storage, "checkpoints", key)
    return TrainingJob(
        run_key=key,
        dataset=dataset,
        method=labels.segmenter,
        recipe=training_recipe(labels.recipe),
        label_space=data.labels,
        crop=data.crop,
        holes=(),
        shards=str(shards.resolve()),
        masks=None,
        validation_split=settings.evaluation.split,
        checkpoints=absolute(checkpoints),
        cache=settings.run.cache,
        segmenter=SegmenterFit(
            recipe=labels.recipe,
            class_weights=class_weights(class_pixels(shards, TRAINING_SPLIT), labels.recipe.class_balance),
        ),
    )


def _register(settings: Settings, dataset: str, manifest: SegmenterManifest, path: str) -> None:
    """Register a fitted segmenter for other datasets and machines; that the store is away costs nothing else."""
    assert manifest.segmenter is not None, "there is one"
    assert manifest.run_id is not None, "it was fitted in a run"
    assert manifest.sha256 is not None, "it has weights"
    name = f"{settings.registry.name}-segmenter-{dataset}"
    try:
        address = register_segmenter(name, manifest.segmenter, manifest.run_id, path, manifest.sha256)
    except TrackingError as error:
        print(f"the segmenter is not registered: {error}")
    else:
        print(f"the segmenter is registered as {address}")


def _check_and_record(
    settings: Settings, dataset: str, shards: Path, folder: Path, run_id: str | None = None
) -> dict[str, float]:
    """Open the segmenter as labelling will, score it on held-out images, and write its manifest last."""
    labels, split = settings.labels_of(dataset), settings.evaluation.split
    sha256 = weights_digest(labels.segmenter, segmenter_folder(settings, dataset, folder))
    place = segmenter_place(settings, dataset, folder, sha256)
    open_segmenter(place)
    scores: dict[str, float] = {}
    if bool((open_index(shards).of_split(split).label_spans[:, 1] > 0).any()):
        scored = score_segmenter(place, shards, split)
        write_report(folder, scored, place, shards, split)
        print(f"on {scored.num_images} held-out images: {summary_sentence(scored)}")
        scores = {name: value for name, value in scored.summary().items() if not math.isnan(value)}
    else:
        nothing = {"split": split, "images": 0, "reason": f"no image of the split {split} is labelled"}
        (folder / REPORT).write_text(json.dumps(nothing, indent=2) + "\n", encoding="utf-8")
    SegmenterManifest(
        segmenter=labels.segmenter,
        used=labels.use_on_filled,
        sha256=sha256,
        checkpoint=labels.checkpoint,
        run_id=run_id,
    ).write(folder)
    return scores
