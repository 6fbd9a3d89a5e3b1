"""Starting from another model's weights: what fits is taken, the rest starts from the seed."""

from __future__ import annotations

from dataclasses import replace

import torch

from sgenet.methods.build import build_generator, build_method
from sgenet.methods.recipe import Recipe
from sgenet.settings import LossSettings, NetworkSettings, TrainingSettings
from sgenet.training.start import start_from
from sgenet.training.state import TrainingState

RECIPE = Recipe(
    network=NetworkSettings(
        widths=(8, 8, 8, 8, 8), context_blocks=1, encoder_blocks=(0, 0, 0, 0, 0), decoder_blocks=(0, 0, 0, 0),
        modulation_width=8, reliability_width=2, image_size=32,
    ),
    losses=LossSettings(perceptual=0, adversarial=0),
)  # fmt: skip


def test_the_same_network_is_taken_whole_in_half_precision_too() -> None:
    weights = {name: value.half() for name, value in build_generator("sge_net", RECIPE, 3).state_dict().items()}
    recipe = replace(RECIPE, training=TrainingSettings(seed=5))
    state = TrainingState(build_method("sge_net", recipe, 3), recipe)
    taken = start_from(state, weights)
    assert taken.anew == ()
    for network in (state.method.generator, state.ema.network):
        for name, value in network.state_dict().items():
            assert torch.equal(value, weights[name].float())


def test_other_classes_and_widths_start_anew_and_are_named() -> None:
    weights = build_generator("sge_net", RECIPE, 3).state_dict()
    wider = replace(RECIPE.network, widths=(8, 8, 8, 8, 16))
    recipe = replace(RECIPE, network=wider, training=TrainingSettings(seed=5))
    state = TrainingState(build_method("sge_net", recipe, 5), recipe)
    before = {name: value.clone() for name, value in state.method.generator.state_dict().items()}
    taken = start_from(state, weights)
    after = state.method.generator.state_dict()
    assert "label_heads.0.weight" in taken.anew
    assert "steps.3.project.weight" in taken.anew
    assert "encoder.stages.0.0.weight" in taken.taken
    assert all(torch.equal(after[name], before[name]) for name in taken.anew)
    assert all(torch.equal(after[name], weights[name]) for name in taken.taken)
    assert {*taken.taken, *taken.anew} == set(after)
