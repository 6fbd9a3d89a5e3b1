"""Models that break what must hold, one way each, are caught, and it is said where."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pipelines.registry.gate.decision import Check
from pipelines.registry.gate.invariants import check_filling, check_latency, check_weights
from pipelines.settings.params import PromotionSettings
from sgenet.batch import Prediction
from sgenet.inpainter import Inpainted, Inpainter
from sgenet.label_space import OUTDOOR_SCENES

CROP = 32


class Painter(nn.Module):
    """Paints grey; a change may be made to its image."""

    def __init__(self, change: Callable[[Tensor], Tensor] = lambda image: image) -> None:
        super().__init__()
        self.change = change

    def forward(self, image: Tensor, hole_mask: Tensor) -> Prediction:
        return Prediction((self.change(torch.zeros_like(image)),))


class Spoiler(Inpainter):
    """Changes one known pixel of images larger than the crop."""

    def __call__(self, *arguments: object, **options: object) -> Inpainted:
        result = super().__call__(*arguments, **options)  # type: ignore[arg-type]
        if result.image.shape[0] > CROP:
            result.image[0, 0] = 255 - result.image[0, 0]
        return result


def failed(inpainter: Inpainter) -> list[Check]:
    return [check for check in check_filling(inpainter, CROP) if not check.holds]


def painter(change: Callable[[Tensor], Tensor] = lambda image: image, kind: type[Inpainter] = Inpainter) -> Inpainter:
    return kind(Painter(change), OUTDOOR_SCENES)


def test_a_sound_model_passes_at_odd_tiny_and_large_sizes() -> None:
    checks = check_filling(painter(), CROP)
    assert [check.name for check in checks] == ["every size", "known pixels", "finite output", "deterministic"]
    assert all(check.holds for check in checks)
    assert "1×1, 7×5, 32×32, 29×33, 69×63" in checks[0].detail


def test_a_changed_known_pixel_is_counted() -> None:
    (check,) = failed(painter(kind=Spoiler))
    assert check.name == "known pixels"
    assert check.detail.startswith("69×63, centre: 1 of ")


def test_what_is_not_finite_is_seen_before_it_becomes_an_image() -> None:
    (check,) = failed(painter(lambda image: image * float("inf")))
    assert check.name == "finite output"
    assert "1×1, centre: the network's images holds NaN or infinity" in check.detail


def test_two_fills_that_differ_are_noticed() -> None:
    (check,) = failed(painter(torch.rand_like))
    assert check.name == "deterministic"
    assert "7×5, centre: two fills of the same image differ" in check.detail


def test_a_size_the_model_cannot_take_is_named() -> None:
    def fixed(image: Tensor) -> Tensor:
        if image.shape[-1] > CROP:
            raise ValueError("the mask has 32 columns")
        return image

    checks = failed(painter(fixed))
    assert [check.name for check in checks] == ["every size"]
    assert checks[0].detail == "29×33: the mask has 32 columns; 69×63: the mask has 32 columns"


@pytest.mark.slow
def test_a_challenger_much_slower_than_the_champion_fails() -> None:
    def slow(image: Tensor) -> Tensor:
        time.sleep(0.3)
        return image

    rules = PromotionSettings(latency_factor=1.5, latency_slack=0.05)
    check = check_latency(painter(slow), painter(), CROP, rules)
    assert not check.holds
    assert "for 32×32, the champion takes" in check.detail
    assert check_latency(painter(), painter(slow), CROP, rules).holds
    assert check_latency(painter(slow), None, CROP, rules).holds


@pytest.mark.parametrize(("content", "holds"), [(b"weights", True), (b"other weights", False)])
def test_weights_must_be_the_registered_ones(tmp_path: Path, content: bytes, holds: bool) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    assert check_weights(tmp_path, hashlib.sha256(b"weights").hexdigest()).holds is holds
