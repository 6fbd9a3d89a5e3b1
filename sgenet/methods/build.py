"""From a method's name and a recipe to the method; and how large it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from sgenet.methods.method import Method
from sgenet.methods.registry import METHODS
from sgenet.settings import BaseRecipe


def build_generator(name: str, recipe: BaseRecipe, num_classes: int) -> nn.Module:
    """The generator alone, as inference needs it. Weights follow from ``recipe.training.seed``."""
    spec = METHODS[name]
    with _seeded(recipe.training.seed):
        return spec.generator(spec.section(recipe), num_classes)


def build_method(name: str, recipe: BaseRecipe, num_classes: int) -> Method:
    """A method ready to be trained. All weights follow from ``recipe.training.seed`` alone.

    Args:
        name: a key of :data:`sgenet.methods.registry.METHODS`.
        num_classes: classes of the dataset's label space.

    Raises:
        CheckpointError: a VGG is asked for and its weights cannot be had.
    """
    spec, generator = METHODS[name], build_generator(name, recipe, num_classes)
    with _seeded(recipe.training.seed + 1):
        return spec.method(spec.section(recipe), num_classes, generator)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Draw weights from this seed and leave the caller's random stream where it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def count_parameters(module: nn.Module) -> int:
    """How many numbers are learnt."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


def count_macs(generator: nn.Module, size: int) -> int:
    """Multiply-accumulates of convolutions and matrix products for one image of size × size pixels."""
    # Imports Triton where it is installed, for which nobody who fills an image should wait.
    from torch.utils.flop_counter import FlopCounterMode

    parameter = next(generator.parameters())
    image = torch.zeros(1, 3, size, size, device=parameter.device)
    hole_mask = torch.zeros(1, 1, size, size, device=parameter.device)
    was_training = generator.training
    generator.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        generator(image, hole_mask)
    generator.train(was_training)
    return int(counter.get_total_flops()) // 2
