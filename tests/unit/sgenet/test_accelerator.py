"""What would make a GPU slow, seen without one: tensors without numbers, counted operations, a host that may not look.

A tensor of the device ``meta`` has no value to look at: a step that reads one raises.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
import torch.distributed as dist
from small import (
    NUM_CLASSES,
    SIDE,
    Diary,
    Poisoned,
    loader,
    same_tensors,
    small_batch,
    small_method,
    small_recipe,
    weights,
)
from torch.utils._python_dispatch import TorchDispatchMode

from sgenet.batch import InpaintingBatch
from sgenet.errors import NonFiniteError
from sgenet.training.checkpoint import load_checkpoint, save_checkpoint
from sgenet.training.determinism import choose_kernels, is_deterministic
from sgenet.training.loop import StepMetrics, fit
from sgenet.training.state import TrainingState, adam
from sgenet.training.step import training_step

CUDA = torch.device("cuda")


class _Counted(TorchDispatchMode):
    """Counts the operations by name."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: Counter[str] = Counter()

    def __torch_dispatch__(
        self, function: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        self.operations[function.overloadpacket.__name__] += 1
        return function(*args, **(kwargs or {}))


@contextmanager
def _switches_kept() -> Iterator[None]:
    before = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic
    filled = torch.utils.deterministic.fill_uninitialized_memory
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = before
        torch.use_deterministic_algorithms(False)
        torch.utils.deterministic.fill_uninitialized_memory = filled


def test_speed_is_the_default_on_cuda_and_determinism_on_the_cpu() -> None:
    assert is_deterministic(None, torch.device("cpu"))
    assert not is_deterministic(None, CUDA)
    assert is_deterministic(True, CUDA)
    with _switches_kept():
        choose_kernels(CUDA, deterministic=False)
        assert (torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic) == (True, False)
        assert not torch.are_deterministic_algorithms_enabled()
        choose_kernels(CUDA, deterministic=True)
        assert (torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic) == (False, True)
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.utils.deterministic.fill_uninitialized_memory


def _meta_state(**losses: Any) -> TrainingState:
    recipe = small_recipe(
        network={"start": "membrane"},
        losses={"r1": 0.1, "feature_matching": 1.0, "hole_weight": 1.0, "psnr": 0.1, "structural": 0.1} | losses,
        log_every=0,
        checkpoint_every=0,
        validate_every=0,
        steps=1000,
    )
    return TrainingState(small_method(recipe=recipe), recipe, "meta")


def _no_autocast() -> Any:
    """For the device ``meta``, which has none."""
    return mock.patch.object(torch, "autocast", side_effect=lambda *_, **__: nullcontext())


def _meta_batch() -> InpaintingBatch:
    uint8 = {"dtype": torch.uint8, "device": "meta"}
    return InpaintingBatch.from_uint8(
        torch.empty(2, 3, SIDE, SIDE, **uint8),
        torch.empty(2, 1, SIDE, SIDE, **uint8),
        torch.empty(2, SIDE, SIDE, **uint8),
    )


def test_the_host_reads_nothing_of_a_step() -> None:
    state = _meta_state()
    with _no_autocast():
        training_step(state, _meta_batch())
    assert state.step == 1
    with pytest.raises(RuntimeError, match=r"[Mm]eta"):
        state.check_finite()


@pytest.mark.slow
def test_a_step_has_one_exchange_beside_the_gradients() -> None:
    exchanged = []
    state = _meta_state()
    with (
        _no_autocast(),
        mock.patch.object(dist, "is_initialized", return_value=True),
        mock.patch.object(dist, "get_world_size", return_value=8),
        mock.patch.object(dist, "get_rank", return_value=0),
        mock.patch.object(dist, "all_reduce", lambda tensor, *_: exchanged.append(tensor.shape)),
    ):
        training_step(state, _meta_batch())
    assert exchanged == [torch.Size([1])]


def _ahead(harmless_steps: int | None = None) -> TrainingState:
    """A training on the CPU that runs ahead of its losses as one on a GPU does, and whose reconstruction is NaN after
    some steps."""
    recipe = small_recipe(steps=20, log_every=4, checkpoint_every=0, validate_every=0)
    method = small_method(recipe=recipe)
    if harmless_steps is not None:
        method = dataclasses.replace(method, objective=Poisoned(method.objective, harmless=harmless_steps))
    state = TrainingState(method, recipe)
    state.looks_at_every_step = False
    settings = method.optimizer
    state.generator_optimizer = adam(method.generator, settings.generator_lr, settings.betas, fused=True)
    state.discriminator_optimizer = adam(method.discriminator, settings.discriminator_lr, settings.betas, fused=True)
    return state


def test_a_step_with_a_gradient_that_is_not_finite_changes_no_weight_and_stops_at_the_next_look() -> None:
    state, after = _ahead(harmless_steps=1), []

    class Hook:
        def after_step(self, state: TrainingState, metrics: StepMetrics) -> None:
            after.append(weights(state.method.generator))

    with pytest.raises(NonFiniteError, match=r"before step 2 \(noticed after step 4.*the terms reconstruction became"):
        fit(state, loader(), [Hook()])
    assert len(after) == 3, "no hook may see, log or store the step at which it is noticed"
    assert same_tensors(after[0], after[1])
    assert same_tensors(after[0], after[2])
    assert not any(bool(weight.isnan().any()) for weight in weights(state.method.generator))


def test_finite_steps_train_as_those_that_are_looked_at(tmp_path: Path) -> None:
    """And a checkpoint of the one resumes as the other, on whichever device it was saved."""
    ahead, looking, recipe = _ahead(), Diary(), small_recipe(steps=20)
    found = Diary()
    fit(ahead, loader(), [found], until_step=3)
    reference = TrainingState(small_method(recipe=recipe), recipe)
    fit(reference, loader(), [looking], until_step=3)
    for one, other in zip(found.terms, looking.terms, strict=True):
        assert one == pytest.approx(other, rel=1e-4)
    save_checkpoint(reference, tmp_path / "state.pt")
    resumed = _ahead()
    load_checkpoint(resumed, tmp_path / "state.pt")
    assert resumed.generator_optimizer.param_groups[0]["fused"]
    training_step(resumed, small_batch(3))
    save_checkpoint(resumed, tmp_path / "state.pt")
    load_checkpoint(reference, tmp_path / "state.pt")
    assert not reference.generator_optimizer.param_groups[0]["fused"]
    training_step(reference, small_batch(4))


@pytest.mark.slow
def test_the_generator_compiles_into_one_graph() -> None:
    torch._dynamo.reset()
    method = small_method("sge_net", small_recipe(network={"start": "membrane"}))
    compiled = torch.compile(method.generator, backend="eager", fullgraph=True)
    batch = small_batch()
    found, expected = (network(batch.image, batch.hole_mask) for network in (compiled, method.generator))
    assert torch.allclose(found.image, expected.image, atol=1e-6)
    assert found.label_logits[0].shape[1] == NUM_CLASSES
    assert found.image.requires_grad
