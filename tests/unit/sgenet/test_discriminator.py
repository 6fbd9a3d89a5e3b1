"""The multi-scale PatchGAN discriminator of Eq. 8."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from sgenet.layers.discriminator import MultiScaleDiscriminator, PatchDiscriminator
from sgenet.settings import DiscriminatorSettings


def test_the_patches_of_three_scales_by_hand() -> None:
    """64 → 32 → 16 by two strides of 2, then 15 and 14 by two 4×4 kernels; the same from 32 and from 16."""
    discriminator = MultiScaleDiscriminator(3, DiscriminatorSettings(width=2, num_layers=2, num_scales=3))
    output = discriminator(torch.rand(2, 3, 64, 48))
    assert [logits.shape[1:] for logits in output.logits] == [(1, 14, 10), (1, 6, 4), (1, 2, 1)]
    assert [feature.shape[1] for feature in output.features] == [2, 4, 8] * 3


def test_the_widths_double_up_to_eight_times() -> None:
    discriminator = PatchDiscriminator(3, DiscriminatorSettings(width=2, num_layers=5))
    convolutions = [layer for layer in discriminator.layers if isinstance(layer, nn.Conv2d)]
    assert [layer.out_channels for layer in convolutions] == [2, 4, 8, 16, 16, 16]


@pytest.mark.parametrize(("num_layers", "side"), [(2, 34), (3, 70)])
def test_a_patch_is_as_large_as_the_kernels_say(num_layers: int, side: int) -> None:
    """1 ← 4 ← 7 by the kernels of stride 1, then 2 n + 2 for each stride: 16, 34, 70 (Isola et al.)."""
    torch.manual_seed(0)
    discriminator = PatchDiscriminator(
        1, DiscriminatorSettings(width=1, num_layers=num_layers, spectral_norm=False)
    ).double()
    image = torch.rand(1, 1, 128, 128, dtype=torch.float64, requires_grad=True)
    logits = discriminator(image)[0]
    middle = logits.shape[-1] // 2
    logits[0, 0, middle, middle].backward()
    assert image.grad is not None
    touched = image.grad[0, 0].abs().sum(dim=0).nonzero().flatten()
    assert int(touched[-1] - touched[0]) + 1 == side


def test_each_scale_has_a_discriminator_of_its_own_that_judges_the_halved_image() -> None:
    discriminator = MultiScaleDiscriminator(3, DiscriminatorSettings(width=2, num_layers=1, num_scales=3)).eval()
    image = torch.rand(1, 3, 32, 32)
    logits = discriminator(image).logits
    halved = image.unfold(2, 2, 2).unfold(3, 2, 2).mean(dim=(4, 5))
    assert torch.allclose(logits[1], discriminator.discriminators[1](halved)[0], atol=1e-6)
    assert not torch.allclose(logits[1], discriminator.discriminators[0](halved)[0], atol=1e-3)


def _largest_singular_values(discriminator: PatchDiscriminator) -> list[float]:
    convolutions = [layer for layer in (*discriminator.layers, discriminator.verdict) if isinstance(layer, nn.Conv2d)]
    return [float(torch.linalg.matrix_norm(layer.weight.flatten(1), 2)) for layer in convolutions]


def test_spectral_norm_brings_the_largest_singular_value_to_1() -> None:
    torch.manual_seed(0)
    discriminator = PatchDiscriminator(3, DiscriminatorSettings(width=8, num_layers=2))
    with torch.no_grad():
        for name, parameter in discriminator.named_parameters():
            if name.endswith("weight.original"):
                parameter.mul_(20)
        for _ in range(60):
            discriminator(torch.rand(1, 3, 16, 16))
        discriminator.eval()
        values = _largest_singular_values(discriminator)
    assert values == pytest.approx([1.0] * 4, abs=0.02)


def test_without_spectral_norm_the_weights_are_left_as_they_are() -> None:
    discriminator = PatchDiscriminator(3, DiscriminatorSettings(width=8, num_layers=1, spectral_norm=False))
    with torch.no_grad():
        for parameter in discriminator.parameters():
            parameter.mul_(20)
        assert min(_largest_singular_values(discriminator)) > 2


@pytest.mark.parametrize(("num_layers", "num_scales"), list(itertools.product((1, 2, 3), (1, 2, 3))))
def test_the_smallest_image_is_the_smallest(num_layers: int, num_scales: int) -> None:
    settings = DiscriminatorSettings(width=1, num_layers=num_layers, num_scales=num_scales)
    discriminator, side = MultiScaleDiscriminator(1, settings), settings.smallest_image
    output = discriminator(torch.rand(1, 1, side, side))
    assert min(output.logits[-1].shape[2:]) == 1
    with pytest.raises(RuntimeError):
        discriminator(torch.rand(1, 1, side - 1, side - 1))
