"""Images of any size through a segmenter that sees windows of a fixed size."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sgenet.checks import check_shape
from sgenet.segmenters.segmenter import Segmenter


def class_probabilities(segmenter: Segmenter, image: Tensor, window: int, overlap: float = 0.25) -> Tensor:
    """Probabilities of each pixel's classes.

    An image no larger than the window goes through whole. Larger ones are covered by windows that overlap; where they
    do, their probabilities are averaged, those near a window's border with less weight, for they saw less around them.
    One window is computed at a time, so memory grows with the image for the result alone.

    Args:
        image: (B, 3, H, W) float in [-1, 1].
        window: side of the windows in pixels.
        overlap: at least this share of a window lies in the next one, in [0, 1).

    Returns:
        (B, C, H, W) float32, sums of 1 over the classes.
    """
    sizes = check_shape(image, "B 3 H W", "image")
    height, width = sizes["H"], sizes["W"]
    if max(height, width) <= window:
        return segmenter(image).float().softmax(dim=1)
    total: Tensor | None = None
    weights = image.new_zeros(1, 1, height, width, dtype=torch.float32)
    for top in window_starts(height, window, overlap):
        for left in window_starts(width, window, overlap):
            place = (..., slice(top, top + window), slice(left, left + window))
            seen = image[place]
            probability = segmenter(seen.contiguous()).float().softmax(dim=1)
            weight = _tent(seen.shape[-2], seen)[:, None] * _tent(seen.shape[-1], seen)
            if total is None:
                total = probability.new_zeros(sizes["B"], probability.shape[1], height, width)
            total[place] += probability * weight
            weights[place] += weight
    assert total is not None, "an image has at least one window"
    return F.normalize(total / weights, p=1.0, dim=1)


def window_starts(length: int, window: int, overlap: float) -> list[int]:
    """Where the windows along one axis begin: evenly spread, the last one ends with the image."""
    if length <= window:
        return [0]
    stride = max(1, int(window * (1 - overlap)))
    count = -(-(length - window) // stride) + 1
    return [number * (length - window) // (count - 1) for number in range(count)]


def _tent(length: int, like: Tensor) -> Tensor:
    """(length,) weights that fall from the middle to both ends and stay above 0."""
    rising = torch.arange(1, length + 1, dtype=torch.float32, device=like.device)
    return torch.minimum(rising, rising.flip(0))
