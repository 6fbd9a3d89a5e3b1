"""What the compared methods share with the paper's own: loop, checkpoint, release, front door."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small import NUM_CLASSES, loaded, loader, small_batch, small_recipe
from torch import Tensor, nn

from sgenet.inpainter import Inpainter
from sgenet.label_space import LabelSpace
from sgenet.methods.build import build_generator, build_method, count_macs
from sgenet.methods.edge_connect.settings import EdgeConnectSettings
from sgenet.methods.gated_conv.settings import GatedConvSettings
from sgenet.methods.lama.settings import LamaSettings
from sgenet.methods.recipe import Recipe
from sgenet.methods.release import load_released, save_released
from sgenet.training.checkpoint import load_checkpoint, save_checkpoint
from sgenet.training.loop import StepMetrics, fit
from sgenet.training.state import TrainingState

STRIDES = {"gated_conv": 8, "edge_connect": 4, "spg_net": 16, "lama": 8}
METHODS = tuple(STRIDES)
LABELS = LabelSpace(("one", "two", "three"))


def _recipe(**training: Any) -> Recipe:
    return dataclasses.replace(
        small_recipe(optimizer={"generator_lr": 9.0, "discriminator_lr": 9.0}, **training),
        gated_conv=GatedConvSettings(width=4, discriminator_width=4),
        edge_connect=EdgeConnectSettings(width=4, num_blocks=1, discriminator_width=4, perceptual=0.0, style=0.0),
        lama=LamaSettings(width=4, num_blocks=1, discriminator_width=4, perceptual=0.0),
    )


def _generator(name: str) -> nn.Module:
    return build_generator(name, _recipe(), NUM_CLASSES).eval()


def _state(name: str, **training: Any) -> TrainingState:
    recipe = _recipe(**training)
    return TrainingState(build_method(name, recipe, NUM_CLASSES), recipe)


def _tensors(state: TrainingState) -> dict[str, Tensor]:
    networks = {
        "generator": state.method.generator,
        "discriminator": state.method.discriminator,
        "ema": state.ema.network,
    }
    return {f"{part}.{key}": v for part, network in networks.items() for key, v in network.state_dict().items()}


def _copy(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in tensors.items()}


def _equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[key]) for key, value in one.items())


class _Diary(list[dict[str, float]]):
    def after_step(self, state: TrainingState, metrics: StepMetrics) -> None:
        self.append(metrics.values())


@pytest.mark.parametrize("name", METHODS)
def test_what_lies_in_the_hole_is_never_seen(name: str) -> None:
    generator, batch = _generator(name), small_batch()
    spoilt = torch.where(batch.hole_mask > 0.5, float("nan"), batch.image)
    with torch.no_grad():
        given, hidden = (generator(image, batch.hole_mask) for image in (batch.image, spoilt))
    assert torch.equal(given.image, hidden.image)
    assert all(torch.equal(value, hidden.auxiliary[key]) for key, value in given.auxiliary.items())


@pytest.mark.parametrize("name", METHODS)
def test_the_known_part_and_the_hole_decide_the_image(name: str) -> None:
    generator, batch = _generator(name), small_batch()
    with torch.no_grad():
        image = generator(batch.image, batch.hole_mask).image
        assert not torch.allclose(generator(batch.image.flip(3), batch.hole_mask).image, image)
        assert not torch.allclose(generator(batch.image, batch.hole_mask.flip(3)).image, image)
    assert image.shape == batch.image.shape
    assert float(image.abs().max()) <= 1


@pytest.mark.parametrize("name", METHODS)
def test_an_image_does_not_depend_on_its_neighbours(name: str) -> None:
    generator, batch = _generator(name), small_batch(images=3)
    with torch.no_grad():
        together = generator(batch.image, batch.hole_mask).image
        alone = generator(batch.image[1:2], batch.hole_mask[1:2]).image
    assert torch.allclose(together[1:2], alone, atol=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_sizes_need_only_be_divisible_by_the_stride(name: str) -> None:
    generator, stride = _generator(name), STRIDES[name]
    height, width = 5 * stride, 7 * stride
    with torch.no_grad():
        assert generator(torch.zeros(1, 3, height, width), torch.zeros(1, 1, height, width)).image.shape[2:] == (
            height,
            width,
        )
    with pytest.raises(ValueError, match=f"divisible by {stride}, found {height}×{width + 1}"):
        generator(torch.zeros(1, 3, height, width + 1), torch.zeros(1, 1, height, width + 1))


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("filled", [0.0, 1.0])
def test_an_image_without_hole_or_without_anything_known_trains_too(name: str, filled: float) -> None:
    state, batch = _state(name), small_batch()
    hole_mask = torch.full_like(batch.hole_mask, filled)
    batch = dataclasses.replace(batch, hole_mask=hole_mask)
    prediction = state.generator(*state.method.training_inputs(batch))
    terms = state.method.objective.generator_terms(batch, prediction, state.method.discriminator)
    assert all(bool(term.isfinite()) for term in terms.values())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", METHODS)
def test_a_training_changes_both_networks_and_repeats_itself_to_the_bit(name: str, precision: str) -> None:
    runs = []
    for _ in range(2):
        state, diary = _state(name, precision=precision), _Diary()
        before = _copy(_tensors(state))
        fit(state, (loaded(number, side=48) for number in range(2)), [diary], until_step=2)
        after = _tensors(state)
        # Not the biases: the discriminator's last one has no say in a mean of hinges that are all open.
        weights = [key for key in after if key.endswith(("weight", "original"))]
        assert len(weights) > 40
        assert [key for key in weights if torch.equal(after[key], before[key])] == []
        runs.append((_copy(after), list(diary)))
    assert _equal(runs[0][0], runs[1][0])
    assert runs[0][1] == runs[1][1]
    assert "reconstruction" in runs[0][1][0]


@pytest.mark.parametrize("name", METHODS)
def test_a_resumed_training_equals_an_uninterrupted_one_to_the_bit(tmp_path: Path, name: str) -> None:
    whole, expected = _state(name), _Diary()
    fit(whole, loader(), [expected], until_step=3)

    first, diary = _state(name), _Diary()
    fit(first, loader(), [diary], until_step=1)
    save_checkpoint(first, tmp_path / "state.pt")
    second = _state(name, seed=77)
    load_checkpoint(second, tmp_path / "state.pt")
    fit(second, loader(start=1), [diary], until_step=3)
    assert list(diary) == list(expected)
    assert _equal(_tensors(second), _tensors(whole))


@pytest.mark.parametrize(
    ("name", "rates", "betas"),
    [
        ("gated_conv", (1e-4, 1e-4), (0.5, 0.999)),
        ("edge_connect", (1e-4, 1e-5), (0.0, 0.9)),
        ("spg_net", (1e-4, 4e-4), (0.0, 0.9)),
        ("lama", (1e-3, 1e-4), (0.9, 0.999)),
    ],
)
def test_each_method_has_its_published_optimizer_and_not_the_recipe_s(
    name: str, rates: tuple[float, float], betas: tuple[float, float]
) -> None:
    state = _state(name, steps=4)
    for step in (0, 3):
        state.step = step
        state.set_learning_rates()
        optimizers = (state.generator_optimizer, state.discriminator_optimizer)
        assert tuple(optimizer.param_groups[0]["lr"] for optimizer in optimizers) == rates
    assert {optimizer.param_groups[0]["betas"] for optimizer in optimizers} == {betas}


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_training_lowers_the_reconstruction_error_of_a_batch(name: str) -> None:
    recipe = _recipe(steps=25)
    settings = getattr(recipe, name)
    faster = dataclasses.replace(settings, optimizer=dataclasses.replace(settings.optimizer, generator_lr=5e-3))
    recipe = dataclasses.replace(recipe, **{name: faster})
    state, diary, repeated = TrainingState(build_method(name, recipe, NUM_CLASSES), recipe), _Diary(), loaded(0)
    repeated.image[:, :, :16], repeated.image[:, :, 16:] = 40, 200
    fit(state, iter([repeated] * 25), [diary], until_step=25)
    assert diary[-1]["reconstruction"] < 0.7 * diary[0]["reconstruction"]


@pytest.mark.parametrize("name", METHODS)
def test_a_released_model_draws_what_the_trained_one_drew(tmp_path: Path, name: str) -> None:
    state, batch = _state(name), small_batch()
    fit(state, loader(), until_step=1)
    save_released(tmp_path, name, state.ema.network, state.recipe, LABELS)
    released = load_released(tmp_path)
    assert released.recipe == state.recipe
    with torch.no_grad():
        expected = state.ema.network(batch.image, batch.hole_mask).image
        assert torch.allclose(released.generator(batch.image, batch.hole_mask).image, expected, atol=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_the_front_door_fills_an_image_of_any_size_and_segments_it_where_the_method_does(name: str) -> None:
    image = np.random.default_rng(0).integers(0, 256, (37, 50, 3), dtype=np.uint8)
    hole = np.zeros((37, 50), bool)
    hole[10:20, 15:30] = True
    result = Inpainter(_generator(name), LABELS)(image, hole, details=True)
    assert np.array_equal(result.image[~hole], image[~hole])
    if name == "spg_net":
        assert result.label is not None
        assert result.label.shape == hole.shape
        assert len(result.scales) == 1
    else:
        assert result.label is None
    assert result.reliability == ()


@pytest.mark.parametrize("name", METHODS)
def test_cost_grows_with_the_image(name: str) -> None:
    assert count_macs(_generator(name), 64) > 3.9 * count_macs(_generator(name), 32) > 0
