"""The entries of Base-Net, SG-Net and SGE-Net in the registry of methods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from sgenet.methods.spec import MethodSpec
from sgenet.settings import BaseRecipe, DiscriminatorSettings

if TYPE_CHECKING:
    from torch import nn

    from sgenet.methods.method import Method


def _generator(recipe: BaseRecipe, num_classes: int, *, guided: bool, evaluated: bool) -> nn.Module:
    from sgenet.methods.sge_net.network import SGEGenerator

    return SGEGenerator(num_classes, recipe.network, guided=guided, evaluated=evaluated)


def _method(recipe: BaseRecipe, num_classes: int, generator: nn.Module, *, name: str, guided: bool) -> Method:
    from sgenet.layers.discriminator import MultiScaleDiscriminator
    from sgenet.methods.method import Method
    from sgenet.methods.sge_net.given_labels import NUM_DRAWS, give_labels
    from sgenet.methods.sge_net.objective import SGEObjective

    discriminator, objective = MultiScaleDiscriminator(3, recipe.discriminator), SGEObjective(recipe.losses)
    method, guidance = Method(name, generator, discriminator, objective, recipe.optimizer), recipe.guidance
    if not guided or guidance.given + guidance.transplanted == 0:
        return method
    return replace(method, prepare=lambda batch, draws, _: give_labels(batch, draws, guidance), num_draws=NUM_DRAWS)


def _discriminators(recipe: BaseRecipe) -> Mapping[str, DiscriminatorSettings]:
    return {"discriminator": recipe.discriminator} if recipe.losses.adversarial > 0 else {}


BASE_NET = MethodSpec(
    name="base_net",
    title="Base-Net",
    generator=partial(_generator, guided=False, evaluated=False),
    method=partial(_method, name="base_net", guided=False),
    discriminators=_discriminators,
)
SG_NET = MethodSpec(
    name="sg_net",
    title="SG-Net",
    generator=partial(_generator, guided=True, evaluated=False),
    method=partial(_method, name="sg_net", guided=True),
    discriminators=_discriminators,
    guided=True,
)
SGE_NET = MethodSpec(
    name="sge_net",
    title="SGE-Net",
    generator=partial(_generator, guided=True, evaluated=True),
    method=partial(_method, name="sge_net", guided=True),
    discriminators=_discriminators,
    guided=True,
)
