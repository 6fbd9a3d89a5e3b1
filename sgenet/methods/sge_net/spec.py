"""Base-Net, SG-Net and SGE-Net as the rest of the house sees them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from sgenet.methods.spec import MethodSpec
from sgenet.settings import BaseRecipe, CriticSettings

if TYPE_CHECKING:
    from torch import nn

    from sgenet.methods.method import Method


def _generator(recipe: BaseRecipe, num_classes: int, *, guided: bool, evaluated: bool) -> nn.Module:
    from sgenet.methods.sge_net.network import SGEGenerator

    return SGEGenerator(num_classes, recipe.network, guided=guided, evaluated=evaluated)


def _method(recipe: BaseRecipe, num_classes: int, generator: nn.Module, *, name: str) -> Method:
    from sgenet.layers.critic import MultiScaleCritic
    from sgenet.methods.method import Method
    from sgenet.methods.sge_net.given_labels import NUM_DRAWS, give_labels
    from sgenet.methods.sge_net.objective import SGEObjective

    critic, objective = MultiScaleCritic(3, recipe.critic), SGEObjective(recipe.losses)
    method, guidance = Method(name, generator, critic, objective, recipe.optimizer), recipe.guidance
    if name == BASE_NET.name or guidance.given + guidance.transplanted == 0:
        return method
    return replace(method, prepare=lambda batch, draws, _: give_labels(batch, draws, guidance), num_draws=NUM_DRAWS)


def _critics(recipe: BaseRecipe) -> Mapping[str, CriticSettings]:
    return {"critic": recipe.critic} if recipe.losses.adversarial > 0 else {}


BASE_NET = MethodSpec(
    name="base_net",
    title="Base-Net",
    generator=partial(_generator, guided=False, evaluated=False),
    method=partial(_method, name="base_net"),
    critics=_critics,
)
SG_NET = MethodSpec(
    name="sg_net",
    title="SG-Net",
    generator=partial(_generator, guided=True, evaluated=False),
    method=partial(_method, name="sg_net"),
    critics=_critics,
    guided=True,
)
SGE_NET = MethodSpec(
    name="sge_net",
    title="SGE-Net",
    generator=partial(_generator, guided=True, evaluated=True),
    method=partial(_method, name="sge_net"),
    critics=_critics,
    guided=True,
)
