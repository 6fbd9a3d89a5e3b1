"""Images larger than what the network works on: an overview of the whole, then crops, coarse to fine.

The whole image is halved until the network can look at it: the overview, which also segments it. The
hole is then filled at the size of the image, in crops around its connected parts. Pixels that lie deep
in the hole, farther from what is known than in training, are filled at half the size first, if they are
still deep there at a quarter first, and so on down to the overview.

From one size to the next finer one,

- a crop is given what the coarser size drew, as if it were known, around the middle that it is asked for;
- what it draws takes its low frequencies from the coarser size, the more, the deeper a pixel lies. So
  crops that cannot see each other agree about what matters, and add what only the finer size shows.

Crops of one part of the hole overlap and fade into one another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sgenet.batch import Prediction
from sgenet.inpainter.crops import Crop, plan_crops
from sgenet.inpainter.features import Features
from sgenet.inpainter.network import Network, class_probabilities, coarse_features, drawn_image
from sgenet.inpainter.pyramid import (
    Bools,
    Floats,
    Ids,
    Level,
    build_pyramid,
    depth,
    enlarge,
    enlarge_image,
    halve,
    halve_any,
    halve_where,
    to_floats,
)

_GIVEN = 0.5
"""Pixels that lie deeper than this are given to a crop as the coarser size drew them, around its middle. From any depth
above 0 on a pixel is filled at the coarser size first, so what is given is always there."""
_BAND = 256


@dataclass(frozen=True)
class Filled:
    """A filled image before it is rounded and joined with what is known.

    Attributes:
        image: (H, W, 3) in [-1, 1]; says something in the hole alone.
        label, confidence: (H, W), or None for a method that predicts no segmentation.
        features: of the whole image, or None for a method that has none.
        overview: what the network drew when it looked at the whole image, at the size it looked at.
    """

    image: Floats
    label: Ids | None
    confidence: Floats | None
    features: Features | None
    overview: Prediction


def fill(network: Network, image: Level, hole: Bools, side: int, num_classes: int, halvings: int = 0) -> Filled:
    """Fill the hole of an image.

    Args:
        image: at full size; what is unknown includes the hole.
        hole: (H, W), the pixels that are asked for.
        side: of the crops, a multiple of 16. An image with no side longer than one and a half of it is
            filled in one pass.
        num_classes: of the guide, where the image has one.
        halvings: how many times the image is halved first, and the result enlarged, where that is fine enough.
    """
    if halvings:
        small, small_hole = image, hole
        for _ in range(halvings):
            small, small_hole = halve(small, num_classes), halve_any(small_hole)
        small = Level(small.image, small.unknown | small_hole, small.guide)
        return _enlarged(fill(network, small, small_hole, side, num_classes), image.size, 2**halvings)
    levels = build_pyramid(image, side * 3 // 2, num_classes)
    overview = network(levels[-1])
    probabilities = class_probabilities(overview)
    labels = _Labels(image.size)
    if probabilities is not None:
        labels.enlarge(probabilities, 2 ** (len(levels) - 1))
    drawn = drawn_image(overview)
    if len(levels) > 1:
        drawn = _refine(network, levels, hole, side, (drawn, probabilities), labels)
    features = coarse_features(overview, 2 ** (len(levels) - 1))
    if probabilities is None:
        return Filled(drawn, None, None, features, overview)
    return Filled(drawn, labels.ids, labels.confidence, features, overview)


def _enlarged(filled: Filled, size: tuple[int, int], factor: int) -> Filled:
    """The image bilinear, each label and confidence repeated."""
    image = enlarge_image(filled.image, factor, size)

    def repeated(plane: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return plane.repeat(factor, axis=0).repeat(factor, axis=1)[: size[0], : size[1]]

    label, confidence = (None if plane is None else repeated(plane) for plane in (filled.label, filled.confidence))
    features = filled.features
    if features is not None:
        features = replace(features, cell=features.cell * factor)
    return Filled(image, label, confidence, features, filled.overview)


class _Labels:
    """The label map of the whole image, and how sure it is."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.ids = np.zeros(size, np.uint8)
        self.confidence = np.zeros(size, np.float32)

    def enlarge(self, probabilities: Tensor, factor: int) -> None:
        """Everywhere, from a smaller size; in bands, since all classes at full size take much memory."""
        height, width = self.ids.shape
        for top in range(0, height, _BAND):
            rows = slice(top, min(top + _BAND, height))
            confidence, ids = enlarge(probabilities, factor, rows, slice(0, width)).max(dim=0)
            self.ids[rows], self.confidence[rows] = ids.to(torch.uint8).numpy(), confidence.numpy()

    def put(self, crop: Crop, probabilities: Tensor) -> None:
        """Where a crop is nearest, from its inner part's probabilities (K, h, w)."""
        confidence, ids = probabilities.max(dim=0)
        np.copyto(self.ids[crop.where], ids.to(torch.uint8).numpy(), where=crop.nearest)
        np.copyto(self.confidence[crop.where], confidence.numpy(), where=crop.nearest)


class _ClassPlanes:
    """The class probabilities of a smaller size, where it was asked for."""

    def __init__(self, size: tuple[int, int]) -> None:
        self._size = size
        self.planes: Tensor | None = None

    def put(self, crop: Crop, probabilities: Tensor) -> None:
        """Where a crop is nearest, from its inner part's probabilities (K, h, w)."""
        if self.planes is None:
            self.planes = torch.zeros(len(probabilities), *self._size, dtype=torch.float16)
        part = self.planes[:, *crop.where]
        part.copy_(torch.where(torch.from_numpy(crop.nearest), probabilities.half(), part))


@dataclass(frozen=True)
class _Coarser:
    """What the next coarser level tells a level.

    Attributes:
        asked: (h, w), where it was filled.
        image: (3, h, w), as it was filled there, and as it is known elsewhere.
        probabilities: (K, h, w), or None for a method that predicts no segmentation.
    """

    asked: Bools
    image: Tensor
    probabilities: Tensor | None

    @classmethod
    def of(cls, level: Level, asked: Bools, image: Floats, probabilities: Tensor | None) -> _Coarser:
        joined = np.where(asked[..., None], image, to_floats(level.image))
        return cls(asked, torch.from_numpy(joined).permute(2, 0, 1), probabilities)


def _refine(
    network: Network,
    levels: list[Level],
    hole: Bools,
    side: int,
    overview: tuple[Floats, Tensor | None],
    labels: _Labels,
) -> Floats:
    """Fill every level that is needed, the coarsest first; returns the image of level 0."""
    asked, depths = _plan(levels, hole, reach=side * 3 // 8)
    image, probabilities = overview
    coarser = _Coarser.of(levels[-1], asked[-1], image, probabilities) if len(asked) == len(levels) else None
    for number in reversed(range(len(depths))):
        level = levels[number]
        planes = _ClassPlanes(level.size) if number else None
        put = (planes or labels).put
        image = _fill_level(network, level, asked[number], depths[number], coarser, side, put)
        if planes is not None:
            coarser = _Coarser.of(level, asked[number], image, planes.planes)
    return image


def _plan(levels: list[Level], hole: Bools, reach: int) -> tuple[list[Bools], list[Floats]]:
    """Which pixels each level is asked for, and the depth of every pixel at all but the last of these levels."""
    asked, depths = [hole], []
    for level in levels[:-1]:
        depths.append(depth(level.unknown, reach))
        coarser_first = asked[-1] & (depths[-1] > 0)
        if not coarser_first.any():
            break
        asked.append(halve_any(coarser_first))
    return asked, depths


def _fill_level(
    network: Network,
    level: Level,
    asked: Bools,
    depths: Floats,
    coarser: _Coarser | None,
    side: int,
    put: Callable[[Crop, Tensor], None],
) -> Floats:
    """Fill what a level is asked for, (h, w, 3).

    Args:
        depths: (h, w) in [0, 1], the :func:`~sgenet.inpainter.pyramid.depth` of its pixels: a share, no distance.
        put: keeps the class probabilities (K, h, w) of a crop's inner part.
    """
    image = np.zeros((*level.size, 3), np.float32)
    given = asked & (depths > _GIVEN)
    for crop in plan_crops(asked, side):
        prediction = network(_with_context(level, crop, given, coarser))
        image[crop.where] += drawn_image(prediction)[crop.inner] * crop.weight[..., None]
        classes = class_probabilities(prediction)
        if classes is not None:
            classes = classes[:, *crop.inner]
            if coarser is not None and coarser.probabilities is not None:
                share = torch.from_numpy(depths[crop.where])
                classes = torch.lerp(classes, enlarge(coarser.probabilities, 2, *crop.where), share)
            put(crop, classes)
    if coarser is not None:
        _take_low_frequencies(image, coarser, asked, depths)
    return image


def _with_context(level: Level, crop: Crop, given: Bools, coarser: _Coarser | None) -> Level:
    """A crop of a level; around its inner part, the pixels ``given`` are known as the coarser level drew them."""
    seen = level.crop(crop.rows, crop.columns)
    if coarser is None:
        return seen
    drawn = given[crop.rows, crop.columns].copy()
    drawn[crop.inner] = False
    if not drawn.any():
        return seen
    enlarged = enlarge(coarser.image, 2, crop.rows, crop.columns).permute(1, 2, 0).numpy()
    image = np.where(drawn[..., None], enlarged, to_floats(seen.image))
    return Level(image, seen.unknown & ~drawn, seen.guide)


def _take_low_frequencies(image: Floats, coarser: _Coarser, asked: Bools, depths: Floats) -> None:
    """Correct a level's image, in place, by what the coarser one drew otherwise."""
    own = torch.from_numpy(halve_where(image, asked)).permute(2, 0, 1)
    difference = torch.where(torch.from_numpy(coarser.asked), coarser.image - own, 0.0)
    height, width = asked.shape
    for top in range(0, height, _BAND):
        rows = slice(top, min(top + _BAND, height))
        correction = enlarge(difference, 2, rows, slice(0, width)).permute(1, 2, 0).numpy()
        image[rows] += correction * depths[rows, :, None]
