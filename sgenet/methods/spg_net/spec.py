"""SPG-Net's entry in the registry of methods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from sgenet.methods.spec import MethodSpec
from sgenet.methods.spg_net.settings import SPGNetSettings
from sgenet.settings import DiscriminatorSettings

if TYPE_CHECKING:
    from torch import nn

    from sgenet.methods.method import Method


def _generator(settings: SPGNetSettings, num_classes: int) -> nn.Module:
    from sgenet.methods.spg_net.network import SPGNetGenerator

    return SPGNetGenerator(num_classes, settings)


def _method(settings: SPGNetSettings, num_classes: int, generator: nn.Module) -> Method:
    from sgenet.methods.method import Method
    from sgenet.methods.spg_net.network import SPGNetDiscriminator
    from sgenet.methods.spg_net.objective import SPGNetObjective

    return Method(
        "spg_net",
        generator,
        SPGNetDiscriminator(num_classes, settings.discriminator),
        SPGNetObjective(settings),
        settings.optimizer,
        # In training it starts from the true labels, whose hole it cuts out.
        prepare=lambda batch, draws, progress: replace(batch, guide=batch.label),
    )


def _discriminators(settings: SPGNetSettings) -> Mapping[str, DiscriminatorSettings]:
    return {"discriminator": settings.discriminator}


SPG_NET = MethodSpec(
    name="spg_net",
    title="SPG-Net",
    settings=SPGNetSettings,
    generator=_generator,
    method=_method,
    discriminators=_discriminators,
    starts_from_labels=True,
    vgg=19,
)
