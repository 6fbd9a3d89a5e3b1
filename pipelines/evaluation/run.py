"""Evaluate one way of filling holes on the evaluation split of one dataset, from shards to tables and pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from rich.progress import track

from pipelines.evaluation.code import digest_metric_code
from pipelines.evaluation.files import EvaluationSummary, write_scores
from pipelines.evaluation.pictures import write_examples
from pipelines.evaluation.walk import Fill, choose_examples, model_fill, score_split
from pipelines.evaluation_masks import load_evaluation_masks
from pipelines.files import sha256_of_file
from pipelines.params import Settings
from pipelines.shards.index import open_index
from pipelines.shards.loader import evaluation_batches
from pipelines.shards.reader import RawBatch, ShardDataset
from pipelines.shards.schema import SampleTable
from sgenet.errors import CheckpointError, SettingsError
from sgenet.label_space import LabelSpace
from sgenet.methods.release import Released, load_released
from sgenet.transforms import CentreCrop


def evaluate_model(
    model: Path, settings: Settings, dataset: str, method: str, shards: Path, masks: Path, folder: Path
) -> dict[str, dict[str, float]]:
    """Score a released model; see :func:`evaluate`.

    Args:
        model: folder of the released model.

    Raises:
        CheckpointError: the folder holds no released model, or one of another method or of other classes.
        SettingsError: a GPU is asked for and there is none.
        DataError: as :func:`evaluate`.
    """
    released = load_released(model)
    _check(released, method, settings.data[dataset].labels, model)
    if settings.run.use_gpu and not torch.cuda.is_available():
        raise SettingsError(["run.use_gpu is true, but PyTorch finds no GPU; set it to false"])
    fill = model_fill(released, torch.device("cuda" if settings.run.use_gpu else "cpu"))
    weights = sha256_of_file(model / "model.safetensors")
    return evaluate(fill, settings, dataset, method, shards, masks, folder, weights_sha256=weights)


def evaluate(
    fill: Fill,
    settings: Settings,
    dataset: str,
    method: str,
    shards: Path,
    masks: Path,
    folder: Path,
    weights_sha256: str | None = None,
) -> dict[str, dict[str, float]]:
    """Score a method with every set of evaluation masks and write what :mod:`pipelines.evaluation.files` lists.

    Args:
        fill: the method.
        method: its name in the tables.
        shards, masks: folders of the stages of these names.
        folder: where to; must exist.
        weights_sha256: of the weights that the method was loaded from, where it has any.

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
        code_digest=digest_metric_code(),
        class_names=data.labels.names,
        examples=tuple(examples),
        weights_sha256=weights_sha256,
    )
    metrics = write_scores(folder, scores, holes.ratio_bins, summary)
    for set_name, result in scores.items():
        write_examples(folder, set_name, result.examples, data.labels)
    return metrics


def _check(released: Released, method: str, labels: LabelSpace, model: Path) -> None:
    if released.method_name != method:
        raise CheckpointError(f"{model} holds a {released.method_name}, not a {method}; run its train stage again")
    if released.label_space.names != labels.names:
        raise CheckpointError(
            f"{model} was trained for the classes {', '.join(released.label_space.names)}, the dataset has "
            f"{', '.join(labels.names)}; run its train stage again"
        )


def _batches(table: SampleTable, crop: int, batch_size: int, title: str) -> Iterator[RawBatch]:
    batches = evaluation_batches(ShardDataset(table, CentreCrop(crop)), batch_size)
    yield from track(batches, f"evaluate {title}", total=-(-len(table) // batch_size), transient=True)
