"""Evaluate one way of filling holes on the evaluation split of one dataset, from shards to tables and pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.progress import track

from pipelines.evaluation.files import EvaluationSummary, write_scores
from pipelines.evaluation.pictures import write_examples
from pipelines.evaluation.walk import Fill, choose_examples, score_split
from pipelines.evaluation_masks import load_evaluation_masks
from pipelines.params import Settings
from pipelines.shards.index import open_index
from pipelines.shards.loader import evaluation_batches
from pipelines.shards.reader import RawBatch, ShardDataset
from pipelines.shards.schema import SampleTable
from sgenet.transforms import CentreCrop


def evaluate(
    fill: Fill, settings: Settings, dataset: str, method: str, shards: Path, masks: Path, folder: Path
) -> dict[str, dict[str, float]]:
    """Score a method with every set of evaluation masks and write what :mod:`pipelines.evaluation.files` lists.

    Args:
        fill: the method.
        method: its name in the tables.
        shards, masks: folders of the stages of these names.
        folder: where to; must exist.

    Returns:
        ``metrics.json``.

    Raises:
        DataError: shards or masks are unfinished, altered, or do not belong together.
    """
    data, evaluation = settings.data[dataset], settings.evaluation
    table = open_index(shards).of_split(evaluation.split)
    holes = load_evaluation_masks(masks)
    keys = [str(key) for key in table.keys]
    examples = choose_examples(keys, evaluation.num_figure_pictures)
    batches = _batches(table, data.crop, evaluation.batch_size, f"{dataset}: {method}")
    scores = score_split(fill, batches, holes, holes.sets, data, frozenset(examples))
    summary = EvaluationSummary(
        dataset=dataset,
        method=method,
        split=evaluation.split,
        shards_digest=table.digest,
        masks_digest=holes.digest,
        class_names=data.labels.names,
        examples=tuple(examples),
    )
    metrics = write_scores(folder, scores, holes.ratio_bins, summary)
    for set_name, result in scores.items():
        write_examples(folder, set_name, result.examples, data.labels)
    return metrics


def _batches(table: SampleTable, crop: int, batch_size: int, title: str) -> Iterator[RawBatch]:
    batches = evaluation_batches(ShardDataset(table, CentreCrop(crop)), batch_size)
    yield from track(batches, f"evaluate {title}", total=-(-len(table) // batch_size), transient=True)
