"""GatedConv's entry in the registry of methods."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sgenet.methods.gated_conv.settings import GatedConvSettings
from sgenet.methods.spec import MethodSpec

if TYPE_CHECKING:
    from torch import nn

    from sgenet.methods.method import Method


def _generator(settings: GatedConvSettings, num_classes: int) -> nn.Module:
    from sgenet.methods.gated_conv.network import GatedConvGenerator

    return GatedConvGenerator(settings.width)


def _method(settings: GatedConvSettings, num_classes: int, generator: nn.Module) -> Method:
    from sgenet.methods.gated_conv.network import SNPatchDiscriminator
    from sgenet.methods.gated_conv.objective import GatedConvObjective
    from sgenet.methods.method import Method

    return Method(
        "gated_conv",
        generator,
        SNPatchDiscriminator(settings.discriminator_width),
        GatedConvObjective(settings),
        settings.optimizer,
    )


GATED_CONV = MethodSpec(
    name="gated_conv",
    title="GatedConv",
    settings=GatedConvSettings,
    generator=_generator,
    method=_method,
    # The discriminator's sixth convolution needs more than one pixel, see ``SNPatchDiscriminator``.
    smallest_crop=33,
    segmented=False,
)
