"""Whether an exported file computes what the model computes: images of random sizes through both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from sgenet.export import InpaintingGraph

Arrays = Sequence[npt.NDArray[Any]]
Run = Callable[[Arrays], Arrays]
"""An exported file: inputs in order → outputs in order."""

_SMALLEST, _LARGEST = 17, 96
"""Sides of the images. Smaller ones have a single pixel at 1/16, whose instance normalisation (EdgeConnect's)
divides rounding errors by almost nothing: there even two PyTorch builds disagree."""

_LEVELS_OFF, _FAR_OFF, _LABELS_OFF, _CONFIDENCES_OFF = 1e-3, 1e-4, 1e-3, 1e-3
"""Shares of values that may differ: by one level of 255 (sums in another order round the other way), by more (a
confidence that ties with τ decides the other way), labels (ties), and confidences by more than 0.001."""


@dataclass(frozen=True)
class Agreement:
    """What was compared, over all images.

    Attributes:
        sizes: (images, height, width) of each comparison.
        off: share of filled values that differ by one level of 255 or more.
        far_off: share of filled values that differ by more than one level.
        labels_off: share of pixels with another label; 0 without a segmentation.
        confidences_off: share of pixels whose confidence differs by more than 0.001; 0 without a segmentation.
    """

    sizes: tuple[tuple[int, int, int], ...]
    off: float
    far_off: float
    labels_off: float = 0.0
    confidences_off: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether the differences are those of rounding."""
        return (
            self.off <= _LEVELS_OFF
            and self.far_off <= _FAR_OFF
            and self.labels_off <= _LABELS_OFF
            and self.confidences_off <= _CONFIDENCES_OFF
        )

    def __str__(self) -> str:
        sizes = ", ".join(f"{number}×{height}×{width}" for number, height, width in self.sizes)
        return (
            f"{self.off:.3%} of the filled values differ by a level of 255, {self.far_off:.3%} by more; "
            f"{self.labels_off:.3%} of the labels (images × height × width: {sizes})"
        )


def compare(graph: InpaintingGraph, run: Run, seed: int = 0, rounds: int = 4) -> Agreement:
    """Send the same random images through the model and through what was made of it.

    Args:
        seed: the images, holes and sizes follow from it.
        rounds: how many batches; the last has sides that are multiples of 16.

    Raises:
        RuntimeError: a known pixel came back changed, or outputs differ in number, shape or type.
    """
    rng = np.random.default_rng(seed)
    sizes: list[tuple[int, int, int]] = []
    differences: list[list[npt.NDArray[Any]]] = []
    for number in range(rounds):
        batch, height, width = (int(x) for x in rng.integers([1, _SMALLEST, _SMALLEST], [4, _LARGEST, _LARGEST]))
        if number == rounds - 1:
            height, width = 16 * (2 + height // 32), 16 * (2 + width // 32)
        sizes.append((batch, height, width))
        inputs = _draw(rng, sizes[-1])[: len(graph.input_names)]
        with torch.inference_mode():
            expected = [output.numpy() for output in graph(*(torch.from_numpy(values) for values in inputs))]
        differences.append(_differences(expected, run(inputs), inputs))
    joined = [np.concatenate(parts) for parts in zip(*differences, strict=True)]
    shares = [float((joined[0] > 0).mean()), float((joined[0] > 1).mean())]
    if len(joined) > 1:
        shares += [float(joined[1].mean()), float((joined[2] > 1e-3).mean())]
    return Agreement(tuple(sizes), *shares)


def _draw(rng: np.random.Generator, size: tuple[int, int, int]) -> list[npt.NDArray[Any]]:
    """Noise, a rectangular hole an image, and edges."""
    _, height, width = size
    image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    hole_mask = np.zeros(size, np.uint8)
    for mask in hole_mask:
        top, left = rng.integers(0, height // 2), rng.integers(0, width // 2)
        mask[top : top + height // 2, left : left + width // 2] = 255
    edges = ((rng.random(size) < 0.1) & (hole_mask == 0)).astype(np.uint8)
    return [image, hole_mask, edges]


def _differences(expected: Arrays, found: Arrays, inputs: Arrays) -> list[npt.NDArray[Any]]:
    """The differences of filled values, of labels and of confidences, each as one row."""
    described = [[(array.shape, array.dtype) for array in arrays] for arrays in (expected, found)]
    if described[0] != described[1]:
        raise RuntimeError(f"the exported model answers with {described[1]} where the model answers {described[0]}")
    hole = inputs[1] >= 128
    if not np.array_equal(found[0][~hole], inputs[0][~hole]):
        raise RuntimeError("the exported model changes known pixels")
    levels = np.abs(expected[0].astype(np.int16) - found[0])[hole].ravel()
    if len(expected) == 1:
        return [levels]
    return [levels, (expected[1] != found[1]).ravel(), np.abs(expected[2] - found[2]).ravel()]
