"""The training: its schedule, its average, its refusals, and who learns from what."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch
from small import (
    Diary,
    Poisoned,
    all_tensors,
    loaded,
    loader,
    same_tensors,
    small_batch,
    small_method,
    small_recipe,
    small_state,
    weights,
)
from torch import nn

from sgenet.errors import NonFiniteError
from sgenet.settings import OptimizerSettings
from sgenet.training.ema import ExponentialMovingAverage
from sgenet.training.loop import fit
from sgenet.training.schedule import lr_factor
from sgenet.training.state import TrainingState
from sgenet.training.step import training_step

NAN = math.nan


@pytest.mark.parametrize(
    ("step", "expected"), [(0, 0.25), (1, 0.5), (3, 1.0), (4, 1.0), (9, 1.0), (10, 1.0), (15, 0.5), (19, 0.1), (20, 0)]
)
def test_the_rate_rises_stays_and_falls(step: int, expected: float) -> None:
    settings = OptimizerSettings(warmup_steps=4, decay_from=0.5)
    assert lr_factor(step, step, 20, settings) == pytest.approx(expected)


def test_the_rate_never_falls_where_decay_is_off() -> None:
    settings = OptimizerSettings(warmup_steps=0, decay_from=1.0)
    assert {lr_factor(step, step, 7, settings) for step in range(10)} == {1.0}


def test_each_step_uses_the_rate_of_the_schedule() -> None:
    state, used = small_state(steps=8), []
    for number in range(3):
        training_step(state, small_batch(number))
        used.append(
            [
                optimizer.param_groups[0]["lr"]
                for optimizer in (state.generator_optimizer, state.discriminator_optimizer)
            ]
        )
    assert used == [[1e-4, 1e-4], [2e-4, 2e-4], [2e-4, 2e-4]]


def test_the_moving_average_by_hand() -> None:
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, 1.0)
    average = ExponentialMovingAverage(network, decay=0.3)
    expected = 1.0
    for step, value, decay in ((1, 3.0, 2 / 11), (2, -1.0, 3 / 12), (3, 5.0, 0.3), (4, 2.0, 0.3)):
        nn.init.constant_(network.weight, value)
        average.update(network, step)
        expected = decay * expected + (1 - decay) * value
        assert average.network.weight.item() == pytest.approx(expected, rel=1e-6)
    assert not average.network.weight.requires_grad


def test_the_moving_average_copies_buffers_as_they_are() -> None:
    network = nn.BatchNorm1d(2)
    average = ExponentialMovingAverage(network, decay=0.9)
    network(torch.randn(8, 2))
    average.update(network, 1)
    assert torch.equal(average.network.running_mean, network.running_mean)
    assert not average.network.training


def test_the_discriminator_learns_from_its_own_side_alone() -> None:
    """After a step its gradients are those of its own terms: the generator's backward added nothing."""
    recipe = small_recipe(losses={"adversarial": 100.0}, optimizer={"clip_norm": 0.0})
    state, reference = (TrainingState(small_method(recipe=recipe), recipe) for _ in range(2))
    batch = small_batch()
    training_step(state, batch)
    prediction = reference.method.generator(batch.image, batch.hole_mask)
    reference.method.objective.discriminator_terms(batch, prediction, reference.method.discriminator)[
        "discriminator"
    ].backward()
    pairs = zip(state.method.discriminator.parameters(), reference.method.discriminator.parameters(), strict=True)
    assert all(torch.equal(one.grad, other.grad) for one, other in pairs)  # type: ignore[arg-type]


def test_without_adversarial_term_the_discriminator_is_left_alone() -> None:
    recipe = small_recipe(losses={"adversarial": 0.0})
    state = TrainingState(small_method(recipe=recipe), recipe)
    before = all_tensors(state.method.discriminator.state_dict())
    assert training_step(state, small_batch()).keys() == {"reconstruction", "segmentation"}
    assert same_tensors(before, all_tensors(state.method.discriminator.state_dict()))


def test_gradients_are_clipped_to_the_norm_asked_for() -> None:
    recipe = small_recipe(losses={"reconstruction": 1000.0}, optimizer={"clip_norm": 0.5})
    state = TrainingState(small_method(recipe=recipe), recipe)
    training_step(state, small_batch())
    gradients = [parameter.grad for parameter in state.method.generator.parameters() if parameter.grad is not None]
    assert float(torch.stack([gradient.square().sum() for gradient in gradients]).sum().sqrt()) == pytest.approx(0.5)


def _poisoned_state(term: str, factor: float, offset: float) -> TrainingState:
    recipe = small_recipe()
    method = small_method(recipe=recipe)
    poisoned = Poisoned(method.objective, term, factor, offset)
    return TrainingState(dataclasses.replace(method, objective=poisoned), recipe)


@pytest.mark.parametrize(
    ("term", "factor", "offset"),
    [
        ("reconstruction", NAN, 0),
        ("segmentation", math.inf, 0),
        ("adversarial", NAN, 0),
        ("discriminator", NAN, 0),
        # Without a gradient: a difference to an image with NaN, or a hinge beyond the largest number.
        ("reconstruction", 1, NAN),
    ],
)
def test_a_non_finite_loss_stops_before_the_step_it_would_spoil_and_is_named(
    term: str, factor: float, offset: float
) -> None:
    state = _poisoned_state(term, factor, offset)
    networks = [state.method.generator, state.ema.network]
    networks += [state.method.discriminator] if term == "discriminator" else []
    before = [weights(network) for network in networks]
    with pytest.raises(NonFiniteError, match=f"before step 1: the terms {term} became NaN or infinite"):
        training_step(state, small_batch())
    assert all(same_tensors(old, weights(network)) for old, network in zip(before, networks, strict=True))
    assert state.step == 0


def test_a_non_finite_gradient_of_finite_losses_stops_as_well() -> None:
    state = small_state()
    before = weights(state.method.generator)
    next(iter(state.method.generator.parameters())).register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(NonFiniteError, match="the gradient of reconstruction, segmentation, adversarial"):
        training_step(state, small_batch())
    assert same_tensors(before, weights(state.method.generator))


def test_bfloat16_trains_close_to_float32_and_keeps_its_weights_in_float32() -> None:
    diaries = []
    for precision in ("float32", "bfloat16"):
        state, diary = small_state(precision=precision), Diary()
        fit(state, loader(), [diary], until_step=2)
        diaries.append(diary)
        assert {parameter.dtype for parameter in state.method.generator.parameters()} == {torch.float32}
    for exact, coarse in zip(diaries[0].terms, diaries[1].terms, strict=True):
        assert coarse == pytest.approx(exact, rel=0.03, abs=0.003)
        assert coarse != exact


def test_fit_goes_on_from_the_step_it_is_at() -> None:
    state, diary = small_state(), Diary()
    for until_step in (2, 3, 3):
        fit(state, loader(state.step), [diary], until_step=until_step)
    assert state.step == len(diary.terms) == 3


def test_no_batch_is_taken_that_is_not_trained_on() -> None:
    taken = []

    def batches() -> Any:
        for number in range(10):
            taken.append(number)
            yield loaded(number)

    fit(small_state(), batches(), until_step=3)
    assert taken == [0, 1, 2]


def test_the_logged_terms_are_what_was_minimised() -> None:
    state, diary = small_state(), Diary()
    fit(state, loader(), [diary], until_step=1)
    reference, batch = small_method(recipe=state.recipe), small_batch(0)
    prediction = reference.generator(batch.image, batch.hole_mask)
    expected = reference.objective.discriminator_terms(batch, prediction, reference.discriminator)
    assert diary.terms[0]["discriminator"] == pytest.approx(float(expected["discriminator"].detach()), rel=1e-5)
    assert diary.terms[0].keys() == {"reconstruction", "segmentation", "adversarial", "discriminator"}
