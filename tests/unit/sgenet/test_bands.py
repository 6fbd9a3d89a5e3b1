"""What is computed a band of rows at a time is what is computed at once."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sgenet.layers.bands import bands, in_bands, replace_in_bands
from sgenet.layers.convolution import ResidualBlock, convolve_activated
from sgenet.layers.normalisation import group_norm, group_norm_of, instance_norm_of
from sgenet.layers.resizing import upsample

WIDTH = 64
ROWS = 2**13 // WIDTH


def _features(channels: int, height: int, batch: int = 1) -> Tensor:
    x = torch.randn(batch, channels, height, WIDTH, generator=torch.Generator().manual_seed(1))
    # Means far from 0 and different in every channel and picture.
    return x * 2 + 10 * torch.arange(1.0, batch * channels + 1).view(batch, channels, 1, 1)


@pytest.mark.parametrize("height", [ROWS + 1, 2 * ROWS, 3 * ROWS - 5])
@pytest.mark.parametrize("halo", [0, 1, 3, 8])
def test_bands_cover_every_row_once_and_read_beside_it(height: int, halo: int) -> None:
    with torch.no_grad():
        cut = bands(_features(1, height), halo)
    assert [row for band in cut for row in range(band.first, band.last)] == list(range(height))
    assert [(band.top, band.bottom) for band in cut] == [
        (max(band.first - halo, 0), min(band.last + halo, height)) for band in cut
    ]
    assert len(cut) > 1


def test_what_is_small_or_needs_a_gradient_is_one_band() -> None:
    x = _features(1, 3 * ROWS)
    assert [band.whole for band in bands(x)] == [True]
    with torch.no_grad():
        assert [band.whole for band in bands(x[:, :, :ROWS])] == [True]


def test_the_bands_of_a_picture_do_not_depend_on_its_neighbours() -> None:
    with torch.no_grad():
        assert bands(_features(1, 4 * ROWS, batch=2)) == bands(_features(1, 4 * ROWS))


@pytest.mark.parametrize("halo", [0, 1, 2, 3])
def test_upsampled_rows_are_those_of_the_upsampled_whole(halo: int) -> None:
    x = _features(3, 150)
    size = (300, 2 * WIDTH)
    whole = upsample(x, size)
    with torch.no_grad():
        for band in bands(whole, halo):
            assert torch.equal(band.upsampled(x, size), whole[:, :, band.top : band.bottom])


def test_a_convolution_in_bands_is_the_convolution() -> None:
    convolution, x = nn.Conv2d(3, 5, 5, padding=2), _features(3, 300)
    with torch.no_grad():
        found = in_bands(lambda band: convolution(band.read(x)), x, halo=2)
        assert torch.allclose(found, convolution(x), atol=1e-4)
        assert not torch.allclose(in_bands(lambda band: convolution(band.read(x)), x, halo=1), convolution(x))


def test_features_replaced_in_their_own_memory_are_read_before() -> None:
    convolution, x = nn.Conv2d(3, 3, 3, padding=1), _features(3, 300)
    with torch.no_grad():
        expected, given = convolution(x.relu()), x.clone()
        found = replace_in_bands(given, torch.relu, lambda rows, _: convolution(rows), halo=1)
    assert found is given
    assert torch.allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("channels", [4, 32, 48])
def test_rows_are_normalised_by_the_groups_of_the_whole(channels: int) -> None:
    norm, x = group_norm(channels), _features(channels, 300, batch=2)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    with torch.no_grad():
        of_rows = group_norm_of(norm, x)
        assert of_rows is not norm
        assert torch.allclose(of_rows(x[:, :, 40:90]), norm(x)[:, :, 40:90], atol=2e-4)


def test_rows_are_normalised_by_the_channels_of_the_whole() -> None:
    x = _features(6, 300, batch=2)
    with torch.no_grad():
        of_rows = instance_norm_of(lambda band: band.read(x), x)
        assert torch.allclose(of_rows(x[:, :, 40:90]), F.instance_norm(x)[:, :, 40:90], atol=1e-4)


@pytest.mark.parametrize("dilation", [1, 8])
def test_a_residual_block_in_bands_is_the_block_and_leaves_what_it_was_given(dilation: int) -> None:
    torch.manual_seed(0)
    block, x = ResidualBlock(16, dilation), _features(16, 300, batch=2)
    before, expected = x.clone(), block(x).detach()
    with torch.no_grad():
        assert torch.allclose(block(x), expected, atol=1e-3)
    assert torch.equal(x, before)


def test_in_bfloat16_rows_are_normalised_as_exactly_as_the_whole() -> None:
    norm, x = group_norm(32), _features(32, 300).bfloat16()
    # A group's mean is far above its deviation here, where a rounded scale or shift would show.
    x = x * 0.1 + 20
    exact = F.group_norm(x.double(), norm.num_groups)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        in_rows, whole = group_norm_of(norm, x)(x), norm(x)
    assert in_rows.dtype == torch.bfloat16
    assert (in_rows - exact).abs().mean() <= 1.1 * (whole - exact).abs().mean()


def test_a_residual_block_in_bands_in_bfloat16_is_as_close_to_float32_as_the_block() -> None:
    torch.manual_seed(0)
    block, x = ResidualBlock(32), _features(32, 300) * 0.01
    exact = block(x).detach()
    with torch.autocast("cpu", torch.bfloat16):
        whole = block(x.bfloat16()).detach()
        with torch.no_grad():
            in_rows = block(x.bfloat16())
    assert (in_rows - exact).abs().mean() <= 1.1 * (whole - exact).abs().mean()


def test_heads_in_bands_are_the_heads() -> None:
    heads, x = [nn.Conv2d(4, channels, 3, padding=1) for channels in (3, 7)], _features(4, 300)
    expected = [head(F.leaky_relu(x, 0.2)).detach() for head in heads]
    with torch.no_grad():
        found = convolve_activated(heads, x)
    assert all(torch.allclose(*pair, atol=1e-4) for pair in zip(found, expected, strict=True))
