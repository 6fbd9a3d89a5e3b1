"""Networks and batches so small that a training step takes milliseconds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sgenet.batch import InpaintingBatch
from sgenet.methods.build import build_method
from sgenet.methods.method import Method
from sgenet.settings import CriticSettings, LossSettings, NetworkSettings, OptimizerSettings, Recipe, TrainingSettings

SIDE = 32
NUM_CLASSES = 3
METHODS = ("base_net", "sg_net", "sge_net")


class Loaded(NamedTuple):
    """What a loader delivers: see :class:`sgenet.training.loop.Uint8Batch`."""

    image: Tensor
    hole_mask: Tensor
    label: Tensor


def small_network(**changes: Any) -> NetworkSettings:
    settings: dict[str, Any] = {
        "widths": (8, 8, 8, 8, 8),
        "context_blocks": 1,
        "encoder_blocks": (0, 0, 0, 0, 1),
        "decoder_blocks": (1, 0, 0, 0),
        "modulation_width": 4,
        "reliability_width": 3,
        "image_size": SIDE,
    }
    return NetworkSettings(**settings | changes)


def small_recipe(
    network: dict[str, Any] | None = None,
    losses: dict[str, Any] | None = None,
    optimizer: dict[str, Any] | None = None,
    **training: Any,
) -> Recipe:
    return Recipe(
        network=small_network(**network or {}),
        critic=CriticSettings(width=4, num_layers=1),
        losses=LossSettings(**{"perceptual": 0.0} | (losses or {})),
        optimizer=OptimizerSettings(**optimizer or {}),
        training=TrainingSettings(**{"steps": 8, "batch_size": 2, "precision": "float32"} | training),
    )


def small_method(name: str = "sge_net", recipe: Recipe | None = None) -> Method:
    return build_method(name, recipe or small_recipe(), NUM_CLASSES)


def loaded(number: int, pictures: int = 2, side: int = SIDE) -> Loaded:
    """Global batch ``number``: random pictures, a rectangular hole a picture, some labels to ignore."""
    rng = torch.Generator().manual_seed(1000 + number)
    hole_mask = torch.zeros(pictures, 1, side, side, dtype=torch.uint8)
    for picture in range(pictures):
        top, left = torch.randint(2, side // 2, (2,), generator=rng).tolist()
        hole_mask[picture, :, top : top + side // 3, left : left + side // 3] = 1
    label = torch.randint(NUM_CLASSES, (pictures, side, side), generator=rng, dtype=torch.uint8)
    label[:, :2] = 255
    image = torch.randint(256, (pictures, 3, side, side), generator=rng, dtype=torch.uint8)
    return Loaded(image, hole_mask, label)


def loader(start: int = 0) -> Iterator[Loaded]:
    """The batches from number ``start`` on, without end."""
    while True:
        yield loaded(start)
        start += 1


def small_batch(number: int = 0, pictures: int = 2, side: int = SIDE) -> InpaintingBatch:
    return InpaintingBatch.from_uint8(*loaded(number, pictures, side))
