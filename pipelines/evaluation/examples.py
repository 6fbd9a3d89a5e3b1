"""The images of an evaluation that are kept to be looked at: examples, and the worst fillings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from pipelines.evaluation.fills import FilledBatch
from sgenet.batch import Prediction, Uint8Batch
from sgenet.evaluation.strata import STRATA, UNLABELLED, stratum


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


def choose_examples(keys: Sequence[str], num_classes: Sequence[int], count: int) -> list[str]:
    """Choose the images to show, the same ones for every method: of every stratum as many, if it has them.

    Args:
        num_classes: semantic classes of each image of the split.

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


def example_of(batch: Uint8Batch, hole_mask: Tensor, filled: FilledBatch, index: int) -> Example:
    """One image of a filled batch, copied to the CPU so that the batch can be freed."""

    def kept(tensor: Tensor) -> Tensor:
        return tensor[index].cpu().clone()

    def kept_if_there(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else kept(tensor)

    def alone(tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(tensor[index : index + 1].float().cpu().clone() for tensor in tensors)

    drawn = filled.prediction
    return Example(
        batch.keys[index],
        kept(batch.image),
        kept(hole_mask),
        kept(batch.label),
        kept(filled.image),
        predicted_label=kept_if_there(filled.label),
        confidence=kept_if_there(filled.confidence),
        prediction=drawn and Prediction(alone(drawn.images), alone(drawn.label_logits), alone(drawn.reliability)),
        filled_label=kept_if_there(filled.segmented),
    )
