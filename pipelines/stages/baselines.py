"""Stage ``baselines``: score the methods without learning, through the same evaluator."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

from pipelines.data.labels.opened import segmenter_of_filled
from pipelines.evaluation.baselines import UNDAMAGED
from pipelines.evaluation.files import METRICS
from pipelines.evaluation.fills import baseline_fill
from pipelines.evaluation.run import EvaluationData, evaluate
from pipelines.settings.params import Settings
from pipelines.storage.files import publish_folder


def run(settings: Settings, dataset: str, shards: Path, masks: Path, segmenter: Path, output: Path) -> None:
    """Evaluate every baseline of the settings.

    Args:
        shards, masks, segmenter: folders of the stages ``shards``, ``masks`` and ``fit_segmenter``.
        output: folder to write: a folder as :mod:`pipelines.evaluation.files` describes for each
            baseline, and ``metrics.json`` with those of all, ``{baseline: {set: {score: mean}}}``. Where filled images
            are segmented, the images themselves are too, as ``undamaged``.

    Raises:
        DataError: shards, masks or segmenter are unfinished or do not belong together.
    """
    place = segmenter_of_filled(settings, dataset, segmenter)
    data = EvaluationData(settings, dataset, shards, masks, place)
    with publish_folder(output) as folder:
        metrics = {}
        for name in (*settings.evaluation.baselines, *([UNDAMAGED] if place else [])):
            metrics[name] = evaluate(data, partial(baseline_fill, name), name, folder / name)
        (folder / METRICS).write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    print(f"{output}: scores of {', '.join(metrics) or 'no baseline'}")
