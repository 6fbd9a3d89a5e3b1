"""Images larger than a segmenter's window."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from sgenet.segmenters.windows import class_probabilities, window_starts


class ByColour:
    """A segmenter that looks at a pixel alone, and remembers what sizes it was shown."""

    def __init__(self) -> None:
        self.shown: list[tuple[int, int]] = []

    def __call__(self, image: Tensor) -> Tensor:
        self.shown.append((image.shape[2], image.shape[3]))
        return image * 3


def by_place(image: Tensor) -> Tensor:
    """A segmenter that is wrong in the outermost rows and columns of whatever it is shown."""
    logits = torch.zeros(image.shape[0], 2, *image.shape[2:])
    logits[:, 0] = 10.0
    border = torch.ones(image.shape[2:], dtype=torch.bool)
    border[1:-1, 1:-1] = False
    logits[:, :, border] = torch.tensor([0.0, 10.0])[None, :, None]
    return logits


@pytest.mark.parametrize(("height", "width"), [(20, 33), (33, 20), (16, 16), (17, 40), (90, 41)])
def test_windows_change_nothing_for_a_segmenter_that_looks_at_pixels(height: int, width: int) -> None:
    image = torch.rand(2, 3, height, width) * 2 - 1
    segmenter = ByColour()
    found = class_probabilities(segmenter, image, window=16)
    assert torch.allclose(found, (image * 3).softmax(dim=1), atol=1e-6)
    assert max(max(size) for size in segmenter.shown) <= 16


def test_a_small_image_goes_through_once() -> None:
    segmenter = ByColour()
    class_probabilities(segmenter, torch.zeros(1, 3, 12, 16), window=16)
    assert segmenter.shown == [(12, 16)]


def test_inside_the_image_the_middle_of_a_window_outweighs_the_border_of_another() -> None:
    found = class_probabilities(by_place, torch.zeros(1, 3, 40, 40), window=16, overlap=0.5)
    assert bool((found[0, 0, 1:-1, 1:-1] > 0.5).all())
    assert bool((found[0, 0, 0] < 0.5).all())


@pytest.mark.parametrize("length", range(1, 70))
def test_windows_cover_every_pixel_and_overlap(length: int) -> None:
    starts = window_starts(length, 16, 0.25)
    assert starts[0] == 0
    assert starts[-1] == max(0, length - 16)
    assert all(0 < later - earlier <= 12 for earlier, later in itertools.pairwise(starts))
