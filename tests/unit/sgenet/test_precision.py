"""What `precision: auto` becomes: what the device computes fast."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small import small_state

from sgenet import precision
from sgenet.precision import autocast, has_bfloat16, resolve_precision
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


@pytest.mark.parametrize(("name", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_convolutions_have_the_precision(name: Precision, dtype: torch.dtype) -> None:
    convolution = torch.nn.Conv2d(3, 4, 3)
    with autocast(CPU, name):
        assert convolution(torch.ones(1, 3, 5, 5)).dtype == dtype
    assert convolution.weight.dtype == torch.float32


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
