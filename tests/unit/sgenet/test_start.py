"""Starting from another model's weights: what fits is taken, the rest starts from the seed."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from small import small_recipe

from sgenet.methods.build import build_generator, build_method
from sgenet.settings import TrainingSettings
from sgenet.training.start import class_axes, start_from
from sgenet.training.state import TrainingState

RECIPE = small_recipe(losses={"adversarial": 0.0})

CLASSES = ("sky", "tree", "water")


def test_the_same_network_is_taken_whole_in_half_precision_too() -> None:
    weights = {name: value.half() for name, value in build_generator("sge_net", RECIPE, 3).state_dict().items()}
    recipe = replace(RECIPE, training=TrainingSettings(seed=5))
    state = TrainingState(build_method("sge_net", recipe, 3), recipe)
    taken = start_from(state, weights, class_axes("sge_net", recipe, 3), CLASSES, CLASSES)
    assert taken.initialised == taken.new_classes == ()
    for network in (state.method.generator, state.ema.network):
        for name, value in network.state_dict().items():
            assert torch.equal(value, weights[name].float())


def test_other_classes_and_widths_start_anew_and_are_named() -> None:
    weights = build_generator("sge_net", RECIPE, 3).state_dict()
    wider = replace(RECIPE.network, widths=(8, 8, 8, 8, 16))
    recipe = replace(RECIPE, network=wider, training=TrainingSettings(seed=5))
    state = TrainingState(build_method("sge_net", recipe, 5), recipe)
    before = {name: value.clone() for name, value in state.method.generator.state_dict().items()}
    taken = start_from(state, weights, class_axes("sge_net", recipe, 5), list("abcde"), CLASSES)
    after = state.method.generator.state_dict()
    assert "label_heads.0.weight" in taken.initialised
    assert "steps.3.project.weight" in taken.initialised
    assert "encoder.stages.0.0.weight" in taken.copied
    assert all(torch.equal(after[name], before[name]) for name in taken.initialised)
    assert all(torch.equal(after[name], weights[name]) for name in taken.copied)
    assert {*taken.copied, *taken.initialised} == set(after)


@pytest.mark.parametrize("method", ["sge_net", "spg_net"])
def test_a_class_is_taken_for_the_class_of_its_name_wherever_it_stands(method: str) -> None:
    """As many classes in another order would fit by shape, and all be mixed up."""
    recipe = replace(RECIPE, training=TrainingSettings(seed=5))
    weights = build_generator(method, RECIPE, 3).state_dict()
    state = TrainingState(build_method(method, recipe, 4), recipe)
    before = {name: value.clone() for name, value in state.method.generator.state_dict().items()}
    axes = class_axes(method, recipe, 4)
    taken = start_from(state, weights, axes, ("road", "Water", "sky", "grass"), CLASSES)
    assert (taken.classes, taken.new_classes) == (("Water", "sky"), ("road", "grass"))
    assert taken.initialised == ()
    assert axes
    for name, value in state.ema.network.state_dict().items():
        if name not in axes:
            assert torch.equal(value, weights[name])
            continue
        axis, first = axes[name]
        for old, new in ((2, 1), (0, 2)):
            assert torch.equal(value.select(axis, first + new), weights[name].select(axis, first + old))
        for drawn in (0, 3):
            assert torch.equal(value.select(axis, first + drawn), before[name].select(axis, first + drawn))
        assert torch.equal(value.narrow(axis, 0, first), weights[name].narrow(axis, 0, first))


def test_where_no_class_is_shared_the_rest_is_taken() -> None:
    weights = build_generator("sge_net", RECIPE, 3).state_dict()
    state = TrainingState(build_method("sge_net", RECIPE, 3), RECIPE)
    axes = class_axes("sge_net", RECIPE, 3)
    taken = start_from(state, weights, axes, ("class_0", "class_1", "class_2"), CLASSES)
    assert set(taken.initialised) == set(axes)
    assert (taken.classes, len(taken.new_classes)) == ((), 3)
