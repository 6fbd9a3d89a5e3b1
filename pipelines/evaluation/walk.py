"""One walk over the evaluation split that scores any way of filling holes, trained or not."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipelines.evaluation.baselines import BaselineFunction, mean_colour
from pipelines.evaluation.networks import ScoringNetworks
from pipelines.evaluation.texture import with_texture
from sgenet.batch import Prediction, composite, to_uint8
from sgenet.evaluation.confidence import hole_confidence, label_confidence, unreliable_share
from sgenet.evaluation.distribution import FeatureComparison, Features
from sgenet.evaluation.evaluator import Evaluator
from sgenet.evaluation.networks import image_distances, image_features
from sgenet.evaluation.segmentation import SegmentationCounts
from sgenet.evaluation.strata import STRATA, UNLABELLED, count_classes, stratum
from sgenet.evaluation.vgg_distance import vgg_distances
from sgenet.methods.registry import LABEL_STARTED_METHODS
from sgenet.methods.release import Released
from sgenet.precision import autocast
from sgenet.settings import Precision


@dataclass(frozen=True)
class FilledBatch:
    """A filled batch, on the device that filled it; what a method does not predict is None.

    Attributes:
        image: (B, 3, H, W) uint8, the inpainted images: known pixels are the original's.
        label: (B, H, W) int64 predicted class ids.
        confidence: (B, H, W) float in 0–1, probability of the predicted class.
        prediction: the generator's output at every scale.
    """

    image: Tensor
    label: Tensor | None = None
    confidence: Tensor | None = None
    prediction: Prediction | None = None


Fill = Callable[[Tensor, Tensor, Tensor], FilledBatch]
"""From image (B, 3, H, W), hole mask (B, 1, H, W), 1 = missing, and true label (B, H, W), all uint8, to
:class:`FilledBatch`. Only what is guided by the true labels looks at the label."""

Segment = Callable[[Tensor], Tensor]
"""A segmenter: from images without holes, (B, 3, H, W) uint8, to class ids (B, H, W) uint8, 255 = none of them."""


class EvaluationBatch(Protocol):
    """Uint8 tensors of some images: (B, 3, H, W), (B, H, W) with 255 = ignore, and B keys."""

    @property
    def image(self) -> Tensor:
        """The originals."""

    @property
    def label(self) -> Tensor:
        """Their labels."""

    @property
    def keys(self) -> Sequence[str]:
        """Their keys in the shards."""


@dataclass(frozen=True)
class Example:
    """One image kept for the report, on the CPU; tensors as in :class:`FilledBatch`, without the batch axis."""

    key: str
    image: Tensor
    hole_mask: Tensor
    label: Tensor
    inpainted: Tensor
    predicted_label: Tensor | None
    confidence: Tensor | None
    prediction: Prediction | None
    filled_label: Tensor | None = None


@dataclass(frozen=True, order=True)
class Failure:
    """A failure case. Ordered by PSNR in the hole, then by key."""

    psnr_hole: float
    key: str
    example: Example = field(compare=False)


@dataclass
class SetScores:
    """Everything measured with one set of evaluation masks; lists have one entry an image.

    Attributes:
        keys: the images' keys, in the order of the index.
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


class HoleSource(Protocol):
    """Fixed evaluation masks by set and image."""

    def mask(self, set_name: str, key: str, /) -> npt.NDArray[np.uint8]:
        """(H, W) of 0 and 1, 1 = missing."""


def score_split(
    fill: Fill,
    batches: Iterable[EvaluationBatch],
    holes: HoleSource,
    sets: Sequence[str],
    num_classes: int,
    example_keys: frozenset[str] = frozenset(),
    num_worst: int = 0,
    networks: ScoringNetworks = _NO_NETWORKS,
    segment: Segment | None = None,
) -> dict[str, SetScores]:
    """Fill and score every image once with each set of masks; the batches' sizes change no result.

    Args:
        fill: the method.
        batches: the evaluation split, cropped.
        holes: where the masks come from.
        sets: names of the mask sets.
        num_classes: of the labels.
        example_keys: images to keep.
        num_worst: images to keep because their holes are filled worst.
        networks: for FID, KID, LPIPS and VGG distance, where these are taken.
        segment: the segmenter of the filled images, where there is one (Table 4).
    """
    scores = {name: SetScores(Evaluator(num_classes), num_worst=num_worst) for name in sets}
    if segment is not None:
        for result in scores.values():
            result.filled_segmentation = SegmentationCounts(num_classes, with_none=True)
    for batch in batches:
        # The same for every set of masks.
        features = None if networks.inception is None else image_features(networks.inception, batch.image)
        for name in sets:
            hole_mask = torch.stack([torch.from_numpy(holes.mask(name, key).copy()) for key in batch.keys])[:, None]
            filled = fill(batch.image, hole_mask, batch.label)
            filled_label = None if segment is None else segment(filled.image)
            _add(scores[name], batch, hole_mask, filled, filled_label, example_keys)
            _add_worst(scores[name], batch, hole_mask, filled)
            _add_network_scores(scores[name], batch, filled, networks, features)
    return scores


def model_fill(
    released: Released,
    device: torch.device,
    guided_by_truth: bool = False,
    copies_texture: bool = False,
    segment: Segment | None = None,
    precision: Precision = "float32",
) -> Fill:
    """Fill holes with a trained generator.

    Args:
        released: the model.
        device: where it computes.
        guided_by_truth: guide SG-Net or SGE-Net by the true labels in place of their own: the upper bound of
            Fig. 1(e) where they were trained with true labels, and how far they obey where they were not.
        copies_texture: take the texture from the known pixels of the image. What else the network predicted, such as
            its segmentation, is left to the scores of the filling without.
        segment: labels the known pixels for SPG-Net; None: its own small segmenter does.
        precision: of the generator, whatever it was trained in.
    """
    starts_from_labels = segment is not None and released.method_name in LABEL_STARTED_METHODS
    generator = released.generator.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def fill(image: Tensor, hole_mask: Tensor, label: Tensor) -> FilledBatch:
        original, holes = image.to(device), hole_mask.to(device)
        normalised = original.to(torch.float32).div_(127.5).sub_(1.0)
        normalised = normalised.contiguous(memory_format=torch.channels_last)
        guide: tuple[Tensor, ...] = (label.to(device, torch.int64),) if guided_by_truth else ()
        if starts_from_labels and segment is not None:
            guide = (segment(without_holes(image, hole_mask)).to(device, torch.int64),)
        with autocast(device, precision):
            prediction: Prediction = generator(normalised, holes.to(torch.float32), *guide)
        if copies_texture:
            refined = with_texture(normalised, holes, prediction).to(device)
            return FilledBatch(composite(refined, original, holes))
        inpainted = composite(to_uint8(prediction.image), original, holes)
        if not prediction.label_logits:
            return FilledBatch(inpainted, prediction=prediction)
        return FilledBatch(inpainted, *label_confidence(prediction.label_logits[0]), prediction)

    return fill


def without_holes(image: Tensor, hole_mask: Tensor) -> Tensor:
    """Images whose holes have the mean colour of what is known, so that a segmenter can look at them.

    Args:
        image: (B, 3, H, W) uint8; what lies in the hole is not seen.
        hole_mask: (B, 1, H, W), 1 = missing.
    """
    return _by_image(mean_colour, image, hole_mask)


def baseline_fill(function: BaselineFunction) -> Fill:
    """Fill holes with a function of one image from :mod:`pipelines.evaluation.baselines`."""

    def fill(image: Tensor, hole_mask: Tensor, label: Tensor) -> FilledBatch:
        return FilledBatch(_by_image(function, image, hole_mask))

    return fill


def _by_image(function: BaselineFunction, images: Tensor, hole_mask: Tensor) -> Tensor:
    """A function of one image on each of (B, 3, H, W) uint8."""
    arrays = [np.ascontiguousarray(image.permute(1, 2, 0).numpy()) for image in images]
    filled = [function(image, hole[0].numpy()) for image, hole in zip(arrays, hole_mask, strict=True)]
    return torch.stack([torch.from_numpy(image).permute(2, 0, 1) for image in filled])


def choose_examples(keys: Sequence[str], num_classes: Sequence[int], count: int) -> list[str]:
    """Choose the images to show, the same ones for every method: of every stratum as many, if it has them.

    Args:
        keys: of the split.
        num_classes: semantic classes of each image.
        count: how many.

    Returns:
        Keys from simple to complex scenes, and evenly spread over the split within a stratum.
    """
    strata = [
        [key for key, number in zip(keys, num_classes, strict=True) if stratum(number) == name]
        for name in (*STRATA, UNLABELLED)
    ]
    shares = [0] * len(strata)
    for _ in range(min(count, len(keys))):
        # One more for the stratum that has fewest so far, of those with images left.
        open_strata = [index for index, members in enumerate(strata) if shares[index] < len(members)]
        shares[min(open_strata, key=lambda index: shares[index])] += 1
    chosen = []
    for members, share in zip(strata, shares, strict=True):
        positions = np.linspace(0, max(len(members) - 1, 0), share).round().astype(int)
        chosen += [members[position] for position in positions]
    return chosen


def _add(
    scores: SetScores,
    batch: EvaluationBatch,
    hole_mask: Tensor,
    filled: FilledBatch,
    filled_label: Tensor | None,
    kept: frozenset[str],
) -> None:
    image, holes, label = (tensor.to(filled.image.device) for tensor in (batch.image, hole_mask, batch.label))
    scores.evaluator.update(filled.image, image, holes, label, filled.label)
    scores.keys.extend(batch.keys)
    scores.num_classes.extend(count_classes(label.numpy()) for label in batch.label)
    if filled.confidence is not None:
        scores.confidence.extend(hole_confidence(filled.confidence, holes).tolist())
    if filled.prediction is not None and filled.prediction.reliability:
        _add_reliability(scores, filled.prediction.reliability, holes)
    if scores.filled_segmentation is not None and filled_label is not None:
        scores.filled_segmentation.update(filled_label, batch.label, hole_mask)
    for index, key in enumerate(batch.keys):
        if key in kept:
            scores.examples.append(_example(batch, hole_mask, filled, index, filled_label))


def _add_worst(scores: SetScores, batch: EvaluationBatch, hole_mask: Tensor, filled: FilledBatch) -> None:
    if not scores.num_worst:
        return
    # The maps of every scale are large, and no figure of failures shows them.
    shown = replace(filled, prediction=None)
    added = scores.evaluator.scores[-len(batch.keys) :]
    for index, (score, key) in enumerate(zip(added, batch.keys, strict=True)):
        is_full = len(scores.worst) == scores.num_worst
        if is_full and (score.psnr_hole, key) > (scores.worst[-1].psnr_hole, scores.worst[-1].key):
            continue
        if math.isnan(score.psnr_hole):
            continue
        failure = Failure(score.psnr_hole, key, _example(batch, hole_mask, shown, index))
        scores.worst = sorted([*scores.worst, failure])[: scores.num_worst]


def _add_network_scores(
    scores: SetScores, batch: EvaluationBatch, filled: FilledBatch, networks: ScoringNetworks, features: Features | None
) -> None:
    if networks.lpips is not None:
        found = image_distances(networks.lpips, filled.image, batch.image)
        scores.distances.setdefault("lpips", []).extend(found)
    if networks.vgg is not None:
        found = vgg_distances(networks.vgg, filled.image, batch.image)
        scores.distances.setdefault("vgg_distance", []).extend(found)
    if networks.inception is not None and features is not None:
        if scores.features is None:
            scores.features = FeatureComparison()
        scores.features.update(features, image_features(networks.inception, filled.image))


def _add_reliability(scores: SetScores, reliability: Sequence[Tensor], hole_mask: Tensor) -> None:
    shares = torch.stack([torch.stack((unreliable_share(m), unreliable_share(m, hole_mask))) for m in reliability])
    for scale, (everywhere, in_hole) in enumerate(shares.tolist()):
        scores.unreliable.setdefault(scale, []).extend(everywhere)
        scores.unreliable_hole.setdefault(scale, []).extend(in_hole)


def _example(
    batch: EvaluationBatch, hole_mask: Tensor, filled: FilledBatch, index: int, filled_label: Tensor | None = None
) -> Example:
    prediction = filled.prediction

    def kept(tensor: Tensor) -> Tensor:
        # A copy, so that the batch can be freed.
        return tensor[index].cpu().clone()

    return Example(
        key=batch.keys[index],
        image=kept(batch.image),
        hole_mask=kept(hole_mask),
        label=kept(batch.label),
        inpainted=kept(filled.image),
        predicted_label=None if filled.label is None else kept(filled.label),
        confidence=None if filled.confidence is None else kept(filled.confidence),
        prediction=None if prediction is None else _alone(prediction, index),
        filled_label=None if filled_label is None else kept(filled_label),
    )


def _alone(prediction: Prediction, index: int) -> Prediction:
    """The prediction of one image of a batch, copied to the CPU so that the batch can be freed."""

    def cut(tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(tensor[index : index + 1].float().cpu().clone() for tensor in tensors)

    return Prediction(cut(prediction.images), cut(prediction.label_logits), cut(prediction.reliability))
