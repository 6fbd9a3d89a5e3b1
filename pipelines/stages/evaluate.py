"""Stage ``evaluate``: score a trained method on the fixed evaluation masks."""

from __future__ import annotations

import json
from pathlib import Path

from pipelines.data.labels.settled import segmenter_of_filled
from pipelines.evaluation.files import UPPER_BOUND, headline
from pipelines.evaluation.run import evaluate_model
from pipelines.settings.params import Settings
from pipelines.storage.files import publish_folder, write_atomically
from sgenet.methods.build import GUIDED_METHODS


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
    """Evaluate a released model and write its scores, tables and pictures.

    Args:
        settings: the whole of ``params.yaml``.
        dataset, method: which of them.
        shards, masks, model: folders that the stages of these names wrote.
        segmenter: folder of the stage ``fit_segmenter``.
        output: folder to write; see :mod:`pipelines.evaluation.files`.
        metrics_file: JSON file to write: the headline scores, which DVC compares between revisions and experiments.

    Raises:
        CheckpointError: the model is of another method or of other classes.
        SettingsError: a GPU is asked for and there is none.
        DataError: shards, masks or segmenter are unfinished or do not belong together.
    """
    place = segmenter_of_filled(settings, dataset, segmenter)
    with publish_folder(output) as folder:
        metrics = evaluate_model(model, settings, dataset, method, shards, masks, folder, segmenter=place)
        # True labels guide nothing where there are none.
        labelled = any("miou" in scores for scores in metrics.values())
        if settings.evaluation.upper_bound and method in GUIDED_METHODS and labelled:
            bound = folder / UPPER_BOUND
            bound.mkdir()
            evaluate_model(model, settings, dataset, method, shards, masks, bound, guided_by_truth=True)
    write_atomically(metrics_file, (json.dumps(headline(metrics), indent=2) + "\n").encode())
