"""SPADE, Fourier and residual layers against slow or independent computations."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from small import NUM_CLASSES
from torch import Tensor, nn

from sgenet.layers.convolution import ResidualBlock
from sgenet.layers.dft import MatrixSpectralTransform
from sgenet.layers.fourier import FourierBlock, SpectralTransform
from sgenet.layers.normalisation import group_norm, instance_norm
from sgenet.layers.resizing import resize
from sgenet.layers.spade import SpatiallyAdaptiveNorm


def _features(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3), dtype=dtype) * 2 + 5


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("size", [(6, 10), (7, 5)])
def test_normalise_is_instance_normalisation(memory_format: torch.memory_format, size: tuple[int, int]) -> None:
    x = _features(3, 4, *size).contiguous(memory_format=memory_format)
    assert torch.allclose(instance_norm(x), F.instance_norm(x), atol=2e-6)


def test_the_gradient_of_normalise_is_that_of_instance_normalisation() -> None:
    x = _features(2, 3, 5, 4).requires_grad_()
    upstream = torch.randn(2, 3, 5, 4)
    (found,) = torch.autograd.grad((instance_norm(x) * upstream).sum(), x)
    (expected,) = torch.autograd.grad((F.instance_norm(x) * upstream).sum(), x)
    assert torch.allclose(found, expected, atol=1e-6)


def test_a_flat_channel_is_normalised_to_zero() -> None:
    assert torch.equal(instance_norm(torch.full((1, 2, 4, 4), 7.0)), torch.zeros(1, 2, 4, 4))


def test_normalise_in_bfloat16_stays_close_to_float32() -> None:
    x = _features(2, 4, 9, 7)
    assert instance_norm(x.bfloat16()).dtype == torch.bfloat16
    assert torch.allclose(instance_norm(x.bfloat16()).float(), F.instance_norm(x), atol=0.06)


def _constant_modulation(channels: int, gamma: Tensor, beta: Tensor) -> SpatiallyAdaptiveNorm:
    """A layer whose γ - 1 and β are the given numbers of the classes, at every pixel."""
    layer = SpatiallyAdaptiveNorm(channels, NUM_CLASSES, hidden=NUM_CLASSES, at="fine")
    with torch.no_grad():
        for convolution in (layer.shared, layer.gamma_and_beta):
            for parameter in convolution.parameters():
                parameter.zero_()
        layer.shared.weight[:, :, 1, 1] = torch.eye(NUM_CLASSES)
        layer.gamma_and_beta.weight[:, :, 1, 1] = torch.cat((gamma, beta))
    return layer


def test_equation_3_with_weights_set_by_hand() -> None:
    gamma = torch.tensor([[0.5, 0.0, -1.0], [1.0, 2.0, 3.0]])  # channel × class, a change from 1
    beta = torch.tensor([[10.0, 20.0, 30.0], [-1.0, 0.0, 1.0]])
    layer = _constant_modulation(2, gamma, beta)
    features = _features(1, 2, 4, 6)
    classes = torch.randint(NUM_CLASSES, (1, 4, 6), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        modulated = layer(features, F.one_hot(classes, NUM_CLASSES).permute(0, 3, 1, 2).float())
    for channel in range(2):
        values = features[0, channel]
        mean, std = values.mean(), (values.var(unbiased=False) + 1e-5).sqrt()
        for row in range(4):
            for column in range(6):
                k = int(classes[0, row, column])
                expected = (1 + gamma[channel, k]) * (values[row, column] - mean) / std + beta[channel, k]
                assert float(modulated[0, channel, row, column]) == pytest.approx(float(expected), abs=1e-4)


def test_probabilities_of_a_coarser_scale_are_resized_to_the_features_size() -> None:
    layer = _constant_modulation(1, torch.zeros(1, 3), torch.tensor([[0.0, 4.0, 8.0]]))
    halves = torch.zeros(1, NUM_CLASSES, 2, 4)
    halves[:, 1, :, :2] = 1
    halves[:, 2, :, 2:] = 1
    shift = layer(torch.zeros(1, 1, 8, 16), halves)
    assert shift.shape == (1, 1, 8, 16)
    assert bool((shift[..., :4] == 4).all())
    assert bool((shift[..., -4:] == 8).all())


def test_coarse_and_fine_modulation_agree_away_from_the_border_where_probabilities_are_constant() -> None:
    fine = SpatiallyAdaptiveNorm(4, NUM_CLASSES, hidden=5, at="fine")
    coarse = SpatiallyAdaptiveNorm(4, NUM_CLASSES, hidden=5, at="coarse")
    coarse.load_state_dict(fine.state_dict())
    probabilities = torch.tensor([0.2, 0.5, 0.3]).view(1, 3, 1, 1).expand(1, 3, 8, 8)
    features = _features(1, 4, 16, 16)
    inside = (..., slice(6, 10), slice(6, 10))  # what zero padding of two coarse convolutions cannot reach
    at_fine, at_coarse = (layer(features, probabilities)[inside] for layer in (fine, coarse))
    assert torch.allclose(at_fine, at_coarse, atol=1e-5)


def test_upsampling_to_the_same_size_is_nothing_and_keeps_corners_elsewhere() -> None:
    x = torch.arange(4.0).view(1, 1, 2, 2)
    assert resize(x, (2, 2)) is x
    doubled = resize(x, (4, 4))
    assert doubled[0, 0, 0].tolist() == [0.0, 0.25, 0.75, 1.0]


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (4, 6), (5, 7), (3, 8), (24, 33), (64, 48)])
def test_the_spectral_transform_by_matrices_is_the_one_by_fft(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    layer = SpectralTransform(2)
    x = _features(2, 2, *size)
    with torch.no_grad():
        assert torch.allclose(MatrixSpectralTransform(layer)(x), layer(x), atol=2e-5)


def test_a_fourier_block_adds_to_what_came_in() -> None:
    block, x = FourierBlock(4), _features(1, 4, 6, 6)
    _silence(block.fuse)
    assert torch.equal(block(x), x)


@pytest.mark.parametrize("dilation", [1, 2, 8])
def test_a_residual_block_keeps_the_shape_and_starts_from_identity(dilation: int) -> None:
    block, x = ResidualBlock(6, dilation), _features(2, 6, 9, 5)
    assert block(x).shape == x.shape
    assert not torch.equal(block(x), x)
    _silence(block.conv_2)
    assert torch.equal(block(x), x)


def test_dilation_widens_what_a_residual_block_sees() -> None:
    block = ResidualBlock(1, dilation=4)
    block.norm_1 = block.norm_2 = nn.Identity()  # type: ignore[assignment]
    x = torch.rand(1, 1, 21, 21).requires_grad_()
    (gradient,) = torch.autograd.grad(block(x * 1)[0, 0, 10, 10], x)
    rows = gradient[0, 0].abs().sum(dim=1).nonzero().flatten().tolist()
    assert (rows[0], rows[-1]) == (10 - 5, 10 + 5)  # 4 by the dilated convolution, 1 by the plain one


@pytest.mark.parametrize(("channels", "groups"), [(8, 1), (16, 1), (48, 3), (50, 2), (37, 1), (512, 32)])
def test_group_normalisation_divides_any_width(channels: int, groups: int) -> None:
    assert group_norm(channels).num_groups == groups


def _silence(convolution: nn.Conv2d) -> None:
    for parameter in convolution.parameters():
        nn.init.zeros_(parameter)
