"""LaMa's entry in the registry of methods."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sgenet.methods.lama.settings import LamaSettings
from sgenet.methods.spec import MethodSpec

if TYPE_CHECKING:
    from torch import nn

    from sgenet.methods.method import Method


def _generator(settings: LamaSettings, num_classes: int) -> nn.Module:
    from sgenet.methods.lama.network import LamaGenerator

    return LamaGenerator(settings)


def _method(settings: LamaSettings, num_classes: int, generator: nn.Module) -> Method:
    from sgenet.methods.lama.network import LamaDiscriminator
    from sgenet.methods.lama.objective import LamaObjective
    from sgenet.methods.method import Method

    return Method(
        "lama", generator, LamaDiscriminator(settings.discriminator_width), LamaObjective(settings), settings.optimizer
    )


LAMA = MethodSpec(
    name="lama",
    title="LaMa",
    settings=LamaSettings,
    generator=_generator,
    method=_method,
    # At 1/8 of the size, reflecting takes two pixels.
    smallest_crop=16,
    segmented=False,
)
