"""What an evaluation leaves behind, and how the report reads it again.

=========================  ========================================================================
``metrics.json``           ``{set: {score: mean}}``
``intervals.json``         ``{set: {score: [low, high]}}``, 95 % bootstrap over images
``images.parquet``         a row for every image and set, with all its scores and confusion counts
``strata.csv``             the same scores per scene complexity and per hole-ratio bin
``images/``                original, corrupted, inpainted, labels of the example images and of the worst
``worst.json``             ``{set: [{key, psnr_hole}]}``, the images whose holes are filled worst
``figures/``               Figures 6 and 7 for the same images, where the method has the maps
``upper_bound/``           the same for SG-Net and SGE-Net guided by the true labels (Fig. 1(e))
``exemplar/``              the same with texture copied from the known pixels of each image
``evaluation.json``        what was evaluated on what: method, split, digests, examples
=========================  ========================================================================

Where the dataset has a segmenter, it segments the filled images (Table 4): ``metrics.json`` has ``miou_filled``,
``pixel_accuracy_filled`` and both of the hole alone, and ``images.parquet`` their confusion counts. Where the settings
name the weights, ``metrics.json`` has ``vgg_distance``, ``lpips``, ``fid`` and ``kid`` as well; the first two are
columns of ``images.parquet`` and ``strata.csv`` too, and have intervals. FID and KID are scores of many images: a
stratum has too few.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.evaluation.scoring import SetScores
from pipelines.settings.program import program
from pipelines.storage.csv_text import csv_text
from pipelines.storage.files import sha256_of_file
from sgenet.errors import CheckpointError
from sgenet.evaluation.confidence import correlate
from sgenet.evaluation.evaluator import SCORE_NAMES, finite_mean
from sgenet.evaluation.metrics import mious_of_counts
from sgenet.evaluation.segmentation import ConfusionCounts
from sgenet.evaluation.statistics import bootstrap_total, mean_estimate
from sgenet.evaluation.strata import STRATA, UNLABELLED, hole_ratio_bin, ratio_bins, stratum
from sgenet.settings import Precision

METRICS = "metrics.json"
INTERVALS = "intervals.json"
IMAGES = "images.parquet"
BREAKDOWN = "strata.csv"
SUMMARY = "evaluation.json"
UPPER_BOUND = "upper_bound"
EXEMPLAR = "exemplar"

_DIGITS = 6
_BREAKDOWN_SCORES = ("psnr", "psnr_hole", "ssim", "ssim_hole", "l1", "l1_hole", "miou", "miou_hole", "ssim_edgeconnect")

_FILLED = {
    "miou": "miou_filled",
    "miou_hole": "miou_filled_hole",
    "pixel_accuracy": "pixel_accuracy_filled",
    "pixel_accuracy_hole": "pixel_accuracy_filled_hole",
}
"""What a score of a segmentation is called when it is of the filled image by a segmenter."""

Groups = list[tuple[str, str, npt.NDArray[np.int64]]]


@dataclass(frozen=True)
class EvaluationSummary:
    """What was evaluated on what.

    Attributes:
        shards_digest, masks_digest, code_digest: identify the images, the holes and the code that
            scored them; scores are comparable only where all three agree.
        precision: of the network that filled, where one did; scores of another one are not comparable.
        class_names: names of the predicted classes.
        examples: keys of the images in ``images/``, by their number there.
        weights_sha256: of the model's weights file; None for a method without.
        segmenter, segmenter_sha256: what segmented the filled images; None where nothing did.
    """

    dataset: str
    method: str
    split: str
    shards_digest: str
    masks_digest: str
    code_digest: str
    class_names: tuple[str, ...]
    examples: tuple[str, ...]
    precision: Precision = "float32"
    weights_sha256: str | None = None
    segmenter: str | None = None
    segmenter_sha256: str | None = None


def write_scores(
    folder: Path, scores: Mapping[str, SetScores], edges: Sequence[float], summary: EvaluationSummary
) -> dict[str, dict[str, float]]:
    """Write every table of an evaluation into an existing folder and return its ``metrics.json``.

    Args:
        scores: by mask set.
        edges: bounds of the hole-ratio bins.
    """
    metrics = {name: set_metrics(result) for name, result in scores.items()}
    intervals = {name: _intervals(result) for name, result in scores.items()}
    _write_json(folder / METRICS, metrics)
    _write_json(folder / INTERVALS, intervals)
    _write_json(folder / SUMMARY, asdict(summary))
    pq.write_table(pa.concat_tables([_table(name, result, edges) for name, result in scores.items()]), folder / IMAGES)
    (folder / BREAKDOWN).write_text(_breakdown(scores, edges), encoding="utf-8")
    return metrics


def check_trained(model: Path, dataset: str, method: str) -> None:
    """Refuse the folder of a released model that no training has written yet.

    Args:
        dataset: what the method is trained on.

    Raises:
        CheckpointError: it is not there.
    """
    if not model.is_dir():
        raise CheckpointError(
            f"{model} does not exist: {method} is not trained yet; train it first with `dvc repro`, or "
            f"`{program()} train --dataset {dataset} --method {method}`"
        )


def read_record(path: Path, stage: str, *keys: str) -> dict[str, Any]:
    """What a stage wrote of its work, as a JSON object with at least these keys.

    Raises:
        CheckpointError: the file is missing or damaged, with the stage to run.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path} does not exist; run the {stage} stage first") from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error}); run the {stage} stage again") from error
    except ValueError as error:
        raise CheckpointError(f"{path} is damaged ({error}); run the {stage} stage again") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} is damaged (it holds no JSON object); run the {stage} stage again")
    if missing := [key for key in keys if key not in content]:
        raise CheckpointError(f"{path} has no {', '.join(missing)}; run the {stage} stage again")
    return content


def check_same_weights(evaluation: Path, evaluated: str | None, weights: Path) -> None:
    """Check that an evaluation scored these weights.

    Args:
        evaluated: ``weights_sha256`` of the ``evaluation.json`` in the folder ``evaluation``.

    Raises:
        CheckpointError: there are no weights, or they are others.
    """
    if not weights.exists():
        raise CheckpointError(f"{weights} does not exist; run the train stage again")
    if sha256_of_file(weights) != evaluated:
        raise CheckpointError(f"{evaluation} scored other weights than {weights}; run the evaluate stage again")


def set_metrics(scores: SetScores) -> dict[str, float]:
    """The means of one mask set, and what the confidence analysis says (Fig. 8), under their names."""
    metrics: dict[str, float] = {"num_images": len(scores.keys), **scores.evaluator.summary()}
    if scores.filled_segmentation is not None:
        metrics |= {_FILLED[name]: value for name, value in scores.filled_segmentation.summary().items()}
    metrics |= {name: finite_mean(distances) for name, distances in scores.distances.items()}
    if scores.features is not None:
        metrics |= scores.features.scores()
    if scores.confidence:
        hole_l1 = [score.l1_hole for score in scores.evaluator.scores]
        correlation = correlate(scores.confidence, hole_l1)
        metrics["confidence_hole"] = finite_mean(scores.confidence)
        for name, estimate in (("pearson", correlation.pearson), ("spearman", correlation.spearman)):
            metrics[f"confidence_l1_{name}"] = estimate.value
            metrics[f"confidence_l1_{name}_low"] = estimate.low
            metrics[f"confidence_l1_{name}_high"] = estimate.high
    for scale, shares in sorted(scores.unreliable.items()):
        metrics[f"unreliable_{scale}"] = finite_mean(shares)
        metrics[f"unreliable_hole_{scale}"] = finite_mean(scores.unreliable_hole[scale])
    return {name: _rounded(value) for name, value in metrics.items() if not math.isnan(value)}


def _values(scores: SetScores) -> dict[str, list[float]]:
    """The scores that every image has a value of."""
    own = {name: [getattr(score, name) for score in scores.evaluator.scores] for name in SCORE_NAMES}
    return own | scores.distances


def _confusions(scores: SetScores) -> dict[str, ConfusionCounts]:
    """The matrices that the other scores are taken from; none in them without a segmentation."""
    own, filled = scores.evaluator.segmentation, scores.filled_segmentation
    matrices = {"miou": own.whole, "miou_hole": own.hole}
    return matrices if filled is None else matrices | {"miou_filled": filled.whole, "miou_filled_hole": filled.hole}


def _intervals(scores: SetScores) -> dict[str, list[float]]:
    estimates = {name: mean_estimate(values) for name, values in _values(scores).items()}
    estimates |= {name: bootstrap_total(counts, mious_of_counts) for name, counts in _confusions(scores).items()}
    return {
        name: [_rounded(estimate.low), _rounded(estimate.high)]
        for name, estimate in estimates.items()
        if not math.isnan(estimate.low)
    }


def _table(name: str, scores: SetScores, edges: Sequence[float]) -> pa.Table:
    rows = scores.evaluator.scores
    columns: dict[str, Sequence[object] | pa.Array] = {
        "set": [name] * len(rows),
        "key": scores.keys,
        **_values(scores),
        "hole_ratio_bin": [hole_ratio_bin(row.hole_ratio, edges) for row in rows],
        "num_classes": scores.num_classes,
        "stratum": [stratum(count) for count in scores.num_classes],
        # One schema for every method, so that tables of several methods can be joined.
        "confidence_hole": scores.confidence or [math.nan] * len(rows),
        # Flattened (C, C): what the mIoU of any of these images together is taken from.
        "confusion": _counts(scores.evaluator.segmentation.whole, len(rows)),
        "confusion_hole": _counts(scores.evaluator.segmentation.hole, len(rows)),
    }
    if scores.filled_segmentation is not None:
        columns["confusion_filled"] = _counts(scores.filled_segmentation.whole, len(rows))
        columns["confusion_filled_hole"] = _counts(scores.filled_segmentation.hole, len(rows))
    return pa.table(columns)


def _counts(matrices: ConfusionCounts, num_rows: int) -> pa.Array:
    """Confusion matrices as lists of integers; nulls for a method without segmentation."""
    kind = pa.list_(pa.int64())
    if not len(matrices):
        return pa.nulls(num_rows, kind)
    ends = np.arange(len(matrices) + 1, dtype=np.int32) * math.prod(matrices.shape)
    # Not from lists, whose integers would take several times the table's own memory.
    return pa.ListArray.from_arrays(pa.array(ends), pa.array(matrices[:].ravel()), type=kind)


def _breakdown(scores: Mapping[str, SetScores], edges: Sequence[float]) -> str:
    shown = dict.fromkeys((*_BREAKDOWN_SCORES, *(name for result in scores.values() for name in result.distances)))
    lines = []
    for set_name, result in scores.items():
        values, matrices = _values(result), _confusions(result)
        for grouping, group, rows in _groups(result, edges):
            means = (_mean(values.get(name), matrices.get(name), rows) for name in shown)
            cells = ("" if math.isnan(mean) else f"{mean:.{_DIGITS}f}" for mean in means)
            lines.append([set_name, grouping, group, len(rows), *cells])
    return csv_text(["set", "grouping", "group", "num_images", *shown], lines)


def _mean(values: list[float] | None, matrices: ConfusionCounts | None, rows: npt.NDArray[np.int64]) -> float:
    """A score's mean over some of the images; NaN where there is none."""
    if matrices is not None:
        return float(mious_of_counts(matrices.total(rows))) if len(matrices) else math.nan
    return math.nan if values is None else finite_mean([values[row] for row in rows])


def _groups(scores: SetScores, edges: Sequence[float]) -> Groups:
    """The groups that hold at least one image: by complexity, then by hole ratio, in rising order."""
    strata = np.array([stratum(count) for count in scores.num_classes])
    bins = np.array([hole_ratio_bin(score.hole_ratio, edges) for score in scores.evaluator.scores])
    groups: Groups = [("stratum", name, np.flatnonzero(strata == name)) for name in (*STRATA, UNLABELLED)]
    groups += [("hole_ratio", name, np.flatnonzero(bins == name)) for name in ratio_bins(edges)]
    return [group for group in groups if len(group[2])]


def _rounded(value: float) -> float:
    return value if isinstance(value, int) else round(value, _DIGITS)


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
