"""Eq. 2 to 6: the decoder's step, put together by hand from its parts."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from small import METHODS, NUM_CLASSES, small_network, small_recipe
from torch import Tensor, nn

from sgenet.methods.build import build_generator
from sgenet.methods.sge_net.guidance import BiasNet, InferenceStep

COARSE, FINE = 10, 6


def _step(*, guided: bool, evaluated: bool, num_blocks: int = 0, at: str = "coarse") -> InferenceStep:
    torch.manual_seed(0)
    settings = small_network(bias_width_ratio=0.5, modulation_at=at)
    return InferenceStep(COARSE, FINE, NUM_CLASSES, num_blocks, guided=guided, evaluated=evaluated, settings=settings)


def _inputs() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """φ^l, ϕ^{l-1}, Ŝ^l and M^l of two images."""
    rng = torch.Generator().manual_seed(5)
    coarse, skip = torch.randn(2, COARSE, 4, 6, generator=rng), torch.randn(2, FINE, 8, 12, generator=rng)
    probabilities = torch.randn(2, NUM_CLASSES, 4, 6, generator=rng).softmax(dim=1)
    reliability = (torch.rand(2, 1, 4, 6, generator=rng) > 0.5).float()
    return coarse, skip, probabilities, reliability


def _bigger(x: Tensor) -> Tensor:
    return F.interpolate(x, size=(8, 12), mode="bilinear", align_corners=False)


def _leaky(x: Tensor) -> Tensor:
    return torch.maximum(x, 0.2 * x)


def _normalised(x: Tensor) -> Tensor:
    mean, variance = x.mean(dim=(2, 3), keepdim=True), x.var(dim=(2, 3), unbiased=False, keepdim=True)
    return (x - mean) / (variance + 1e-5).sqrt()


def _convolve(x: Tensor, convolution: nn.Module) -> Tensor:
    assert isinstance(convolution, nn.Conv2d)
    return F.conv2d(x, convolution.weight, convolution.bias, padding=convolution.weight.shape[-1] // 2)


def _joined(step: InferenceStep, coarse: Tensor, skip: Tensor) -> Tensor:
    """f_de-c: what is joined before normalisation. Projecting after upsampling is the same linear map."""
    return torch.cat((_convolve(_bigger(coarse), step.project), skip), dim=1)


def _modulated(step: InferenceStep, joined: Tensor, probabilities: Tensor) -> Tensor:
    """f_de-s of Eq. 3."""
    assert step.modulate is not None
    at_fine = step.modulate.at == "fine"
    hidden = _leaky(_convolve(_bigger(probabilities) if at_fine else probabilities, step.modulate.shared))
    both = _convolve(hidden, step.modulate.gamma_and_beta)
    both = both if at_fine else _bigger(both)
    gamma, beta = both[:, : 2 * FINE], both[:, 2 * FINE :]
    return _leaky((1 + gamma) * _normalised(joined) + beta)


def _base(step: InferenceStep, joined: Tensor, guided: Tensor) -> Tensor:
    """F_ba."""
    return _convolve(joined, step.base_shortcut) + _convolve(guided, step.base_net)


def _bias(net: BiasNet, guided: Tensor, reliability: Tensor) -> Tensor:
    """F_bi(f_de-s ⊗ F(M)), the reliability translated at its own scale."""
    first, _, second = net.translate
    evidence = _bigger(_convolve(_leaky(_convolve(reliability, first)), second))
    return _convolve(_leaky(_convolve(torch.cat((guided, evidence), dim=1), net.correct)), net.expand)


@pytest.mark.parametrize("evaluated", [False, True], ids=["SG-Net", "SGE-Net"])
@pytest.mark.parametrize("at", ["fine", "coarse"])
def test_the_base_net_is_on_modulated_features_and_sge_net_adds_the_bias_net(at: str, evaluated: bool) -> None:
    step = _step(guided=True, evaluated=evaluated, at=at)
    coarse, skip, probabilities, reliability = _inputs()
    joined = _joined(step, coarse, skip)
    guided = _modulated(step, joined, probabilities)
    expected = _base(step, joined, guided)
    if evaluated:
        assert step.bias_net is not None
        expected = expected + _bias(step.bias_net, guided, reliability)
    found = step(coarse, skip, probabilities, reliability if evaluated else None)
    assert torch.allclose(found, expected, atol=1e-5)


def test_base_net_normalises_and_looks_at_no_segmentation() -> None:
    step = _step(guided=False, evaluated=False)
    coarse, skip, probabilities, _ = _inputs()
    joined = _joined(step, coarse, skip)
    expected = _base(step, joined, _leaky(_normalised(joined)))
    assert torch.allclose(step(coarse, skip, probabilities, None), expected, atol=1e-5)
    assert torch.equal(step(coarse, skip, probabilities.flip(1), None), step(coarse, skip, probabilities, None))


def test_residual_blocks_refine_the_sum() -> None:
    plain, refined = (_step(guided=True, evaluated=True, num_blocks=blocks) for blocks in (0, 2))
    refined.load_state_dict(plain.state_dict(), strict=False)
    inputs = _inputs()
    assert torch.allclose(refined(*inputs), refined.refine(plain(*inputs)), atol=1e-6)


@pytest.fixture(scope="module")
def shapes() -> dict[str, dict[str, torch.Size]]:
    """Of each method's parameters, by name."""
    recipe = small_recipe()
    return {
        name: {key: value.shape for key, value in build_generator(name, recipe, NUM_CLASSES).named_parameters()}
        for name in METHODS
    }


def test_the_parts_the_three_networks_share_have_the_same_widths(shapes: dict[str, dict[str, torch.Size]]) -> None:
    base, guided, evaluated = (shapes[name] for name in METHODS)
    assert base.items() <= guided.items() <= evaluated.items()
    assert all(".modulate." in key for key in guided.keys() - base.keys())
    assert all(".bias_net." in key for key in evaluated.keys() - guided.keys())
