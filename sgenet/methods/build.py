"""From a method's name and a recipe to the method; and how large it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from sgenet.layers.critic import MultiScaleCritic
from sgenet.methods.edge_connect.critic import EdgeConnectCritic
from sgenet.methods.edge_connect.network import EdgeConnectGenerator
from sgenet.methods.edge_connect.objective import EdgeConnectObjective
from sgenet.methods.gated_conv.critic import SNPatchCritic
from sgenet.methods.gated_conv.network import GatedConvGenerator
from sgenet.methods.gated_conv.objective import GatedConvObjective
from sgenet.methods.method import Method
from sgenet.methods.sge_net.given_labels import NUM_DRAWS, give_labels
from sgenet.methods.sge_net.network import SGEGenerator
from sgenet.methods.sge_net.objective import SGEObjective
from sgenet.methods.spg_net.critic import SPGNetCritic
from sgenet.methods.spg_net.network import SPGNetGenerator, training_inputs
from sgenet.methods.spg_net.objective import SPGNetObjective
from sgenet.settings import Recipe

GeneratorBuilder = Callable[[Recipe, int], nn.Module]

GUIDED_METHODS = frozenset({"sg_net", "sge_net"})
"""The methods whose segmentation guides the filling, so that a given one can take its place."""

LABEL_STARTED_METHODS = frozenset({"spg_net"})
"""The methods that complete a label map of what is known, which a segmenter can give."""

UNSEGMENTED_METHODS = frozenset({"gated_conv", "edge_connect"})
"""The methods that predict no segmentation."""


def _base_net(recipe: Recipe, num_classes: int) -> nn.Module:
    return SGEGenerator(num_classes, recipe.network, guided=False, evaluated=False)


def _sg_net(recipe: Recipe, num_classes: int) -> nn.Module:
    return SGEGenerator(num_classes, recipe.network, guided=True, evaluated=False)


def _sge_net(recipe: Recipe, num_classes: int) -> nn.Module:
    return SGEGenerator(num_classes, recipe.network, guided=True, evaluated=True)


def _gated_conv(recipe: Recipe, num_classes: int) -> nn.Module:
    return GatedConvGenerator(recipe.gated_conv.width)


def _edge_connect(recipe: Recipe, num_classes: int) -> nn.Module:
    return EdgeConnectGenerator(recipe.edge_connect)


def _spg_net(recipe: Recipe, num_classes: int) -> nn.Module:
    return SPGNetGenerator(num_classes, recipe.spg_net)


GENERATORS: dict[str, GeneratorBuilder] = {
    "base_net": _base_net,
    "sg_net": _sg_net,
    "sge_net": _sge_net,
    "gated_conv": _gated_conv,
    "edge_connect": _edge_connect,
    "spg_net": _spg_net,
}
"""Method name → builder of its generator from (recipe, number of classes)."""


def build_generator(name: str, recipe: Recipe, num_classes: int) -> nn.Module:
    """The generator alone, as inference needs it. Weights follow from ``recipe.training.seed``."""
    with _seeded(recipe.training.seed):
        return GENERATORS[name](recipe, num_classes)


def build_method(name: str, recipe: Recipe, num_classes: int) -> Method:
    """A method ready to be trained. All weights follow from ``recipe.training.seed`` alone.

    Args:
        name: a key of :data:`GENERATORS`.
        num_classes: classes of the dataset's label space.

    Raises:
        CheckpointError: a VGG is asked for and its weights cannot be had.
    """
    generator = build_generator(name, recipe, num_classes)
    with _seeded(recipe.training.seed + 1):
        match name:
            case "gated_conv":
                gated_conv = recipe.gated_conv
                critic: nn.Module = SNPatchCritic(gated_conv.critic_width)
                return Method(name, generator, critic, GatedConvObjective(gated_conv), gated_conv.optimizer)
            case "edge_connect":
                edge_connect = recipe.edge_connect
                critic = EdgeConnectCritic(edge_connect.critic_width)
                return Method(name, generator, critic, EdgeConnectObjective(edge_connect), edge_connect.optimizer)
            case "spg_net":
                spg_net = recipe.spg_net
                critic = SPGNetCritic(num_classes, spg_net.critic)
                objective = SPGNetObjective(spg_net)
                return Method(name, generator, critic, objective, spg_net.optimizer, training_inputs)
            case _:
                critic = MultiScaleCritic(3, recipe.critic)
                method = Method(name, generator, critic, SGEObjective(recipe.losses), recipe.optimizer)
                guidance = recipe.guidance
                if name not in GUIDED_METHODS or guidance.given + guidance.transplanted == 0:
                    return method
                return replace(method, prepare=partial(give_labels, settings=guidance), num_draws=NUM_DRAWS)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Draw weights from this seed and leave the caller's random stream where it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def perceptual_weights(name: str, recipe: Recipe) -> str:
    """Which weights the VGG of a method's objective has, as its setting says; ``none`` where it has no VGG."""
    match name:
        case "gated_conv":
            return "none"
        case "edge_connect":
            settings = recipe.edge_connect
            return settings.perceptual_weights if settings.perceptual > 0 or settings.style > 0 else "none"
        case "spg_net":
            return recipe.spg_net.perceptual_weights if recipe.spg_net.perceptual > 0 else "none"
        case _:
            return recipe.losses.perceptual_weights if recipe.losses.perceptual > 0 else "none"


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
