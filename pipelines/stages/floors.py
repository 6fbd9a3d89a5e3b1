"""Stage ``floors``: score the methods that need no training, through the same evaluator."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

from pipelines.evaluation.files import METRICS
from pipelines.evaluation.run import evaluate
from pipelines.evaluation.walk import floor_fill
from pipelines.files import publish_folder
from pipelines.floors import FLOORS
from pipelines.params import Settings


def run(settings: Settings, dataset: str, shards: Path, masks: Path, output: Path) -> None:
    """Evaluate every floor of the settings.

    Args:
        settings: the whole of ``params.yaml``.
        dataset: which one.
        shards, masks: folders that the stages of these names wrote.
        output: folder to write: a folder as :mod:`pipelines.evaluation.files` describes for each
            floor, and ``metrics.json`` with those of all, ``{floor: {set: {score: mean}}}``.

    Raises:
        DataError: shards or masks are unfinished or do not belong together.
    """
    with publish_folder(output) as folder:
        metrics = {}
        for name in settings.evaluation.floors:
            (folder / name).mkdir()
            make_fill = partial(floor_fill, FLOORS[name])
            metrics[name] = evaluate(make_fill, settings, dataset, name, shards, masks, folder / name)
        (folder / METRICS).write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
