"""The scores of one way of filling holes, trained or not, over the evaluation split."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from pipelines.evaluation.examples import Example, Failure, example_of
from pipelines.evaluation.fills import Fill, FilledBatch, Segment
from pipelines.evaluation.networks import ScoringNetworks
from sgenet.batch import Uint8Batch
from sgenet.evaluation.confidence import hole_confidence, unreliable_share
from sgenet.evaluation.distribution import FeatureComparison, Features
from sgenet.evaluation.evaluator import Evaluator
from sgenet.evaluation.networks import image_distances, image_features
from sgenet.evaluation.segmentation import SegmentationCounts
from sgenet.evaluation.strata import count_classes
from sgenet.evaluation.vgg_distance import vgg_distances
from sgenet.mask_files import Mask


@dataclass
class SetScores:
    """Everything measured with one set of evaluation masks; lists have one entry an image.

    Attributes:
        keys: in the order of the index.
        num_classes: semantic classes of each image.
        confidence: mean confidence in the hole; empty for a method without segmentation.
        unreliable: from scale l to the share of unreliable pixels of M^l; empty for a method without.
        unreliable_hole: the same among the pixels that touch the hole.
        filled_segmentation: of the filled images by a segmenter; None without one.
        distances: LPIPS and VGG distance of each image, as ``lpips`` and ``vgg_distance``; those that are taken.
        features: what FID and KID are taken from; None where they are not.
        examples: the images kept for the report.
        num_worst: how many of the worst are kept.
        worst: the images whose holes are filled worst (lowest PSNR in the hole), the worst first.
    """

    evaluator: Evaluator
    keys: list[str] = field(default_factory=list)
    num_classes: list[int] = field(default_factory=list)
    confidence: list[float] = field(default_factory=list)
    unreliable: dict[int, list[float]] = field(default_factory=dict)
    unreliable_hole: dict[int, list[float]] = field(default_factory=dict)
    filled_segmentation: SegmentationCounts | None = None
    distances: dict[str, list[float]] = field(default_factory=dict)
    features: FeatureComparison | None = None
    examples: list[Example] = field(default_factory=list)
    num_worst: int = 0
    worst: list[Failure] = field(default_factory=list)

    def extend(self, other: SetScores) -> None:
        """Append the scores of the images that follow, with as many of the worst kept."""
        self.evaluator.extend(other.evaluator)
        self.keys.extend(other.keys)
        self.num_classes.extend(other.num_classes)
        self.confidence.extend(other.confidence)
        for ours, theirs in ((self.unreliable, other.unreliable), (self.unreliable_hole, other.unreliable_hole)):
            for scale, shares in theirs.items():
                ours.setdefault(scale, []).extend(shares)
        if self.filled_segmentation is not None and other.filled_segmentation is not None:
            self.filled_segmentation.extend(other.filled_segmentation)
        for name, distances in other.distances.items():
            self.distances.setdefault(name, []).extend(distances)
        if self.features is not None and other.features is not None:
            self.features.extend(other.features)
        self.examples.extend(other.examples)
        self.worst = sorted([*self.worst, *other.worst])[: self.num_worst]


_NO_NETWORKS = ScoringNetworks()


def score_split(
    fill: Fill,
    batches: Iterable[Uint8Batch],
    mask: Callable[[str, str], Mask],
    sets: Sequence[str],
    num_classes: int,
    example_keys: frozenset[str] = frozenset(),
    num_worst: int = 0,
    networks: ScoringNetworks = _NO_NETWORKS,
    segment: Segment | None = None,
) -> dict[str, SetScores]:
    """Fill and score every image once with each set of masks; the batches' sizes change no result.

    Args:
        batches: the evaluation split, cropped; the holes in them are not looked at.
        mask: from a set's name and an image's key to (H, W) of 0 and 1, 1 = missing.
        example_keys: images to keep.
        num_worst: images to keep because their holes are filled worst.
        networks: for FID, KID, LPIPS and VGG distance, where these are taken.
        segment: the segmenter of the filled images, where there is one (Table 4).
    """
    scores = {
        name: SetScores(
            Evaluator(num_classes),
            filled_segmentation=None if segment is None else SegmentationCounts(num_classes, with_none=True),
            features=None if networks.inception is None else FeatureComparison(),
            num_worst=num_worst,
        )
        for name in sets
    }
    for batch in batches:
        # The same for every set of masks.
        features = None if networks.inception is None else image_features(networks.inception, batch.image)
        for name in sets:
            hole_mask = torch.stack([torch.from_numpy(mask(name, key).copy()) for key in batch.keys])[:, None]
            filled = fill(batch.image, hole_mask, batch.label)
            if segment is not None:
                filled = replace(filled, segmented=segment(filled.image))
            _add(scores[name], batch, hole_mask, filled)
            _add_images(scores[name], batch, hole_mask, filled, example_keys)
            _add_network_scores(scores[name], batch, filled, networks, features)
    return scores


def _add(scores: SetScores, batch: Uint8Batch, hole_mask: Tensor, filled: FilledBatch) -> None:
    image, holes, label = (tensor.to(filled.image.device) for tensor in (batch.image, hole_mask, batch.label))
    scores.evaluator.update(filled.image, image, holes, label, filled.label)
    scores.keys.extend(batch.keys)
    scores.num_classes.extend(count_classes(label.numpy()) for label in batch.label)
    if filled.confidence is not None:
        scores.confidence.extend(hole_confidence(filled.confidence, holes).tolist())
    if filled.prediction is not None and filled.prediction.reliability:
        maps = filled.prediction.reliability
        shares = torch.stack([torch.stack((unreliable_share(m), unreliable_share(m, holes))) for m in maps])
        for scale, (everywhere, in_hole) in enumerate(shares.tolist()):
            scores.unreliable.setdefault(scale, []).extend(everywhere)
            scores.unreliable_hole.setdefault(scale, []).extend(in_hole)
    if scores.filled_segmentation is not None and filled.segmented is not None:
        scores.filled_segmentation.update(filled.segmented, batch.label, hole_mask)


def _add_images(
    scores: SetScores, batch: Uint8Batch, hole_mask: Tensor, filled: FilledBatch, example_keys: frozenset[str]
) -> None:
    # The maps of every scale are large, and no figure of failures shows them.
    shown = replace(filled, prediction=None, segmented=None)
    added = scores.evaluator.scores[-len(batch.keys) :]
    for index, (score, key) in enumerate(zip(added, batch.keys, strict=True)):
        if key in example_keys:
            scores.examples.append(example_of(batch, hole_mask, filled, index))
        worst = scores.worst
        is_among_worst = len(worst) < scores.num_worst or (
            worst and (score.psnr_hole, key) < (worst[-1].psnr_hole, worst[-1].key)
        )
        if is_among_worst and not math.isnan(score.psnr_hole):
            failure = Failure(score.psnr_hole, key, example_of(batch, hole_mask, shown, index))
            scores.worst = sorted([*worst, failure])[: scores.num_worst]


def _add_network_scores(
    scores: SetScores, batch: Uint8Batch, filled: FilledBatch, networks: ScoringNetworks, features: Features | None
) -> None:
    if networks.lpips is not None:
        found = image_distances(networks.lpips, filled.image, batch.image)
        scores.distances.setdefault("lpips", []).extend(found)
    if networks.vgg is not None:
        found = vgg_distances(networks.vgg, filled.image, batch.image)
        scores.distances.setdefault("vgg_distance", []).extend(found)
    if networks.inception is not None and scores.features is not None and features is not None:
        scores.features.update(features, image_features(networks.inception, filled.image))
