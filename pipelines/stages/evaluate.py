"""Stage ``evaluate``: score a trained method on the fixed evaluation masks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pipelines.data.labels.opened import segmenter_of_filled
from pipelines.evaluation.files import EXEMPLAR, UPPER_BOUND, read_record
from pipelines.evaluation.run import EvaluationData, evaluate_model
from pipelines.settings.params import Settings
from pipelines.storage.files import publish_folder, write_atomically
from pipelines.tracking.address import check_reachable, tracking_uri
from pipelines.tracking.logger import RunLogger
from pipelines.tracking.runs import restored_run
from pipelines.tracking.scores import headline, log_scores
from sgenet.methods.registry import GUIDED_METHODS


def run(
    settings: Settings,
    dataset: str,
    method: str,
    shards: Path,
    masks: Path,
    segmenter: Path,
    model: Path,
    output: Path,
    metrics_file: Path,
) -> None:
    """Evaluate a released model, write its scores, tables and images, and log the scores to the run of its training.

    Args:
        shards, masks, segmenter, model: folders of the stages ``shards``, ``masks``, ``fit_segmenter`` and ``train``.
        output: folder to write; see :mod:`pipelines.evaluation.files`.
        metrics_file: JSON file to write: the headline scores, which DVC compares between revisions and experiments.

    Raises:
        CheckpointError: the model is of another method or of other classes.
        SettingsError: a GPU is asked for and there is none.
        DataError: shards, masks or segmenter are unfinished or do not belong together.
        TrackingError: the tracking store cannot be used.
    """
    place = segmenter_of_filled(settings, dataset, segmenter)
    training = _tracked_training(model, dataset)
    if training is not None:
        # Not after hours of scoring.
        check_reachable(tracking_uri(), to_write=True)
    with publish_folder(output) as folder:
        score = partial(evaluate_model, EvaluationData(settings, dataset, shards, masks, place), model, method)
        metrics = score(folder)
        # True labels guide nothing where there are none.
        labelled = any("miou" in scores for scores in metrics.values())
        if settings.evaluation.upper_bound and method in GUIDED_METHODS and labelled:
            score(folder / UPPER_BOUND, guided_by_truth=True)
        if "exemplar" in settings.evaluation.texture:
            score(folder / EXEMPLAR, copies_texture=True)
    if training is not None:
        with RunLogger(restored_run(training, method, dataset)) as logger:
            log_scores(logger, metrics, training["steps"])
    scores = headline(metrics)
    write_atomically(metrics_file, (json.dumps(scores, indent=2) + "\n").encode())
    print(f"{output}: {', '.join(f'{name} {value:.4g}' for name, value in scores.items())}")


def _tracked_training(model: Path, dataset: str) -> Mapping[str, Any] | None:
    """What the model's files say of its training; None where its run is another dataset's, which gets no scores."""
    facts = model / "training.json"
    training = read_record(facts, "train") if facts.exists() else {}
    return training if training.get("dataset") == dataset else None
