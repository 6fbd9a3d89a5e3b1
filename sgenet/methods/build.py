"""From a method's name and a recipe to the method; and how large it is."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from sgenet.layers.critic import MultiScaleCritic
from sgenet.methods.method import Method
from sgenet.methods.sge_net.network import SGEGenerator
from sgenet.methods.sge_net.objective import SGEObjective
from sgenet.settings import Recipe

GeneratorBuilder = Callable[[Recipe, int], nn.Module]


def _base_net(recipe: Recipe, num_classes: int) -> nn.Module:
    return SGEGenerator(num_classes, recipe.network, guided=False, evaluated=False)


def _sg_net(recipe: Recipe, num_classes: int) -> nn.Module:
    return SGEGenerator(num_classes, recipe.network, guided=True, evaluated=False)


def _sge_net(recipe: Recipe, num_classes: int) -> nn.Module:
    return SGEGenerator(num_classes, recipe.network, guided=True, evaluated=True)


GENERATORS: dict[str, GeneratorBuilder] = {"base_net": _base_net, "sg_net": _sg_net, "sge_net": _sge_net}
"""Method name → builder of its generator from (recipe, number of classes)."""


def build_generator(name: str, recipe: Recipe, num_classes: int) -> nn.Module:
    """The generator alone, as inference needs it. Weights follow from ``recipe.training.seed``."""
    torch.manual_seed(recipe.training.seed)
    return GENERATORS[name](recipe, num_classes)


def build_method(name: str, recipe: Recipe, num_classes: int) -> Method:
    """A method ready to be trained. All weights follow from ``recipe.training.seed`` alone.

    Args:
        name: a key of :data:`GENERATORS`.
        num_classes: classes of the dataset's label space.

    Raises:
        CheckpointError: λ_p > 0 and the VGG-16 weights cannot be had.
    """
    generator = build_generator(name, recipe, num_classes)
    torch.manual_seed(recipe.training.seed + 1)
    critic = MultiScaleCritic(3, recipe.critic)
    return Method(name, generator, critic, SGEObjective(recipe.losses))


def count_parameters(module: nn.Module) -> int:
    """How many numbers are learnt."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


def count_macs(generator: nn.Module, size: int) -> int:
    """Multiply-accumulates of convolutions and matrix products for one picture of size × size pixels."""
    parameter = next(generator.parameters())
    image = torch.zeros(1, 3, size, size, device=parameter.device)
    hole_mask = torch.zeros(1, 1, size, size, device=parameter.device)
    was_training = generator.training
    generator.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        generator(image, hole_mask)
    generator.train(was_training)
    return int(counter.get_total_flops()) // 2
