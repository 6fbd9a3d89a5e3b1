"""Scoring a block of the evaluation split: what the workers of an evaluation do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from pipelines.data.evaluation_masks import EvaluationMasks, load_evaluation_masks
from pipelines.data.labels.opened import SegmenterPlace, open_segmenter
from pipelines.data.shards.index import reopen_index
from pipelines.data.shards.loader import evaluation_batches
from pipelines.data.shards.reader import ShardDataset
from pipelines.evaluation.fills import MakeFill
from pipelines.evaluation.networks import load_networks
from pipelines.evaluation.scoring import SetScores, score_split
from pipelines.settings.params import EvaluationSettings
from sgenet.errors import DataError
from sgenet.training.determinism import one_thread
from sgenet.transforms import CentreCrop

BLOCK_IMAGES = 64
"""Images of a block: fewer would take less time than starting a process."""


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """What is scored, and how: the same for every block.

    Attributes:
        shards, masks: folders of the stages of these names.
        digests: of what must be found there.
        settings: of the evaluation.
        crop: side of the square that is cut out of each.
        num_classes: of the labels.
        examples: keys of the images to keep.
        use_gpu: run the networks that score on a GPU, where the worker has one.
        segmenter: of the filled images; None where these are not segmented.
    """

    shards: Path
    masks: Path
    digests: tuple[str, str]
    settings: EvaluationSettings
    crop: int
    num_classes: int
    examples: frozenset[str]
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
    shards_digest, masks_digest = scoring.digests
    table = reopen_index(scoring.shards, shards_digest).of_split(scoring.settings.split)
    masks = _reopen_masks(scoring.masks, masks_digest)
    rows = np.arange(first, min(first + BLOCK_IMAGES, len(table)))
    dataset = ShardDataset(table.rows(rows), CentreCrop(scoring.crop))
    batches = evaluation_batches(dataset, scoring.settings.batch_size)
    with one_thread():
        segment = None if scoring.segmenter is None else open_segmenter(scoring.segmenter).label
        return score_split(
            make_fill(segment),
            batches,
            masks.mask,
            masks.sets,
            scoring.num_classes,
            scoring.examples,
            scoring.settings.num_worst_images,
            load_networks(scoring.settings, scoring.use_gpu),
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


@lru_cache(maxsize=1)
def _reopen_masks(folder: Path, digest: str) -> EvaluationMasks:
    masks = load_evaluation_masks(folder)
    if masks.digest != digest:
        raise DataError(f"{folder} changed while it was used; run the stage again")
    return masks
