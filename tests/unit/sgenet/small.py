"""Networks and batches so small that a training step takes milliseconds."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from sgenet.batch import InpaintingBatch, Uint8Batch
from sgenet.methods.build import build_method
from sgenet.methods.edge_connect.settings import EdgeConnectSettings
from sgenet.methods.gated_conv.settings import GatedConvSettings
from sgenet.methods.lama.settings import LamaSettings
from sgenet.methods.method import Method, Objective, Terms
from sgenet.methods.recipe import Recipe
from sgenet.methods.spg_net.settings import SPGNetSettings
from sgenet.settings import (
    DiscriminatorSettings,
    GuidanceSettings,
    LossSettings,
    NetworkSettings,
    OptimizerSettings,
    TrainingSettings,
)
from sgenet.training.loop import StepMetrics
from sgenet.training.state import TrainingState

SIDE = 32
NUM_CLASSES = 3
METHODS = ("base_net", "sg_net", "sge_net")


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
    guidance: dict[str, Any] | None = None,
    **training: Any,
) -> Recipe:
    length: dict[str, Any] = {"steps": 8, "batch_size": 2, "precision": "float32"}
    terms: dict[str, Any] = {"perceptual": 0.0}
    return Recipe(
        network=small_network(**network or {}),
        discriminator=DiscriminatorSettings(width=4, num_layers=1),
        losses=LossSettings(**terms | (losses or {})),
        optimizer=OptimizerSettings(**optimizer or {}),
        guidance=GuidanceSettings(**guidance or {}),
        gated_conv=GatedConvSettings(width=4, discriminator_width=4),
        edge_connect=EdgeConnectSettings(width=4, num_blocks=1, discriminator_width=4, perceptual=0.0, style=0.0),
        spg_net=SPGNetSettings(
            width=4,
            num_blocks=1,
            segmenter_width=4,
            discriminator=DiscriminatorSettings(width=4, num_layers=1, num_scales=2),
            perceptual=0.0,
            reconstruction=1.0,
        ),
        lama=LamaSettings(width=4, num_blocks=1, discriminator_width=4, perceptual=0.0),
        training=TrainingSettings(**length | training),
    )


def small_method(name: str = "sge_net", recipe: Recipe | None = None) -> Method:
    return build_method(name, recipe or small_recipe(), NUM_CLASSES)


def loaded(number: int, images: int = 2, side: int = SIDE) -> Uint8Batch:
    """Global batch ``number``: random images, a rectangular hole an image, some labels to ignore."""
    rng = torch.Generator().manual_seed(1000 + number)
    hole_mask = torch.zeros(images, 1, side, side, dtype=torch.uint8)
    for index in range(images):
        top, left = torch.randint(2, side // 2, (2,), generator=rng).tolist()
        hole_mask[index, :, top : top + side // 3, left : left + side // 3] = 1
    label = torch.randint(NUM_CLASSES, (images, side, side), generator=rng, dtype=torch.uint8)
    label[:, :2] = 255
    image = torch.randint(256, (images, 3, side, side), generator=rng, dtype=torch.uint8)
    return Uint8Batch(image, hole_mask, label)


def loader(start: int = 0) -> Iterator[Uint8Batch]:
    """The batches from number ``start`` on, without end."""
    while True:
        yield loaded(start)
        start += 1


def small_batch(number: int = 0, images: int = 2, side: int = SIDE) -> InpaintingBatch:
    return InpaintingBatch.from_uint8(*loaded(number, images, side)[:3])


def small_state(name: str = "sge_net", seed: int = 1, **training: Any) -> TrainingState:
    recipe = small_recipe(seed=seed, optimizer={"warmup_steps": 2, "decay_from": 0.5}, **training)
    return TrainingState(small_method(name, recipe), recipe)


@dataclasses.dataclass
class Poisoned:
    """An objective that multiplies one of its terms by a factor and adds an offset that has no gradient, after it has
    given the generator's terms some times as they are."""

    objective: Objective
    term: str = "reconstruction"
    factor: float = math.nan
    offset: float = 0.0
    harmless: int = 0
    trains_discriminator: bool = True

    def to(self, **where: Any) -> object:
        return self.objective.to(**where)

    def generator_terms(self, *arguments: Any) -> Terms:
        self.harmless -= 1
        terms = self.objective.generator_terms(*arguments)
        return terms if self.harmless >= 0 else self._spoilt(terms)

    def discriminator_terms(self, *arguments: Any) -> Terms:
        return self._spoilt(self.objective.discriminator_terms(*arguments))

    def _spoilt(self, terms: Terms) -> Terms:
        return {name: term * self.factor + self.offset if name == self.term else term for name, term in terms.items()}


@dataclasses.dataclass
class Diary:
    """A hook that keeps the loss terms of every step."""

    steps: list[int] = dataclasses.field(default_factory=list)
    terms: list[dict[str, float]] = dataclasses.field(default_factory=list)

    def after_step(self, state: TrainingState, metrics: StepMetrics) -> None:
        assert state.step == metrics.step
        self.steps.append(metrics.step)
        self.terms.append(metrics.values())


def all_tensors(value: object) -> list[Tensor]:
    """Copies of every tensor of nested dictionaries, lists and tuples, in order."""
    match value:
        case Tensor():
            return [value.detach().clone()]
        case dict():
            return [tensor for item in value.values() for tensor in all_tensors(item)]
        case list() | tuple():
            return [tensor for item in value for tensor in all_tensors(item)]
        case _:
            return []


def weights(network: nn.Module) -> list[Tensor]:
    """Copies of a network's parameters."""
    return all_tensors(list(network.parameters()))


def same_tensors(one: list[Tensor], other: list[Tensor]) -> bool:
    """Whether two lists of tensors are equal to the bit."""
    return len(one) == len(other) and all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
