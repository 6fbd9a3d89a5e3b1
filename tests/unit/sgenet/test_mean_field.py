"""Each layer of the Deep Parsing Network's random field, against a slow computation of the equations."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from sgenet.segmenters.mean_field import LabelContexts, MeanFieldStep, block_minimum, local_context

CLASSES, CONTEXTS = 3, 4


def field(height: int = 7, width: int = 9, images: int = 2) -> tuple[Tensor, Tensor]:
    """Unary probabilities (B, C, H, W) and images (B, 3, H, W) in 0–1."""
    rng = torch.Generator().manual_seed(3)
    logits = torch.randn(images, CLASSES, height, width, generator=rng, dtype=torch.float64)
    image = torch.rand(images, 3, height, width, generator=rng, dtype=torch.float64)
    return logits.softmax(dim=1), image


def slow_local_context(q: Tensor, image: Tensor, window: int, colour: float, place: float) -> Tensor:
    """q_j^v · mean_z d(j, z) q_z^v, pixel by pixel."""
    half = window // 2
    height, width = q.shape[-2:]
    result = torch.zeros_like(q)
    for number in range(q.shape[0]):
        for y in range(height):
            for x in range(width):
                total, count = torch.zeros(q.shape[1], dtype=q.dtype), 0
                for near_y in range(max(0, y - half), min(height, y + half + 1)):
                    for near_x in range(max(0, x - half), min(width, x + half + 1)):
                        colours = (image[number, :, y, x] - image[number, :, near_y, near_x]).square().sum()
                        places = ((y - near_y) ** 2 + (x - near_x) ** 2) / half**2
                        total += (colour * colours + place * places) * q[number, :, near_y, near_x]
                        count += 1
                result[number, :, y, x] = q[number, :, y, x] * total / count
    return result


def slow_contexts(context: Tensor, penalty: Tensor, num_contexts: int) -> Tensor:
    """min_k Σ_v Σ_j μ_k(i, u, j, v) context_j^v, pixel by pixel; ``penalty`` is (C·K, C, n, n)."""
    half = penalty.shape[-1] // 2
    images, classes, height, width = context.shape
    result = torch.zeros_like(context)
    for number in range(images):
        for u in range(classes):
            for y in range(height):
                for x in range(width):
                    costs = []
                    for k in range(num_contexts):
                        cost = 0.0
                        for near_y in range(max(0, y - half), min(height, y + half + 1)):
                            for near_x in range(max(0, x - half), min(width, x + half + 1)):
                                for v in range(classes):
                                    mu = penalty[u * num_contexts + k, v, near_y - y + half, near_x - x + half]
                                    cost += float(mu * context[number, v, near_y, near_x])
                        costs.append(cost)
                    result[number, u, y, x] = min(costs)
    return result


@pytest.mark.parametrize("window", [3, 5, 13], ids=lambda window: f"window {window}")
def test_the_local_convolution_is_the_triple_penalty(window: int) -> None:
    q, image = field()
    found = local_context(q, image, window, torch.tensor(0.7), torch.tensor(0.3))
    assert torch.allclose(found, slow_local_context(q, image, window, 0.7, 0.3), atol=1e-12)


def test_the_local_convolution_keeps_its_digits_in_float32() -> None:
    """Expanding squares cancels digits; a window of the published size on a bright image must not notice."""
    q, image = field(64, 48, images=1)
    bright = 0.98 + 0.02 * image
    exact = local_context(q, bright, 51, torch.tensor(1.0), torch.tensor(1.0))
    found = local_context(q.float(), bright.float(), 51, torch.tensor(1.0), torch.tensor(1.0))
    assert torch.allclose(found.double(), exact, rtol=1e-4, atol=1e-6)


def test_contexts_and_block_minimum_are_the_cheapest_component() -> None:
    q, _ = field(5, 6, images=1)
    contexts = LabelContexts(CLASSES, CONTEXTS, window=3).double()
    found = block_minimum(contexts(q), CONTEXTS)
    expected = slow_contexts(q, contexts.penalty.weight.detach(), CONTEXTS)
    assert torch.allclose(found, expected, atol=1e-12)


def test_the_sum_is_one_mean_field_step() -> None:
    step = MeanFieldStep(CLASSES, local_window=5, context_window=3, num_contexts=CONTEXTS)
    with torch.no_grad():
        step.contexts.penalty.weight.mul_(100)  # of the order of the unary terms
        step.colour.fill_(0.5)
    q, image = field(5, 6, images=1)
    unary = q.log() + 7.0  # the same distribution
    context = slow_local_context(q, image, 5, 0.5, 1.0)
    penalty = slow_contexts(context, step.contexts.penalty.weight.detach().double(), CONTEXTS)
    expected = q * (-penalty).exp()
    expected = expected / expected.sum(dim=1, keepdim=True)
    found = step(unary.float(), image.float()).softmax(dim=1)
    assert torch.allclose(found.double(), expected, atol=1e-5)
    assert not torch.allclose(found.double(), q, atol=1e-2)


def test_a_weight_below_zero_counts_as_zero() -> None:
    step = MeanFieldStep(CLASSES, local_window=5, context_window=3, num_contexts=CONTEXTS)
    q, image = field()
    with torch.no_grad():
        step.colour.fill_(-3.0)
        step.place.fill_(0.0)
    log_probability = q.float().log()
    assert torch.allclose(step(log_probability, image.float()), log_probability, atol=1e-5)


def test_every_weight_of_the_step_learns() -> None:
    step = MeanFieldStep(CLASSES, local_window=5, context_window=3, num_contexts=CONTEXTS)
    q, image = field()
    unary = q.float().log().requires_grad_()
    step(unary, image.float()).softmax(dim=1)[:, 0].sum().backward()
    assert unary.grad is not None
    assert float(unary.grad.abs().max()) > 0
    for name, weight in step.named_parameters():
        assert weight.grad is not None, name
        assert math.isfinite(float(weight.grad.sum())), name
        assert float(weight.grad.abs().max()) > 0, name


def test_autocast_does_not_cost_the_step_its_digits() -> None:
    step = MeanFieldStep(CLASSES, local_window=5, context_window=3, num_contexts=CONTEXTS)
    q, image = field()
    unary = q.float().log()
    plain = step(unary, image.float())
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(step(unary, image.float()), plain)
