"""EdgeConnect's entry in the registry of methods."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from sgenet.methods.edge_connect.settings import EdgeConnectSettings
from sgenet.methods.spec import MethodSpec

if TYPE_CHECKING:
    from torch import nn

    from sgenet.methods.method import Method


def _generator(settings: EdgeConnectSettings, num_classes: int) -> nn.Module:
    from sgenet.methods.edge_connect.network import EdgeConnectGenerator

    return EdgeConnectGenerator(settings)


def _method(settings: EdgeConnectSettings, num_classes: int, generator: nn.Module) -> Method:
    from sgenet.methods.edge_connect.network import EdgeConnectDiscriminator
    from sgenet.methods.edge_connect.objective import EdgeConnectObjective, along_true_edges
    from sgenet.methods.method import Method

    return Method(
        "edge_connect",
        generator,
        EdgeConnectDiscriminator(settings.discriminator_width),
        EdgeConnectObjective(settings),
        settings.optimizer,
        prepare=partial(along_true_edges, settings=settings),
    )


EDGE_CONNECT = MethodSpec(
    name="edge_connect",
    title="EdgeConnect",
    settings=EdgeConnectSettings,
    generator=_generator,
    method=_method,
    # The discriminators shrink an image by 8, and then take two more pixels.
    smallest_crop=24,
    segmented=False,
    vgg=19,
)
