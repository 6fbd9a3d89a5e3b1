"""The same method on a CUDA device: agreement with the CPU, precision, compilation, restarts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# cuBLAS reads it when CUDA starts; without it matrix products may differ from run to run.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

import torch
from torch import Tensor

from sgenet.batch import InpaintingBatch, Prediction, Uint8Batch
from sgenet.errors import NonFiniteError
from sgenet.evaluation.evaluator import Evaluator
from sgenet.methods.build import build_generator, build_method
from sgenet.methods.recipe import Recipe
from sgenet.settings import DiscriminatorSettings, LossSettings, NetworkSettings, TrainingSettings
from sgenet.training.checkpoint import load_checkpoint, save_checkpoint
from sgenet.training.determinism import make_deterministic
from sgenet.training.loop import StepMetrics, fit
from sgenet.training.state import TrainingState
from sgenet.training.step import training_step

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

SIDE = 64
NUM_CLASSES = 5
METHODS = ("base_net", "sg_net", "sge_net")


@pytest.fixture(autouse=True)
def _float32_as_it_is() -> Iterator[None]:
    """No TF32 in convolutions, and afterwards the switches as they were."""
    allowed = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = allowed
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.deterministic = False


def _recipe(context: str = "dilated", **training: Any) -> Recipe:
    length: dict[str, Any] = {"steps": 40, "batch_size": 4, "precision": "float32"}
    return Recipe(
        network=NetworkSettings(
            widths=(16, 16, 32, 32, 32),
            context=context,  # type: ignore[arg-type]
            context_blocks=2,
            modulation_width=16,
            image_size=SIDE,
        ),
        discriminator=DiscriminatorSettings(width=16, num_layers=2),
        losses=LossSettings(perceptual=0.05, perceptual_weights="random", feature_matching=1.0),
        training=TrainingSettings(**length | training),
    )


def _loaded(number: int) -> Uint8Batch:
    rng = torch.Generator().manual_seed(number)
    hole_mask = torch.zeros(4, 1, SIDE, SIDE, dtype=torch.uint8)
    hole_mask[:, :, 20:44, 12:40] = 1
    label = torch.randint(NUM_CLASSES, (4, SIDE, SIDE), generator=rng, dtype=torch.uint8)
    label[:, :3] = 255
    return Uint8Batch(torch.randint(256, (4, 3, SIDE, SIDE), generator=rng, dtype=torch.uint8), hole_mask, label)


def _loader(start: int = 0) -> Iterator[Uint8Batch]:
    while True:
        yield _loaded(start)
        start += 1


def _batch(device: str) -> InpaintingBatch:
    image, hole_mask, label = (part.to(device) for part in _loaded(0))
    return InpaintingBatch.from_uint8(image, hole_mask, label)


def _draw(generator: torch.nn.Module, device: str) -> Prediction:
    batch = _batch(device)
    with torch.no_grad():
        prediction: Prediction = generator.to(device).eval()(batch.image, batch.hole_mask)
    return prediction


def _assert_close(one: Prediction, other: Prediction, scales: range, tolerance: float) -> None:
    for scale in scales:
        assert torch.allclose(one.images[scale].cpu(), other.images[scale].cpu(), atol=tolerance)
        assert torch.allclose(one.label_logits[scale].cpu(), other.label_logits[scale].cpu(), atol=10 * tolerance)


@pytest.mark.parametrize("context", ["channel_fc", "dilated", "fourier"])
@pytest.mark.parametrize("name", ["base_net", "sg_net"])
def test_cpu_and_cuda_draw_the_same(name: str, context: str) -> None:
    generator = build_generator(name, _recipe(context), NUM_CLASSES)
    _assert_close(_draw(generator, "cpu"), _draw(generator, "cuda"), range(5), 1e-3)


def test_cpu_and_cuda_doubt_the_same_pixels() -> None:
    """Where a confidence lies on the threshold, rounding decides; until the first threshold nothing may differ."""
    generator = build_generator("sge_net", _recipe(), NUM_CLASSES)
    host, device = _draw(generator, "cpu"), _draw(generator, "cuda")
    _assert_close(host, device, range(3, 5), 1e-3)
    assert torch.equal(host.reliability[4], device.reliability[4].cpu())
    for one, other in zip(host.reliability, device.reliability, strict=True):
        assert float((one != other.cpu()).float().mean()) < 0.02


@pytest.mark.parametrize("name", METHODS)
def test_bfloat16_draws_close_to_float32(name: str) -> None:
    generator = build_generator(name, _recipe(), NUM_CLASSES)
    exact = _draw(generator, "cuda")
    with torch.autocast("cuda", torch.bfloat16):
        coarse = _draw(generator, "cuda")
    for one, other in zip(exact.images, coarse.images, strict=True):
        assert other.dtype == torch.float32
        assert float((one - other).abs().mean()) < 0.02


@pytest.mark.slow
@pytest.mark.parametrize("name", ["base_net", "sg_net"])
def test_a_compiled_generator_draws_the_same(name: str) -> None:
    generator = build_generator(name, _recipe(), NUM_CLASSES)
    eager = _draw(generator, "cuda")
    compiled = torch.compile(generator)
    batch = _batch("cuda")
    with torch.no_grad():
        _assert_close(eager, compiled(batch.image, batch.hole_mask), range(5), 1e-3)


class _Losses:
    """A hook that keeps the loss terms of every step."""

    def __init__(self) -> None:
        self.terms: list[dict[str, float]] = []

    def after_step(self, state: TrainingState, metrics: StepMetrics) -> None:
        self.terms.append(metrics.values())


def _train(state: TrainingState, start: int, until: int) -> list[dict[str, float]]:
    losses = _Losses()
    fit(state, _loader(start), [losses], until_step=until)
    return losses.terms


def _state(recipe: Recipe, name: str = "sge_net") -> TrainingState:
    return TrainingState(build_method(name, recipe, NUM_CLASSES), recipe, "cuda")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_resumed_training_equals_an_uninterrupted_one_to_the_bit(tmp_path: Path, precision: str) -> None:
    make_deterministic(torch.device("cuda"))
    whole = _state(_recipe(precision=precision))
    expected = _train(whole, 0, 6)

    first = _state(_recipe(precision=precision))
    found = _train(first, 0, 3)
    save_checkpoint(first, tmp_path / "state.pt")
    second = _state(_recipe(precision=precision, seed=77))
    load_checkpoint(second, tmp_path / "state.pt")
    found += _train(second, 3, 6)

    assert found == expected
    for network in ("generator", "discriminator"):
        weights = (getattr(state.method, network).state_dict().values() for state in (whole, second))
        assert all(torch.equal(one, other) for one, other in zip(*weights, strict=True))
    assert all(
        torch.equal(one, other)
        for one, other in zip(whole.ema.state_dict().values(), second.ema.state_dict().values(), strict=True)
    )


def test_a_checkpoint_from_cuda_continues_on_the_cpu(tmp_path: Path) -> None:
    state = _state(_recipe())
    _train(state, 0, 1)
    save_checkpoint(state, tmp_path / "state.pt")
    recipe = _recipe(seed=77)
    moved = TrainingState(build_method("sge_net", recipe, NUM_CLASSES), recipe, "cpu")
    load_checkpoint(moved, tmp_path / "state.pt")
    on_cuda, on_cpu = _train(state, 1, 2)[0], _train(moved, 1, 2)[0]
    assert on_cpu == pytest.approx(on_cuda, rel=0.02, abs=1e-3)


@pytest.mark.parametrize("name", METHODS)
def test_losses_stay_finite_and_the_error_falls(name: str) -> None:
    """A step that gave a loss that is not finite would have stopped the training with an error."""
    state = _state(_recipe(precision="bfloat16"), name)
    losses = _train(state, 0, 20)
    assert len(losses) == 20
    assert losses[-1]["reconstruction"] < losses[0]["reconstruction"]


def test_weights_and_features_stay_channels_last() -> None:
    state, layouts = _state(_recipe(precision="bfloat16")), []

    def look(module: torch.nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if inputs[0].shape[1] > 1 and inputs[0].shape[2] > 1:
            layouts.append(inputs[0].is_contiguous(memory_format=torch.channels_last))

    convolutions = [module for module in state.method.generator.modules() if isinstance(module, torch.nn.Conv2d)]
    for convolution in convolutions:
        convolution.register_forward_pre_hook(look)
    _train(state, 0, 2)
    assert len(layouts) > len(convolutions)
    assert sum(layouts) / len(layouts) > 0.9
    wide = [module.weight for module in convolutions if module.weight.shape[1] > 1 and module.weight.shape[2] > 1]
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in wide)


def test_the_host_waits_for_nothing_in_a_step() -> None:
    """CUDA itself says so: any read or copy that waits for the device is an error here."""
    state, batch = _state(_recipe(precision="bfloat16")), _batch("cuda")
    training_step(state, batch)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        training_step(state, batch)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    state.check_finite()


def test_scores_are_those_of_the_cpu() -> None:
    image, hole_mask, label = _loaded(0)
    inpainted = torch.where(hole_mask > 0, _loaded(1).image, image)
    predicted = _loaded(1).label.clamp(max=NUM_CLASSES - 1)
    found = []
    for device in ("cpu", "cuda"):
        evaluator = Evaluator(NUM_CLASSES)
        evaluator.update(*(tensor.to(device) for tensor in (inpainted, image, hole_mask, label, predicted)))
        found.append(evaluator.summary())
    assert found[1] == pytest.approx(found[0], rel=1e-9)


def test_a_step_that_is_not_finite_is_left_out_on_the_device() -> None:
    state, batch = _state(_recipe()), _batch("cuda")
    training_step(state, batch)
    before = [weight.clone() for weight in state.method.generator.parameters()]
    next(iter(state.method.generator.parameters())).register_hook(lambda gradient: gradient * float("nan"))
    training_step(state, batch)
    assert all(map(torch.equal, before, state.method.generator.parameters()))
    with pytest.raises(NonFiniteError, match="before step 2"):
        state.check_finite()


@pytest.mark.slow
def test_a_compiled_training_starts_with_the_losses_of_an_eager_one() -> None:
    eager, compiled = (_train(_state(_recipe(compile=choice), "sg_net"), 0, 2) for choice in (False, True))
    for one, other in zip(eager, compiled, strict=True):
        assert other == pytest.approx(one, rel=0.02, abs=1e-3)
