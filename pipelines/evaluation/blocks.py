"""Scoring a block of the evaluation split: what the workers of an evaluation do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from pipelines.data.evaluation_masks import EvaluationMasks, load_evaluation_masks
from pipelines.data.labels.opened import SegmenterPlace, open_segmenter
from pipelines.data.shards.index import reopen_index
from pipelines.data.shards.loader import evaluation_batches
from pipelines.data.shards.reader import ShardDataset
from pipelines.data.shards.schema import SampleTable
from pipelines.evaluation.baselines import BASELINES, UNDAMAGED, undamaged
from pipelines.evaluation.networks import WeightFiles, load_networks
from pipelines.evaluation.walk import Fill, Segment, SetScores, baseline_fill, model_fill, score_split
from pipelines.parallel.device import check_device
from sgenet.errors import DataError
from sgenet.methods.release import Released, load_released
from sgenet.settings import Precision
from sgenet.training.determinism import make_deterministic, one_thread
from sgenet.transforms import CentreCrop

MakeFill = Callable[[Segment | None], Fill]
"""Gives a method, which may look at images with a segmenter where there is one; called in the process that scores."""


BLOCK_IMAGES = 64
"""Images of a block: fewer would take less time than starting a process."""


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """What is scored, and how: the same for every block.

    Attributes:
        shards, masks: folders of the stages of these names.
        digests: of what must be found there.
        split: its name in the index.
        batch_size: images that are filled together.
        crop: side of the square that is cut out of each.
        num_classes: of the labels.
        examples: keys of the images to keep.
        num_worst: images to keep because their holes are filled worst.
        weights: of the networks that score.
        use_gpu: run these networks on a GPU, where the worker has one.
        segmenter: of the filled images; None where these are not segmented.
    """

    shards: Path
    masks: Path
    digests: tuple[str, str]
    split: str
    batch_size: int
    crop: int
    num_classes: int
    examples: frozenset[str]
    num_worst: int
    weights: WeightFiles
    use_gpu: bool
    segmenter: SegmenterPlace | None = None


def score_block(make_fill: MakeFill, scoring: Scoring, first: int) -> dict[str, SetScores]:
    """Fill and score :data:`BLOCK_IMAGES` images, or those that are left, with every set of masks.

    Args:
        first: position of the first image in the split.

    Raises:
        DataError: shards or masks are unfinished, or are not those of the other blocks.
        CheckpointError: a network's or the segmenter's weights changed while they were used.
    """
    table, masks = _open(scoring)
    rows = np.arange(first, min(first + BLOCK_IMAGES, len(table)))
    dataset = ShardDataset(table.rows(rows), CentreCrop(scoring.crop))
    batches = evaluation_batches(dataset, scoring.batch_size)
    with one_thread():
        segment = None if scoring.segmenter is None else open_segmenter(scoring.segmenter).label
        return score_split(
            make_fill(segment),
            batches,
            masks,
            masks.sets,
            scoring.num_classes,
            scoring.examples,
            scoring.num_worst,
            load_networks(scoring.weights, scoring.use_gpu),
            segment,
        )


def joined(parts: Iterable[dict[str, SetScores]]) -> dict[str, SetScores]:
    """The scores of all blocks, given in their order."""
    scores: dict[str, SetScores] = {}
    # With one thread, as sums over features are taken here.
    with one_thread():
        for part in parts:
            for name, block_scores in part.items():
                if name in scores:
                    scores[name].extend(block_scores)
                else:
                    scores[name] = block_scores
    return scores


def load_model_fill(
    model: Path,
    device: str,
    weights_sha256: str,
    guided_by_truth: bool,
    copies_texture: bool,
    precision: Precision,
    segment: Segment | None,
) -> Fill:
    """The filling of a released model, which is kept for the next block.

    Args:
        model: folder of the released model.
        weights_sha256: of its weights file, so that one does not pass for another.
        guided_by_truth, copies_texture, precision, segment: as of :func:`~pipelines.evaluation.walk.model_fill`.

    Raises:
        CheckpointError: the folder holds no released model.
        SettingsError: a GPU is asked for and the scoring process has none.
    """
    check_device(device)
    place = torch.device(device)
    make_deterministic(place)
    return model_fill(_released(model, weights_sha256), place, guided_by_truth, copies_texture, segment, precision)


def load_baseline_fill(name: str, segment: Segment | None) -> Fill:
    """A method without learning, which has no use for a segmenter.

    Args:
        name: a key of :data:`~pipelines.evaluation.baselines.BASELINES`, or :data:`UNDAMAGED`.
    """
    return baseline_fill(undamaged if name == UNDAMAGED else BASELINES[name])


@lru_cache(maxsize=1)
def _released(model: Path, weights_sha256: str) -> Released:
    return load_released(model)


def _open(scoring: Scoring) -> tuple[SampleTable, EvaluationMasks]:
    shards_digest, masks_digest = scoring.digests
    return reopen_index(scoring.shards, shards_digest).of_split(scoring.split), _reopen_masks(
        scoring.masks, masks_digest
    )


@lru_cache(maxsize=1)
def _reopen_masks(folder: Path, digest: str) -> EvaluationMasks:
    masks = load_evaluation_masks(folder)
    if masks.digest != digest:
        raise DataError(f"{folder} changed while it was used; run the stage again")
    return masks
