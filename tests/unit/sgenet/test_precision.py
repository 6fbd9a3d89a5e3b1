"""What `precision: auto` becomes: what the device computes fast."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small import NUM_CLASSES, small_recipe, small_state

from sgenet import precision
from sgenet.methods.build import build_generator
from sgenet.methods.registry import METHODS as REGISTERED
from sgenet.precision import autocast, device_problem, has_bfloat16, resolve_precision, round_weights
from sgenet.settings import Precision
from sgenet.training.checkpoint import load_checkpoint, save_checkpoint

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx2": True, "avx512_bf16": False, "amx_bf16": False}, "float32"),
        ({"avx2": True, "avx512_bf16": True}, "bfloat16"),
        ({"amx_bf16": True, "avx512_bf16": False}, "bfloat16"),
        ({"neon": True, "bf16": True}, "bfloat16"),
        ({"neon": True, "bf16": False}, "float32"),
    ],
)
def test_auto_is_bfloat16_where_the_processor_has_it(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], expected: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert resolve_precision("auto", CPU) == expected
    assert has_bfloat16(CPU) == (expected == "bfloat16")


@pytest.mark.parametrize("emulated", [False, True])
def test_a_gpu_that_emulates_bfloat16_is_not_taken_for_one_that_has_it(
    monkeypatch: pytest.MonkeyPatch, emulated: bool
) -> None:
    def supported(including_emulation: bool = True) -> bool:
        return including_emulation or not emulated

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert resolve_precision("auto", torch.device("cuda")) == ("float32" if emulated else "bfloat16")


@pytest.mark.parametrize("setting", ["float32", "bfloat16"])
def test_what_is_asked_for_by_name_stays(monkeypatch: pytest.MonkeyPatch, setting: Precision) -> None:
    monkeypatch.setattr(precision, "has_bfloat16", lambda device: setting == "float32")
    assert resolve_precision(setting, CPU) == setting


@pytest.mark.parametrize("name", REGISTERED)
def test_weights_rounded_once_give_what_rounding_in_every_pass_gives(name: str) -> None:
    generators = [build_generator(name, small_recipe(), NUM_CLASSES).eval() for _ in range(2)]
    generators[1].load_state_dict(generators[0].state_dict())
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    hole_mask = torch.zeros(1, 1, 64, 64)
    hole_mask[..., 16:40, 8:48] = 1
    round_weights(generators[1], "bfloat16")
    with torch.inference_mode(), autocast(CPU, "bfloat16"):
        expected, found = (generator(image, hole_mask).image for generator in generators)
    assert torch.equal(found, expected)
    convolutions = [module for module in generators[1].modules() if isinstance(module, torch.nn.Conv2d)]
    rounded = [module for module in convolutions if module.weight.dtype == torch.bfloat16]
    # EdgeConnect's spectral normalisation computes some of its weights.
    assert len(rounded) == len(convolutions) or (name == "edge_connect" and rounded)


def test_in_float32_weights_stay_as_they_are() -> None:
    convolution = torch.nn.Conv2d(3, 4, 3)
    weight = convolution.weight
    round_weights(convolution, "float32")
    assert convolution.weight is weight


def test_a_resumed_training_keeps_the_precision_it_started_with(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for fast_at_first in (False, True):
        monkeypatch.setattr(precision, "has_bfloat16", lambda device, fast=fast_at_first: fast)
        started = small_state(precision="auto")
        save_checkpoint(started, tmp_path / "state.pt")
        monkeypatch.setattr(precision, "has_bfloat16", lambda device, fast=fast_at_first: not fast)
        resumed = small_state(precision="auto")
        assert resumed.precision != started.precision
        load_checkpoint(resumed, tmp_path / "state.pt")
        assert resumed.precision == started.precision == ("bfloat16" if fast_at_first else "float32")


@pytest.mark.parametrize("device", ["gpu", "cpu:x", "xla", "cuda:99", ""])
def test_a_device_that_there_is_not_is_named_with_what_to_give(device: str) -> None:
    assert f"device {device}" in (device_problem(device) or "").replace("'", "")


def test_the_processor_is_always_there() -> None:
    assert device_problem("cpu") is None
    assert device_problem(CPU) is None
