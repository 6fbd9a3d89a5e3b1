"""Evaluate one way of filling holes on the evaluation split of one dataset, from shards to tables and images.

The split is scored in blocks, by :func:`~pipelines.parallel.parallel.parallel_map`: on the cores of this machine or
on a Ray cluster. A block is the same images and one thread wherever it is scored, so the scores are the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pipelines.data.evaluation_masks import load_evaluation_masks
from pipelines.data.labels.opened import SegmenterPlace
from pipelines.data.shards.index import open_index
from pipelines.evaluation.blocks import BLOCK_IMAGES, Scoring, joined, score_block
from pipelines.evaluation.code import digest_metric_code
from pipelines.evaluation.examples import choose_examples
from pipelines.evaluation.files import EvaluationSummary, check_trained, write_scores
from pipelines.evaluation.fills import MakeFill, ModelFill
from pipelines.evaluation.images import write_examples, write_failures
from pipelines.evaluation.networks import check_weight_files
from pipelines.evaluation.scoring import SetScores
from pipelines.parallel.device import device_of_workers
from pipelines.parallel.parallel import parallel_map, workers_for
from pipelines.settings.params import Settings
from pipelines.storage.files import sha256_of_file
from sgenet.errors import CheckpointError
from sgenet.label_space import LabelSpace
from sgenet.methods.files import WEIGHTS
from sgenet.methods.release import Released, load_released


@dataclass(frozen=True)
class EvaluationData:
    """What methods are scored on.

    Attributes:
        shards, masks: folders of the stages ``shards`` and ``masks``.
        segmenter: segments what a method filled (Table 4); None leaves that out. SPG-Net starts from its labels of
            what is known.
    """

    settings: Settings
    dataset: str
    shards: Path
    masks: Path
    segmenter: SegmenterPlace | None = None


def evaluate_model(
    on: EvaluationData,
    model: Path,
    method: str,
    folder: Path,
    *,
    guided_by_truth: bool = False,
    copies_texture: bool = False,
) -> dict[str, dict[str, float]]:
    """Score a released model; see :func:`evaluate`.

    Args:
        guided_by_truth, copies_texture: as of :class:`~pipelines.evaluation.fills.ModelFill`.

    Raises:
        CheckpointError: the folder holds no released model, or one of another method or of other classes.
        SettingsError: a GPU is asked for and there is none.
        DataError: as :func:`evaluate`.
    """
    settings = on.settings
    check_trained(model, settings.models_of(on.dataset), method)
    released = load_released(model)
    _check(released, method, settings.data[on.dataset].labels, model)
    fill = ModelFill(
        model=model,
        weights_sha256=sha256_of_file(model / WEIGHTS),
        device=device_of_workers(settings.run),
        guided_by_truth=guided_by_truth,
        copies_texture=copies_texture,
        precision=settings.evaluation.precision,
    )
    return evaluate(on, fill, method, folder, fill.weights_sha256)


def evaluate(
    on: EvaluationData, make_fill: MakeFill, method: str, folder: Path, weights_sha256: str | None = None
) -> dict[str, dict[str, float]]:
    """Score a method with every set of evaluation masks and write what :mod:`pipelines.evaluation.files` lists.

    Args:
        make_fill: called once a block in the scoring process, with a segmenter or None; importable, as
            :func:`parallel_map` asks.
        method: its name in the tables.
        folder: where to; made where it is missing.
        weights_sha256: of the weights that the method was loaded from, where it has any.

    Returns:
        The content of ``metrics.json``.

    Raises:
        DataError: shards or masks are unfinished, altered, or do not belong together.
        CheckpointError: a weights file of the evaluation is missing or is another one.
    """
    settings, segmenter = on.settings, on.segmenter
    data, evaluation, use_gpu = settings.data[on.dataset], settings.evaluation, settings.run.use_gpu
    folder.mkdir(exist_ok=True)
    check_weight_files(evaluation)
    table = open_index(on.shards).of_split(evaluation.split)
    holes = load_evaluation_masks(on.masks)
    keys = [str(key) for key in table.keys]
    examples = choose_examples(keys, table.num_classes.tolist(), evaluation.num_figure_images)
    scoring = Scoring(
        shards=on.shards,
        masks=on.masks,
        digests=(table.digest, holes.digest),
        settings=evaluation,
        crop=data.crop,
        num_classes=data.labels.num_classes,
        examples=frozenset(examples),
        use_gpu=use_gpu,
        segmenter=segmenter,
    )
    parts = parallel_map(
        partial(score_block, make_fill, scoring),
        range(0, len(table), BLOCK_IMAGES),
        workers=workers_for(use_gpu),
        description=f"evaluate {on.dataset}: {method}",
        use_gpu=use_gpu,
    )
    scores = joined(parts)
    summary = EvaluationSummary(
        dataset=on.dataset,
        method=method,
        split=evaluation.split,
        shards_digest=table.digest,
        masks_digest=holes.digest,
        code_digest=digest_metric_code(),
        precision=evaluation.precision,
        class_names=data.labels.names,
        examples=tuple(examples),
        weights_sha256=weights_sha256,
        segmenter=None if segmenter is None else segmenter.settings.segmenter,
        segmenter_sha256=None if segmenter is None else segmenter.sha256,
    )
    _write_images(folder, scores, examples, data.labels)
    return write_scores(folder, scores, holes.ratio_bins, summary)


def _write_images(folder: Path, scores: Mapping[str, SetScores], examples: Sequence[str], labels: LabelSpace) -> None:
    for set_name, result in scores.items():
        # In the order in which they were chosen: the position is the number in a file's name.
        chosen = {example.key: example for example in result.examples}
        write_examples(folder, set_name, [chosen[key] for key in examples], labels)
    write_failures(folder, {name: result.worst for name, result in scores.items()}, labels)


def _check(released: Released, method: str, labels: LabelSpace, model: Path) -> None:
    if released.method_name != method:
        raise CheckpointError(f"{model} holds a {released.method_name}, not a {method}; run its train stage again")
    if released.label_space.names != labels.names:
        raise CheckpointError(
            f"{model} was trained for the classes {', '.join(released.label_space.names)}, the dataset has "
            f"{', '.join(labels.names)}; run its train stage again"
        )
