"""What all methods keep to: what they see, how they train and resume, their release and the front door."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from small import (
    NUM_CLASSES,
    Diary,
    all_tensors,
    loaded,
    loader,
    same_tensors,
    small_batch,
    small_method,
    small_recipe,
    small_state,
)
from torch import nn

from sgenet.errors import CheckpointError
from sgenet.inpainter import Inpainter
from sgenet.label_space import LabelSpace
from sgenet.methods.build import build_generator, build_method, count_parameters
from sgenet.methods.recipe import Recipe
from sgenet.methods.registry import METHODS, UNSEGMENTED_METHODS
from sgenet.methods.release import load_released, save_released
from sgenet.training.checkpoint import load_checkpoint, save_checkpoint
from sgenet.training.loop import fit
from sgenet.training.state import TrainingState

STRIDES = dict.fromkeys(METHODS, 16) | {"gated_conv": 8, "edge_connect": 4, "lama": 8}
LABELS = LabelSpace(("one", "two", "three"))

pytestmark = pytest.mark.parametrize("name", METHODS)


def _generator(name: str) -> nn.Module:
    return build_generator(name, small_recipe(), NUM_CLASSES).eval()


def test_weights_follow_from_the_seed_alone_also_those_of_a_generator_alone(name: str) -> None:
    torch.manual_seed(5)
    first = small_method(name)
    torch.manual_seed(6)
    again, alone, other = small_method(name), _generator(name), small_method(name, small_recipe(seed=2))
    for part in ("generator", "discriminator"):
        one, same, different = (all_tensors(list(getattr(m, part).parameters())) for m in (first, again, other))
        assert same_tensors(one, same)
        assert not same_tensors(one, different)
    assert same_tensors(all_tensors(list(first.generator.parameters())), all_tensors(list(alone.parameters())))


@pytest.mark.parametrize("content", [float("inf"), float("nan")])
def test_what_lies_in_the_hole_is_never_seen(name: str, content: float) -> None:
    generator, batch = _generator(name), small_batch()
    spoilt = torch.where(batch.hole_mask > 0.5, content, batch.image)
    with torch.no_grad():
        given, hidden = (generator(image, batch.hole_mask) for image in (batch.image, spoilt))
    assert same_tensors(all_tensors(list(vars(given).values())), all_tensors(list(vars(hidden).values())))


def test_the_known_part_and_the_hole_decide_the_image(name: str) -> None:
    generator, batch = _generator(name), small_batch()
    with torch.no_grad():
        image = generator(batch.image, batch.hole_mask).image
        assert not torch.allclose(generator(batch.image.flip(3), batch.hole_mask).image, image)
        assert not torch.allclose(generator(batch.image, batch.hole_mask.flip(3)).image, image)
    assert image.shape == batch.image.shape
    assert float(image.abs().max()) <= 1


def test_an_image_does_not_depend_on_its_neighbours(name: str) -> None:
    generator, batch = _generator(name), small_batch(images=3)
    with torch.no_grad():
        together = generator(batch.image, batch.hole_mask).image
        alone = generator(batch.image[1:2], batch.hole_mask[1:2]).image
    assert torch.allclose(together[1:2], alone, atol=1e-5)


def test_sizes_need_only_be_divisible_by_the_stride(name: str) -> None:
    generator, stride = _generator(name), STRIDES[name]
    height, width = 5 * stride, 7 * stride
    with torch.no_grad():
        image = generator(torch.zeros(1, 3, height, width), torch.zeros(1, 1, height, width)).image
    assert image.shape[2:] == (height, width)
    with pytest.raises(ValueError, match=f"divisible by {stride}, found {height}×{width + 1}"):
        generator(torch.zeros(1, 3, height, width + 1), torch.zeros(1, 1, height, width + 1))


@pytest.mark.parametrize("filled", [0.0, 1.0])
def test_an_image_without_hole_or_without_anything_known_trains_too(name: str, filled: float) -> None:
    state, batch = small_state(name), small_batch()
    batch = dataclasses.replace(batch, hole_mask=torch.full_like(batch.hole_mask, filled))
    batch = state.method.prepare(batch, state.draw(2), 0.0)
    prediction = state.generator(*batch.inputs)
    terms = state.method.objective.generator_terms(batch, prediction, state.method.discriminator)
    assert all(bool(term.isfinite()) for term in terms.values())


def test_a_step_trains_every_weight_of_both_networks_and_leaves_the_discriminator_trainable(name: str) -> None:
    state, diary = small_state(name), Diary()
    networks = nn.ModuleList((state.method.generator, state.method.discriminator, state.ema.network))
    before = {key: value.clone() for key, value in networks.state_dict().items()}
    fit(state, (loaded(number, side=48) for number in range(2)), [diary], until_step=2)
    # Not the biases: the discriminator's last one has no say in a mean of hinges that are all open.
    weights = [key for key in before if key.endswith(("weight", "original"))]
    assert len(weights) > 40
    assert [key for key in weights if torch.equal(networks.state_dict()[key], before[key])] == []
    assert all(parameter.requires_grad for parameter in state.method.discriminator.parameters())
    assert "reconstruction" in diary.terms[0]


@pytest.mark.parametrize("precision", ["float32", pytest.param("bfloat16", marks=pytest.mark.slow)])
def test_a_resumed_training_equals_an_uninterrupted_one_to_the_bit(tmp_path: Path, name: str, precision: str) -> None:
    def state(seed: int) -> TrainingState:
        # With random draws in every step, where the method takes them.
        return small_state(name, seed, precision=precision, guidance={"given": 0.4, "transplanted": 0.2})

    whole, whole_diary = state(1), Diary()
    fit(whole, (loaded(number, side=48) for number in range(4)), [whole_diary], until_step=4)

    first, diary = state(1), Diary()
    fit(first, (loaded(number, side=48) for number in range(2)), [diary], until_step=2)
    save_checkpoint(first, tmp_path / "state.pt")
    torch.manual_seed(12345)
    # Another seed: whatever the checkpoint forgets would show.
    second = state(77)
    load_checkpoint(second, tmp_path / "state.pt")
    assert second.step == 2
    fit(second, (loaded(number, side=48) for number in (2, 3)), [diary], until_step=4)

    assert diary.steps == whole_diary.steps == [1, 2, 3, 4]
    assert diary.terms == whole_diary.terms
    assert same_tensors(all_tensors(second.state_dict()), all_tensors(whole.state_dict()))


class Published(NamedTuple):
    """Of a compared method: learning rates of generator and discriminator, Adam's β₁ and β₂, millions of parameters."""

    rates: tuple[float, float]
    betas: tuple[float, float]
    millions: tuple[float, float]


PUBLISHED = {
    "gated_conv": Published((1e-4, 1e-4), (0.5, 0.999), (4.05, 5.95)),
    "edge_connect": Published((1e-4, 1e-5), (0.0, 0.9), (21.5, 5.54)),
    # Two stages of 47 million, and a segmenter of our own.
    "spg_net": Published((1e-4, 4e-4), (0.0, 0.9), (96.6, 16.6)),
    "lama": Published((1e-3, 1e-4), (0.9, 0.999), (27.0, 6.96)),
}


@pytest.mark.slow
def test_a_compared_method_has_its_published_size_and_optimizer_and_the_others_the_recipe_s(name: str) -> None:
    ours = {"generator_lr": 9.0, "discriminator_lr": 7.0, "betas": (0.1, 0.2), "decay_from": 1.0}
    recipe = small_recipe(optimizer=ours, steps=4)
    state = TrainingState(small_method(name, recipe), recipe)
    optimizers = (state.generator_optimizer, state.discriminator_optimizer)
    published = PUBLISHED.get(name, Published((9.0, 7.0), (0.1, 0.2), (0, 0)))
    for step in (0, 3):
        state.step = step
        state.set_learning_rates()
        assert tuple(optimizer.param_groups[0]["lr"] for optimizer in optimizers) == published.rates
    assert {optimizer.param_groups[0]["betas"] for optimizer in optimizers} == {published.betas}
    if name in PUBLISHED:
        section = METHODS[name].section(Recipe())
        weights = {term: 0.0 for term in ("perceptual", "style") if hasattr(section, term)}
        recipe = dataclasses.replace(Recipe(), **{name: dataclasses.replace(section, **weights)})
        with torch.device("meta"):
            method = build_method(name, recipe, num_classes=8)
        millions = [count_parameters(network) / 1e6 for network in (method.generator, method.discriminator)]
        assert millions == pytest.approx(published.millions, rel=0.01)


def test_a_vgg_is_made_where_a_term_needs_it_alone(name: str, tmp_path: Path) -> None:
    absent, recipe = str(tmp_path / "absent.pth"), small_recipe()
    section = "losses" if METHODS[name].settings is None else name
    if not hasattr(getattr(recipe, section), "perceptual_weights"):
        return
    without, having = (
        dataclasses.replace(getattr(recipe, section), perceptual=weight, perceptual_weights=absent)
        for weight in (0.0, 1.0)
    )
    small_method(name, dataclasses.replace(recipe, **{section: without}))
    with pytest.raises(CheckpointError, match=rf"^{section}\.perceptual_weights: .*absent"):
        small_method(name, dataclasses.replace(recipe, **{section: having}))


@pytest.mark.slow
def test_training_lowers_the_reconstruction_error_of_a_batch(name: str) -> None:
    faster: dict[str, Any] = {"generator_lr": 5e-3, "decay_from": 1.0}
    recipe = small_recipe(optimizer=faster, losses={"adversarial": 0.0}, steps=25)
    if METHODS[name].settings is not None:
        settings = getattr(recipe, name)
        own = dataclasses.replace(settings, optimizer=dataclasses.replace(settings.optimizer, generator_lr=5e-3))
        recipe = dataclasses.replace(recipe, **{name: own})
    state, diary, repeated = TrainingState(build_method(name, recipe, NUM_CLASSES), recipe), Diary(), loaded(0)
    repeated.image[:, :, :16], repeated.image[:, :, 16:] = 40, 200
    fit(state, iter([repeated] * 25), [diary], until_step=25)
    assert diary.terms[-1]["reconstruction"] < 0.7 * diary.terms[0]["reconstruction"]


def test_a_released_model_draws_what_the_trained_one_drew(tmp_path: Path, name: str) -> None:
    state, batch = small_state(name), small_batch()
    fit(state, loader(), until_step=1)
    save_released(tmp_path, name, state.ema.network, state.recipe, LABELS)
    released = load_released(tmp_path)
    assert (released.method_name, released.recipe, released.label_space) == (name, state.recipe, LABELS)
    assert not released.generator.training
    assert same_tensors(all_tensors(released.generator.state_dict()), all_tensors(dict(state.ema.network.state_dict())))
    with torch.no_grad():
        expected = state.ema.network(batch.image, batch.hole_mask).image
        assert torch.allclose(released.generator(batch.image, batch.hole_mask).image, expected, atol=1e-5)


def test_the_front_door_fills_an_image_of_any_size_and_segments_it_where_the_method_does(name: str) -> None:
    image = np.random.default_rng(0).integers(0, 256, (37, 50, 3), dtype=np.uint8)
    hole = np.zeros((37, 50), bool)
    hole[10:20, 15:30] = True
    result = Inpainter(_generator(name), LABELS)(image, hole, details=True)
    assert np.array_equal(result.image[~hole], image[~hole])
    said = (result.label, result.confidence, result.hole_confidence)
    assert [part is None for part in said] == [name in UNSEGMENTED_METHODS] * 3
    assert result.label is None or result.label.shape == hole.shape
    assert len(result.scales) == (1 if name in PUBLISHED else 5)
    assert len(result.reliability) == (5 if name == "sge_net" else 0)
