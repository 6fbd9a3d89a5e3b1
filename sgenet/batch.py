"""What goes into a method and what comes out: every shape and range in one place."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from sgenet.checks import check_shape


class Uint8Batch(NamedTuple):
    """A batch as the loader delivers it: this worker's share of a global batch.

    Attributes:
        image: (B, 3, H, W) uint8.
        hole_mask: (B, 1, H, W) uint8, 1 = missing.
        label: (B, H, W) uint8 class ids, 255 = ignore.
        keys: the samples' names in the shards, if they have any.
    """

    image: Tensor
    hole_mask: Tensor
    label: Tensor
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class InpaintingBatch:
    """A batch as the networks and losses see it.

    Attributes:
        image: (B, 3, H, W) float in [-1, 1], RGB, whole (uncorrupted).
        hole_mask: (B, 1, H, W) float, **1 = missing**, 0 = known.
        label: (B, H, W) int64 class ids, 255 = ignore.
        guide: (B, H, W) int64, a segmentation to fill by, 255 = the network's own; None: its own everywhere.
        edges: (B, 1, H, W) of 0 and 1, what EdgeConnect paints along; None: the edges that it draws.
    """

    image: Tensor
    hole_mask: Tensor
    label: Tensor
    guide: Tensor | None = None
    edges: Tensor | None = None

    def __post_init__(self) -> None:
        sizes = check_shape(self.image, "B 3 H W", "image")
        check_shape(self.hole_mask, "B 1 H W", "hole_mask", **sizes)
        check_shape(self.label, "B H W", "label", **sizes)
        if self.guide is not None:
            check_shape(self.guide, "B H W", "guide", **sizes)
        if self.edges is not None:
            check_shape(self.edges, "B 1 H W", "edges", **sizes)

    @classmethod
    def from_uint8(cls, image: Tensor, hole_mask: Tensor, label: Tensor) -> InpaintingBatch:
        """Make a batch from the tensors of a :class:`Uint8Batch`, on the device where they are."""
        # Divided by 127.5 rather than multiplied by its inverse: 0 and 255 must map to exactly ±1.
        normalised = image.to(torch.float32).div_(127.5).sub_(1.0)
        return cls(
            image=normalised.contiguous(memory_format=torch.channels_last),
            hole_mask=hole_mask.to(torch.float32),
            label=label.to(torch.int64),
        )

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """What a generator is called with: image, hole and, where the batch has them, its guide or its edges."""
        given = self.guide if self.edges is None else self.edges
        return (self.image, self.hole_mask) if given is None else (self.image, self.hole_mask, given)

    @property
    def num_images(self) -> int:
        """How many images the batch holds."""
        return self.image.shape[0]

    @property
    def corrupted(self) -> Tensor:
        """The image with its hole set to 0 (mid-grey): (B, 3, H, W) in [-1, 1]."""
        return self.image * (1 - self.hole_mask)


FEATURE_SCALE = 3
"""Whose features a prediction holds: those of finer scales say less of what is there, coarser ones less of where."""


@dataclass(frozen=True)
class Prediction:
    """What a generator drew. Lists are indexed by scale l: 0 = full size … 4 = 1/16.

    Attributes:
        images: Ŷ^l, (B, 3, H/2^l, W/2^l) float in [-1, 1]; entry 0 is the method's result.
        label_logits: Ŝ^l before the softmax, (B, C, H/2^l, W/2^l); empty for a method
            that predicts no segmentation.
        reliability: M^l of Eq. 4, (B, 1, H/2^l, W/2^l) of 0 and 1; empty for a method
            without confidence evaluation.
        features: (B, D, H/8, W/8), what the network makes of each place, from which scale 3 is drawn; None for a
            method whose features say nothing of classes.
        own_logits: the label logits before a guide took their place; empty where there was none.
        auxiliary: named intermediate tensors that a method's own objective needs
            (a coarse image, an edge map).
    """

    images: tuple[Tensor, ...]
    label_logits: tuple[Tensor, ...] = ()
    reliability: tuple[Tensor, ...] = ()
    features: Tensor | None = None
    own_logits: tuple[Tensor, ...] = ()
    auxiliary: dict[str, Tensor] = field(default_factory=dict)

    @property
    def image(self) -> Tensor:
        """The full-size prediction, (B, 3, H, W) float in [-1, 1]."""
        return self.images[0]


def composite(predicted: Tensor, original: Tensor, hole_mask: Tensor) -> Tensor:
    """The *inpainted* image: the prediction inside the hole, the original outside, exactly.

    Args:
        predicted, original: (B, 3, H, W).
        hole_mask: (B, 1, H, W), 1 = missing.
    """
    # `where` rather than a weighted sum: known pixels must come back bit for bit,
    # also where the prediction is not finite.
    return torch.where(hole_mask > 0.5, predicted.to(original.dtype), original)


def to_uint8(image: Tensor) -> Tensor:
    """(…, 3, H, W) float in [-1, 1] → uint8 in 0 … 255, rounded to nearest and clamped."""
    return image.float().add(1.0).mul(127.5).round_().clamp_(0, 255).to(torch.uint8)
