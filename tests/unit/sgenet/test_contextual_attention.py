"""Contextual attention against a slow computation straight from the paper's formulas, and what must never happen."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from sgenet.layers.attention import contextual_attention


def _features(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _hole(height: int, width: int) -> Tensor:
    hole_mask = torch.zeros(1, 1, height, width)
    hole_mask[:, :, 3:7, 2:5] = 1
    return hole_mask


def _patch(image: np.ndarray, top: int, left: int, side: int) -> np.ndarray:
    """The square of a (C, H, W) image from (top, left), 0 beyond its edges."""
    patch = np.zeros((image.shape[0], side, side))
    for i, j in itertools.product(range(side), range(side)):
        if 0 <= top + i < image.shape[1] and 0 <= left + j < image.shape[2]:
            patch[:, i, j] = image[:, top + i, left + j]
    return patch


def _directly(features: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """One image (C, H, W) and its hole (H, W), a place, a patch and a pixel at a time."""
    small = features[:, ::2, ::2]
    height, width = small.shape[1:]
    places = list(itertools.product(range(height), range(width)))

    def cosine(y: int, x: int, v: int, u: int) -> float:
        if not all(0 <= row < height for row in (y, v)) or not all(0 <= column < width for column in (x, u)):
            return 0.0
        one, other = _patch(small, y - 1, x - 1, 3), _patch(small, v - 1, u - 1, 3)
        return float((one * other).sum() / np.linalg.norm(one) / np.linalg.norm(other))

    def fused(y: int, x: int, v: int, u: int) -> float:
        shifts = itertools.product((-1, 0, 1), (-1, 0, 1))
        return sum(cosine(y + i, x + j, v + i, u + j) for i, j in shifts)

    def known(v: int, u: int) -> bool:
        top, left = max(0, 2 * (v - 1)), max(0, 2 * (u - 1))
        return not hole[top : 2 * (v + 2), left : 2 * (u + 2)].any()

    total, count = np.zeros_like(features), np.zeros(features.shape[1:])
    sources = [place for place in places if known(*place)]
    for y, x in places:
        scores = np.array([math.exp(10 * fused(y, x, v, u) - 90) for v, u in sources])
        patches = [_patch(features, 2 * v - 1, 2 * u - 1, 4) for v, u in sources]
        mixed = sum(score * patch for score, patch in zip(scores / scores.sum(), patches, strict=True))
        for i, j in itertools.product(range(4), range(4)):
            row, column = 2 * y - 1 + i, 2 * x - 1 + j
            if 0 <= row < features.shape[1] and 0 <= column < features.shape[2]:
                total[:, row, column] += mixed[:, i, j]
                count[row, column] += 1
    return total / count


def test_it_equals_the_direct_computation() -> None:
    features, hole_mask = _features(1, 3, 14, 10), _hole(14, 10)
    expected = _directly(features[0].double().numpy(), hole_mask[0, 0].numpy())
    found = contextual_attention(features, hole_mask)[0].numpy()
    assert np.abs(expected).max() > 0.5
    assert np.allclose(found, expected, atol=1e-4)


def test_images_of_a_batch_have_their_own_holes_and_patches() -> None:
    features = _features(2, 3, 12, 10)
    hole_mask = torch.cat((_hole(12, 10), _hole(12, 10).flip(2)))
    together = contextual_attention(features, hole_mask)
    for index in range(2):
        alone = contextual_attention(features[index : index + 1], hole_mask[index : index + 1])
        assert torch.allclose(together[index : index + 1], alone, atol=1e-5)


def test_nothing_is_copied_from_the_hole() -> None:
    features, hole_mask = _features(1, 2, 16, 16), _hole(16, 16)
    spoilt = torch.where(hole_mask > 0.5, 1e6, features)
    found = contextual_attention(spoilt, hole_mask)
    assert float(found.abs().max()) <= float(features.abs().max())


def test_an_image_without_known_patches_gives_zeros_and_a_finite_gradient() -> None:
    features = _features(1, 2, 8, 8).requires_grad_()
    found = contextual_attention(features, torch.ones(1, 1, 8, 8))
    assert not bool(found.any())
    found.sum().backward()
    assert features.grad is not None
    assert bool(features.grad.isfinite().all())


def test_features_of_zeros_have_a_finite_gradient() -> None:
    features = torch.zeros(1, 2, 8, 8, requires_grad=True)
    contextual_attention(features, torch.zeros(1, 1, 8, 8)).sum().backward()
    assert features.grad is not None
    assert bool(features.grad.isfinite().all())


def test_bfloat16_is_compared_in_float32() -> None:
    features, hole_mask = _features(1, 4, 12, 12), _hole(12, 12)
    exact = contextual_attention(features.bfloat16().float(), hole_mask)
    with torch.autocast("cpu", torch.bfloat16):
        coarse = contextual_attention(features.bfloat16(), hole_mask)
    assert coarse.dtype == torch.bfloat16
    assert torch.allclose(coarse.float(), exact, atol=0.02)


def test_odd_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="divisible by 2, found 8×7"):
        contextual_attention(_features(1, 2, 8, 7), torch.zeros(1, 1, 8, 7))
