"""The membrane over a hole against Laplace's equation solved directly, and what a network makes of it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from small import NUM_CLASSES, small_batch, small_recipe
from torch import Tensor

from sgenet.batch import composite
from sgenet.layers.membrane import membrane
from sgenet.methods.build import build_generator

SIZE = (48, 64)


def _scene() -> tuple[Tensor, Tensor]:
    """A smooth image with some noise in [-1, 1], and a hole of several parts, one of them at the border."""
    rows, columns = torch.meshgrid(torch.linspace(0, 1, SIZE[0]), torch.linspace(0, 1, SIZE[1]), indexing="ij")
    smooth = torch.stack((rows - columns, (3 * rows).sin() * columns, (4 * columns).cos() / 2))
    noise = torch.rand(3, *SIZE, generator=torch.Generator().manual_seed(5))
    hole = torch.zeros(1, *SIZE)
    hole[:, 10:34, 20:44] = 1
    hole[:, 40:, 30:60] = 1
    hole[:, 5:9, 2:18] = 1
    return (smooth * 0.8 + (noise - 0.5) * 0.2)[None], hole[None]


def _solved_directly(image: npt.NDArray[np.float64], hole: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Every unknown pixel the mean of its neighbours (itself, past the border), as one linear system."""
    height, width = hole.shape
    number = np.full(hole.shape, -1)
    number[hole] = np.arange(hole.sum())
    matrix, right = np.zeros((hole.sum(), hole.sum())), np.zeros(hole.sum())
    for row, column in np.argwhere(hole):
        own = number[row, column]
        matrix[own, own] += 4
        for down, across in ((-1, 0), (1, 0), (0, -1), (0, 1)):
            place = min(max(row + down, 0), height - 1), min(max(column + across, 0), width - 1)
            if hole[place]:
                matrix[own, number[place]] -= 1
            else:
                right[own] += image[place]
    solved = image.copy()
    solved[hole] = np.linalg.solve(matrix, right)
    return solved


def test_it_is_close_to_the_solution_of_laplace_s_equation() -> None:
    image, hole = _scene()
    surface = membrane(image, hole)[0].double().numpy()
    for channel in range(3):
        exact = _solved_directly(image[0, channel].double().numpy(), hole[0, 0].numpy() > 0)
        error = np.abs(surface[channel] - exact)
        # Of a range of 2: two levels of 255 in the mean, a dozen at worst.
        assert error[hole[0, 0].numpy() > 0].mean() < 0.02
        assert error.max() < 0.1


def test_known_pixels_stay_and_nothing_leaves_their_range() -> None:
    image, hole = _scene()
    surface = membrane(image, hole)
    assert torch.equal(composite(image, surface, hole), image)
    known = image.masked_select(hole < 0.5)
    assert known.min() <= surface.min()
    assert surface.max() <= known.max()


@pytest.mark.parametrize("content", [0.9, float("inf"), float("nan")])
def test_what_lies_in_the_hole_is_not_seen(content: float) -> None:
    image, hole = _scene()
    assert torch.equal(membrane(torch.where(hole > 0.5, content, image), hole), membrane(image, hole))


def test_where_nothing_is_known_it_is_0_and_without_a_hole_it_is_the_image() -> None:
    image, hole = _scene()
    assert torch.equal(membrane(image, torch.ones_like(hole)), torch.zeros_like(image))
    assert torch.equal(membrane(image, torch.zeros_like(hole)), image)


def test_images_of_a_batch_do_not_touch_and_no_gradient_passes() -> None:
    image, hole = _scene()
    other = torch.zeros_like(hole)
    other[..., 3:30, 7:50] = 1
    both = membrane(torch.cat((image, -image)).requires_grad_(), torch.cat((hole, other)))
    assert not both.requires_grad
    assert torch.allclose(both[:1], membrane(image, hole), atol=1e-6)
    assert torch.allclose(both[1:], membrane(-image, other), atol=1e-6)


@pytest.mark.parametrize("name", ["base_net", "sg_net", "sge_net"])
def test_an_untrained_network_that_starts_from_it_fills_with_it(name: str) -> None:
    generator = build_generator(name, small_recipe(network={"start": "membrane"}), NUM_CLASSES).eval()
    batch = small_batch()
    with torch.no_grad():
        prediction = generator(batch.image, batch.hole_mask)
        greys = build_generator(name, small_recipe(), NUM_CLASSES).eval()(batch.image, batch.hole_mask)
    surface = membrane(batch.image, batch.hole_mask)
    assert torch.equal(prediction.image, surface)
    cells = surface.view(2, 3, 2, 16, 2, 16).mean(dim=(3, 5))
    assert torch.allclose(prediction.images[4], cells, atol=1e-6)
    assert (prediction.label_logits[0] - greys.label_logits[0]).abs().max() > 1e-3
