"""The first losses of every method are those that were written down: rebuilding the house changes no training.

``python tests/unit/sgenet/test_golden_losses.py`` writes them anew, for a change that is meant to change them.
"""

from __future__ import annotations

import json
from itertools import repeat
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from small import NUM_CLASSES, Diary, loaded, small_network

from sgenet.methods.build import build_method
from sgenet.methods.edge_connect.settings import EdgeConnectSettings
from sgenet.methods.gated_conv.settings import GatedConvOptimizer, GatedConvSettings
from sgenet.methods.lama.settings import LamaOptimizer, LamaSettings
from sgenet.methods.recipe import Recipe
from sgenet.methods.registry import METHODS as REGISTERED
from sgenet.methods.spg_net.settings import SPGNetOptimizer, SPGNetSettings
from sgenet.settings import DiscriminatorSettings, LossSettings, OptimizerSettings, TrainingSettings
from sgenet.training.determinism import one_thread
from sgenet.training.loop import fit
from sgenet.training.state import TrainingState

STEPS = 20
GOLDEN = Path(__file__).with_name("golden_losses.json")
FAST = {"generator_lr": 3e-4, "discriminator_lr": 3e-4}

RECIPE = Recipe(
    network=small_network(context_blocks=4, context_dilations=(1, 2, 4, 8)),
    discriminator=DiscriminatorSettings(width=4, num_layers=1),
    losses=LossSettings(
        hole_weight=1.0,
        psnr=0.01,
        structural=0.1,
        perceptual=0.1,
        perceptual_weights="random",
        perceptual_scales=(0, 2),
        r1=0.01,
        feature_matching=1.0,
        segmentation_hole_weight=1.0,
    ),
    optimizer=OptimizerSettings(**FAST, warmup_steps=2),
    gated_conv=GatedConvSettings(width=8, discriminator_width=4, optimizer=GatedConvOptimizer(**FAST)),
    edge_connect=EdgeConnectSettings(
        width=8,
        num_blocks=2,
        discriminator_width=4,
        style=1.0,
        perceptual_weights="random",
    ),
    spg_net=SPGNetSettings(
        width=4,
        num_blocks=2,
        segmenter_width=4,
        discriminator=DiscriminatorSettings(width=4, num_layers=1, num_scales=2),
        perceptual_weights="random",
        segmentation=1.0,
        reconstruction=1.0,
        optimizer=SPGNetOptimizer(**FAST),
    ),
    lama=LamaSettings(
        width=4, num_blocks=2, discriminator_width=4, perceptual_weights="random", optimizer=LamaOptimizer(**FAST)
    ),
    training=TrainingSettings(steps=STEPS, batch_size=2, precision="float32"),
)


class _CalmAdam(torch.optim.Adam):
    """Adam whose steps are in proportion to small gradients. With the usual epsilon it makes steps of one size from
    gradients of any, and what processors round differently has grown to half a per cent after ten steps."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options | {"eps": 1e-2})


def _losses(name: str) -> list[float]:
    """The sum of all terms of both sides at every step, on one batch again and again, with a VGG of few channels."""
    diary = Diary()
    calm = mock.patch("torch.optim.Adam", _CalmAdam)
    with one_thread(), mock.patch("sgenet.losses.vgg._WIDTHS", (4, 4, 8, 8, 8)), calm:
        fit(TrainingState(build_method(name, RECIPE, NUM_CLASSES), RECIPE), repeat(loaded(0)), [diary])
    return [sum(terms.values()) for terms in diary.terms]


@pytest.mark.slow
@pytest.mark.parametrize("name", REGISTERED)
def test_the_first_losses_are_those_written_down(name: str) -> None:
    found, expected = _losses(name), json.loads(GOLDEN.read_text())[name]
    assert found[:4] == pytest.approx(expected[:4], rel=1e-4)
    # From here on LaMa's losses, the largest, differ between processors as much as this.
    assert found == pytest.approx(expected, rel=5e-2)


if __name__ == "__main__":
    losses = {name: [float(f"{loss:.6g}") for loss in _losses(name)] for name in sorted(REGISTERED)}
    GOLDEN.write_text(json.dumps(losses, indent=1) + "\n")
