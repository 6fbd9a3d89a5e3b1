"""Holes: the centre square, rectangles, brush strokes, LaMa's kinds and mask files, and a drawer that mixes them.

Every generator takes its random numbers from the generator it is given and returns a mask
(H, W) uint8 of 0 and 1, **1 = missing**. Lengths are given for a shorter side of 256 px and
scale with the image, so that a hole looks the same at every size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw

from sgenet.errors import SettingsError
from sgenet.mask_files import Mask, MaskFolder
from sgenet.settings import HoleSettings

_REFERENCE_SIDE = 256
_MOST_DRAWS = 20


def centre_hole(height: int, width: int, size: int) -> Mask:
    """A square hole of ``size`` pixels in the middle (Sec. 4: 128 of 256 for Outdoor Scenes, 96 for Cityscapes).

    Raises:
        ValueError: where the square does not fit.
    """
    if not 0 < size <= min(height, width):
        raise ValueError(f"a centre hole of {size} px does not fit an image of {height}×{width}")
    hole_mask = np.zeros((height, width), np.uint8)
    top, left = (height - size) // 2, (width - size) // 2
    hole_mask[top : top + size, left : left + size] = 1
    return hole_mask


def rectangles(rng: np.random.Generator, height: int, width: int) -> Mask:
    """2 to 6 rectangles, each side ⅛ to ⅜ of the image's, like the paper's qualitative figures (counts *ours*)."""
    hole_mask = np.zeros((height, width), np.uint8)
    for _ in range(rng.integers(2, 7)):
        box_height = max(1, round(height * rng.uniform(1 / 8, 3 / 8)))
        box_width = max(1, round(width * rng.uniform(1 / 8, 3 / 8)))
        _cut_box(hole_mask, rng, box_height, box_width)
    return hole_mask


def brush_strokes(rng: np.random.Generator, height: int, width: int) -> Mask:
    """Free-form brush strokes of DeepFill v2 (Yu et al. 2019, Algorithm 1).

    1 to 3 strokes of 4 to 11 vertices; the turn is 2π/5 give or take 2π/15 and changes sign at
    every vertex; step lengths are normal around an eighth of the diagonal with half that deviation,
    clipped to twice the mean; 12 to 40 px wide with round joints; mirrored at random.
    """
    canvas = Image.new("L", (width, height))
    mean_step = math.hypot(height, width) / 8
    for _ in range(rng.integers(1, 4)):
        num_vertices = int(rng.integers(4, 12))
        lowest = 2 * math.pi / 5 - rng.uniform(0, 2 * math.pi / 15)
        highest = 2 * math.pi / 5 + rng.uniform(0, 2 * math.pi / 15)
        angles = rng.uniform(lowest, highest, num_vertices)
        angles[::2] *= -1
        steps = np.clip(rng.normal(mean_step, mean_step / 2, num_vertices), 0, 2 * mean_step)
        _draw_stroke(canvas, rng, angles, steps, rng.uniform(12, 40) * _scale(height, width))
    return _flip(np.asarray(canvas), rng)


@dataclass(frozen=True)
class _LamaKind:
    """Largest extra width and step of a stroke, number of strokes, sides of the boxes, number of boxes."""

    width: int
    step: int
    strokes: tuple[int, int]
    box_sides: tuple[int, int] = (0, 0)
    boxes: tuple[int, int] = (0, 0)
    box_probability: float = 0.0


_LAMA_KINDS = {
    "thin": _LamaKind(10, 40, (4, 50)),
    "medium": _LamaKind(50, 100, (4, 5), (10, 50), (1, 5), 0.3),
    "thick": _LamaKind(100, 200, (1, 5), (30, 150), (1, 4), 0.3),
}


def lama_hole(rng: np.random.Generator, height: int, width: int, kind: Literal["thin", "medium", "thick"]) -> Mask:
    """After LaMa's holes (Suvorov et al. 2022): polygonal strokes, or boxes in 3 of 10 draws of medium and thick.

    Widths, steps and sides are LaMa's; that shares and numbers are even, directions uniform and a stroke of one width
    is *ours*.
    """
    shape = _LAMA_KINDS[kind]
    scale = _scale(height, width)
    if rng.random() < shape.box_probability:
        hole_mask = np.zeros((height, width), np.uint8)
        for _ in range(rng.integers(*shape.boxes, endpoint=True)):
            sides = np.maximum(1, np.round(rng.uniform(*shape.box_sides, 2) * scale)).astype(int)
            _cut_box(hole_mask, rng, min(int(sides[0]), height), min(int(sides[1]), width))
        return hole_mask
    canvas = Image.new("L", (width, height))
    for _ in range(rng.integers(*shape.strokes, endpoint=True)):
        num_vertices = int(rng.integers(1, 6))
        angles = rng.uniform(0, 2 * math.pi, num_vertices)
        steps = rng.uniform(10, 10 + shape.step, num_vertices) * scale
        _draw_stroke(canvas, rng, angles, steps, rng.uniform(5, 5 + shape.width) * scale)
    return np.array(canvas)


class HoleDrawer:
    """Draws the hole of a training sample: ``drawer(rng)`` is a (height, width) mask, never empty and never full.

    Folders of mask files are listed once, here, so that loader processes need only the copy.

    Args:
        holes: the kinds, chosen in proportion to their weights.
        height, width: of the masks, in pixels.

    Raises:
        SettingsError: naming every hole that cannot be drawn.
        DataError: where a folder of mask files is missing, empty or inverted.
    """

    def __init__(self, holes: Sequence[HoleSettings], height: int, width: int) -> None:
        problems = hole_problems(holes, height, width)
        if problems:
            raise SettingsError(problems)
        self._holes = tuple(holes)
        self._size = height, width
        self._folders = [_open_folder(hole) for hole in holes]
        self._cumulative_weights = np.cumsum([hole.weight for hole in holes])

    def __call__(self, rng: np.random.Generator) -> Mask:
        """One hole, decided by ``rng`` alone."""
        total = self._cumulative_weights[-1]
        choice = int(np.searchsorted(self._cumulative_weights, rng.random() * total, side="right"))
        for _ in range(_MOST_DRAWS):
            hole_mask = self._draw(rng, self._holes[choice], self._folders[choice])
            if 0 < np.count_nonzero(hole_mask) < hole_mask.size:
                return hole_mask
        return centre_hole(*self._size, max(1, min(self._size) // 2))

    def _draw(self, rng: np.random.Generator, hole: HoleSettings, folder: MaskFolder | None) -> Mask:
        match hole.kind:
            case "centre":
                assert hole.size is not None
                return centre_hole(*self._size, hole.size)
            case "rectangles":
                return rectangles(rng, *self._size)
            case "strokes":
                return brush_strokes(rng, *self._size)
            case "files":
                assert folder is not None
                return _flip(folder.read(int(rng.integers(len(folder))), *self._size), rng)
            case kind:
                return lama_hole(rng, *self._size, kind)


def hole_problems(holes: Sequence[HoleSettings], height: int, width: int) -> list[str]:
    """What keeps these holes from being drawn at (height, width), a sentence each; empty where all is well."""
    problems = []
    for position, hole in enumerate(holes):
        where = f"hole {position} ({hole.kind})"
        if hole.weight < 0:
            problems.append(f"{where}: weight must be 0 or more, found {hole.weight}")
        if hole.kind == "centre":
            if hole.size is None:
                problems.append(f"{where}: needs size, the side of the square in pixels")
            elif not (0 < hole.size <= min(height, width) and hole.size < max(height, width)):
                problems.append(
                    f"{where}: a square of {hole.size} px leaves nothing known or nothing missing of {height}×{width}; "
                    f"choose a size from 1 to {max(min(height, width) - 1, 1)}"
                )
        if hole.kind == "files" and hole.path is None:
            problems.append(f"{where}: needs path, the folder of the mask images")
    if not sum(hole.weight for hole in holes) > 0:
        problems.append("the weights of the holes sum to 0; give at least one hole a positive weight")
    return problems


def _open_folder(hole: HoleSettings) -> MaskFolder | None:
    if hole.kind != "files" or hole.path is None:
        return None
    return MaskFolder.open(Path(hole.path), hole.white_is_hole)


def _scale(height: int, width: int) -> float:
    return min(height, width) / _REFERENCE_SIDE


def _flip(hole_mask: Mask, rng: np.random.Generator) -> Mask:
    """Mirror top–bottom and left–right, each with probability ½."""
    vertical, horizontal = rng.random(2) < 0.5
    # A copy: torch takes neither negative strides nor Pillow's read-only memory.
    return np.array(hole_mask[:: -1 if vertical else 1, :: -1 if horizontal else 1], order="C")


def _cut_box(hole_mask: Mask, rng: np.random.Generator, box_height: int, box_width: int) -> None:
    """Set a box of this size at a random place that lies wholly inside the image."""
    height, width = hole_mask.shape
    top = int(rng.integers(0, height - box_height + 1))
    left = int(rng.integers(0, width - box_width + 1))
    hole_mask[top : top + box_height, left : left + box_width] = 1


def _draw_stroke(
    canvas: Image.Image,
    rng: np.random.Generator,
    angles: np.ndarray,
    steps: np.ndarray,
    stroke_width: float,
) -> None:
    """Walk from a random start, a step in each direction (radians), kept inside the image, with round joints."""
    x, y = rng.uniform(0, canvas.width), rng.uniform(0, canvas.height)
    # Whole pixels: the outline then does not depend on how a platform rounds sines.
    vertices = [(round(x), round(y))]
    for angle, step in zip(angles, steps, strict=True):
        x = min(max(x + step * math.cos(angle), 0.0), float(canvas.width))
        y = min(max(y + step * math.sin(angle), 0.0), float(canvas.height))
        vertices.append((round(x), round(y)))
    draw = ImageDraw.Draw(canvas)
    width = max(1, round(stroke_width))
    draw.line(vertices, fill=1, width=width)
    radius = width // 2
    for x_joint, y_joint in vertices:
        draw.ellipse((x_joint - radius, y_joint - radius, x_joint + radius, y_joint + radius), fill=1)
