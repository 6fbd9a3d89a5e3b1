"""1 - SSIM of the inpainted image, against scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from sgenet.losses.structural import structural_loss


def _images() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(2, 3, 40, 36, generator=generator) * 2 - 1
    predicted = (target + 0.3 * torch.randn(target.shape, generator=generator)).clamp(-1, 1)
    hole_mask = torch.zeros(2, 1, 40, 36)
    hole_mask[..., 10:30, 8:28] = 1
    return target, predicted, hole_mask


def _grey_levels(image: torch.Tensor) -> np.ndarray:
    return ((image.permute(1, 2, 0).double() + 1) * 127.5).numpy()


def test_it_is_one_minus_the_ssim_of_the_inpainted_image() -> None:
    target, predicted, hole_mask = _images()
    inpainted = torch.where(hole_mask > 0, predicted, target)
    expected = [
        1
        - structural_similarity(
            _grey_levels(one),
            _grey_levels(other),
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=255.0,
            channel_axis=2,
        )
        for one, other in zip(target, inpainted, strict=True)
    ]
    assert float(structural_loss(target, predicted, hole_mask)) == pytest.approx(sum(expected) / 2, abs=1e-5)


def test_a_small_error_around_mid_grey_is_small() -> None:
    target, hole_mask = torch.full((1, 3, 16, 16), 0.05), torch.ones(1, 1, 16, 16)
    assert float(structural_loss(target, -target, hole_mask)) < 0.01


def test_only_the_hole_is_trained() -> None:
    target, predicted, hole_mask = _images()
    predicted.requires_grad_()
    structural_loss(target, predicted, hole_mask).backward()
    assert predicted.grad is not None
    assert bool((predicted.grad * (1 - hole_mask) == 0).all())
    assert bool((predicted.grad * hole_mask != 0).any())
