"""Texture copied from known pixels, guided by what a network predicts.

A network predicts layout and colours better than fine texture, which the rest of the image has. So the hole becomes a
montage of shifted copies of the image. The shifts are those at which the image repeats itself
(:mod:`sgenet.inpainter.offsets`). Each pixel chooses one of them, so that seams are hardly visible, what is
copied has the class, the features and the colour that the network predicts, and as much detail as there is around the
hole (:mod:`sgenet.inpainter.montage`). Then the seams are closed (:mod:`sgenet.inpainter.blending`), and the lowest
frequencies become those of the network's drawing.

In a large image the choice is made at a smaller size, and carried to full size. PatchMatch fills holes that the image's
repetitions do not reach (:mod:`sgenet.inpainter.patches`), unless someone gave classes, which it could not obey.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt, find_objects, gaussian_filter

from sgenet.inpainter.blending import blend
from sgenet.inpainter.features import Features
from sgenet.inpainter.montage import Indices, Montage, assemble
from sgenet.inpainter.offsets import Offsets, offsets_to_similar, reached
from sgenet.inpainter.patches import fill_by_patches
from sgenet.inpainter.pyramid import Bools, Floats, Ids, Scene, enlarge_image

_WHOLE = 500_000
"""Pixels of an image that is searched whole."""

_MARGIN = 256
"""Pixels around the hole that are searched in a larger one at least; around a larger hole, as many as it is long."""

_MOST_PIXELS, _MOST_SEARCHED = 8_000, 150_000
"""Of a hole, and of the image around it, at the size at which offsets are chosen."""

_FREQUENT, _BESIDE = 80, 160
"""Offsets: frequent ones, and those of patches beside the hole."""

_OF_A_CLASS = 40
"""Offsets that lead to a class that someone gave, besides."""

_COLOUR = 0.2
"""What copying a pixel costs for each unit of difference between the network's low frequencies and the copy's."""

_FEATURES, _FULL_CONTRAST = 0.4, 0.3
"""What copying a pixel costs if the features there are at right angles to those of its own place, and the expected
contrast for which that holds. It decreases with the contrast: in a sky, seams cost little but are visible."""

_CLASS, _GIVEN_CLASS = 0.1, 8.0
"""What copying a pixel of another class costs: of a predicted one, by confidence, and of one that someone gave."""

_KEPT, _KEPT_IF_GIVEN = 0.8, 0.3
"""Seams with a larger step are kept; the limit is lower where someone gave classes, whose borders are edges."""

_DETAIL = 0.04
"""Cost of copying a pixel for each unit of difference in log-contrast from the expected value: it keeps flares out of
skies, and smooth stone out of gravel."""

_CONTRAST_SIGMA, _NO_CONTRAST = 2.0, 0.01
"""Pixels in which contrast is measured, and what is not seen of it; colours are in [-1, 1]."""

_LOW = 3 / 32
"""Low frequencies are what a Gaussian with this share of the hole's radius keeps: sigma 3 for a hole of 64×64."""

_LOWEST, _LEAST_SIGMA = 6 / 32, 2.0
"""The same for the frequencies that the filling takes from the network, and at least so many pixels. With a smaller
share, rock and leaves lose contrast."""

_FINEST = 3.0
"""Pixels of sigma that are left at the size at which the network fills."""


def enough_halvings(hole: Bools) -> int:
    """How many times an image may be halved before the network fills it, since only its low frequencies are used."""
    return max(0, int(np.log2(max(1.0, _radius_of(hole) * _LOW / _FINEST))))


def copy_texture(
    image: Floats,
    hole: Bools,
    unknown: Bools,
    drawn: Floats,
    label: Ids | None = None,
    confidence: Floats | None = None,
    given: Bools | None = None,
    features: Features | None = None,
) -> Floats:
    """Fill a hole with texture from the rest of the image; the same for the same arguments, in any thread.

    Args:
        image: (H, W, 3) in [-1, 1]; what lies in the hole is not seen.
        hole: (H, W), the pixels that are asked for.
        unknown: (H, W), the pixels that must not be copied; includes the hole.
        drawn: (H, W, 3) in [-1, 1], what the network drew; read in the hole alone.
        label: (H, W) class ids of the whole image; None for a network that predicts none.
        confidence: (H, W) in [0, 1], the probability of each label; with ``label`` only.
        given: (H, W), whether someone gave this label, which is then obeyed; None where nobody did.
        features: of the network, of the whole image; None for a network that has none.

    Returns:
        (H, W, 3) in [-1, 1]: the filling in the hole, the image elsewhere. It is ``drawn`` where too little is known
        to copy from.
    """
    joined = np.where(hole[..., None], drawn, image)
    if not hole.any():
        return joined
    window = (slice(None), slice(None)) if hole.size <= _WHOLE else _around(hole, _MARGIN, 1)
    scenes = [Scene(joined[window], hole[window], unknown[window])]
    while np.count_nonzero(scenes[-1].hole) > _MOST_PIXELS or scenes[-1].hole.size > _MOST_SEARCHED:
        scenes.append(scenes[-1].halved())
    smallest, step = scenes[-1], 2 ** (len(scenes) - 1)
    if label is None or confidence is None or given is None or not given[hole].any():
        given = None
    classes = None
    if label is not None and confidence is not None:
        # Classes have no mean: each block has that of its first pixel.
        every = tuple(slice(side.start, side.stop, step) for side in window)
        given_at = np.zeros_like(hole[every]) if given is None else given[every]
        classes = _Classes(label[every], confidence[every], given_at)
    found = None if features is None else _features_of(smallest, window, step, features)
    guidance = _Guidance(smallest, classes, found)
    frequent, beside = offsets_to_similar(smallest.image, smallest.hole, smallest.unknown, _FREQUENT, _BESIDE)
    if given is None and not np.array_equal(reached(frequent, smallest.hole, smallest.unknown), smallest.hole):
        filled = fill_by_patches(scenes[0])
    else:
        to_given = [] if given is None or classes is None else [_offsets_to_given(classes, smallest)]
        montage = assemble(smallest, np.concatenate((frequent, beside, *to_given)), guidance.cost)
        filled = _at_full_size(montage, scenes, _KEPT if given is None else _KEPT_IF_GIVEN)
    filled = _corrected(filled, scenes, guidance)
    joined[window][scenes[0].hole] = filled[scenes[0].hole].clip(-1, 1)
    return joined


def _at_full_size(montage: Montage, scenes: Sequence[Scene], kept: float) -> Floats:
    """(h, w, 3): the first of some sizes of a scene, filled by a montage of the last."""
    filled, correction = blend(montage, kept)
    for scene in reversed(scenes[:-1]):
        guess = correction.reshape(*montage.scene.hole.shape, 3).repeat(2, axis=0).repeat(2, axis=1)
        guess = guess[: scene.hole.shape[0], : scene.hole.shape[1]].reshape(-1, 3)
        montage = montage.enlarged(scene)
        filled, correction = blend(montage, kept, guess)
    return filled.reshape(*scenes[0].hole.shape, 3)


@dataclass(frozen=True)
class _Classes:
    """(h, w) each: class ids, how probable they are in [0, 1], and whether someone gave them."""

    label: Ids
    confidence: Floats
    given: Bools


def _offsets_to_given(classes: _Classes, scene: Scene) -> Offsets:
    """Some, by chance, from where a class was given in the hole to known pixels of that class."""
    rng = np.random.default_rng(0)
    found = [np.zeros((0, 2), np.int64)]
    targets_of_any = scene.hole & classes.given
    for class_id in np.unique(classes.label[targets_of_any]):
        of_class = classes.label == class_id
        sources, targets = np.argwhere(of_class & ~scene.unknown), np.argwhere(of_class & targets_of_any)
        if len(sources):
            found.append(rng.choice(sources, _OF_A_CLASS) - rng.choice(targets, _OF_A_CLASS))
    offsets = np.concatenate(found)
    return offsets[offsets.any(axis=1)]


class _Guidance:
    """What it costs to copy a pixel of the hole from another one, apart from seams."""

    def __init__(self, scene: Scene, classes: _Classes | None = None, features: Floats | None = None) -> None:
        radius = _radius_of(scene.hole)
        self._scene, self._sigma = scene, max(_LEAST_SIGMA, radius * _LOWEST)
        self._low = gaussian_filter(scene.image, radius * _LOW, axes=(0, 1), mode="nearest").reshape(-1, 3)
        contrast = _log_contrast(scene)
        self._contrast, self._expected = contrast.ravel(), _from_around(contrast, scene.unknown, radius).ravel()
        self._classes = classes
        self._features = features
        self._roughness = (np.exp(self._expected) / np.float32(_FULL_CONTRAST)).clip(max=1)

    def cost(self, pixels: Indices, sources: Indices) -> Floats:
        """(N,) of copying the first from the second."""
        difference = self._low[pixels] - self._low[sources]
        cost = np.float32(_COLOUR) * np.sqrt(np.square(difference).sum(axis=1))
        cost += np.float32(_DETAIL) * np.abs(self._expected[pixels] - self._contrast[sources])
        if self._features is not None:
            cosine = np.einsum("ij,ij->i", self._features[pixels], self._features[sources])
            cost += np.float32(_FEATURES) * self._roughness[pixels] * (1 - cosine).clip(min=0)
        if self._classes is None:
            return cost
        label, confidence = self._classes.label.ravel(), self._classes.confidence.ravel()
        weight = np.where(self._classes.given.ravel()[pixels], np.float32(_GIVEN_CLASS), np.float32(_CLASS))
        weight *= confidence[pixels] * confidence[sources]
        return cost + weight * (label[pixels] != label[sources])

    def correction(self, filled: Floats) -> Floats:
        """(h, w, 3) to add to a filling: the lowest frequencies in which the network's drawing differs from it.

        Less of them towards the border and in smooth surroundings, where they would show the outline of the hole.
        """
        hole = self._scene.hole
        missing = np.where(hole[..., None], self._scene.image - filled, np.float32(0))
        depth = distance_transform_edt(hole).astype(np.float32)
        weight = self._roughness.reshape(hole.shape) * (1 - np.exp(-depth / np.float32(self._sigma)))
        return weight[..., None] * gaussian_filter(missing, self._sigma, axes=(0, 1), mode="nearest")


def _corrected(filled: Floats, scenes: Sequence[Scene], guidance: _Guidance) -> Floats:
    """(h, w, 3): a filling of the first of some sizes of a scene, with the network's lowest frequencies."""
    small = Scene(filled, scenes[0].hole, scenes[0].unknown)
    for _ in scenes[1:]:
        small = small.halved()
    correction = guidance.correction(small.image)
    return filled + enlarge_image(correction, 2 ** (len(scenes) - 1), scenes[0].hole.shape)


def _features_of(scene: Scene, window: tuple[slice, slice], step: int, features: Features) -> Floats:
    """(h·w, D) of the pixels of a part of the image that has been made ``step`` times smaller."""
    rows, columns = (
        (side.start or 0) + step * (np.arange(length) + 0.5)
        for side, length in zip(window, scene.hole.shape, strict=True)
    )
    return features.at(rows, columns).reshape(scene.hole.size, -1)


def _log_contrast(scene: Scene) -> Floats:
    """(h, w): the logarithm of the standard deviation of what is known around each pixel."""

    known = (~scene.unknown).astype(np.float32)[..., None]
    weight = gaussian_filter(known, _CONTRAST_SIGMA, axes=(0, 1)).clip(min=1e-6)

    def mean(values: Floats) -> Floats:
        return gaussian_filter(values * known, _CONTRAST_SIGMA, axes=(0, 1)) / weight

    variance = mean(np.square(scene.image - mean(scene.image)).sum(axis=2, keepdims=True))
    return np.log(np.sqrt(variance) + np.float32(_NO_CONTRAST))[..., 0]


def _from_around(values: Floats, unknown: Bools, radius: float) -> Floats:
    """(h, w): in what is unknown, those of the nearest known pixels, smoothed over a third of the hole's radius."""
    nearest = distance_transform_edt(unknown, return_distances=False, return_indices=True)
    return np.where(unknown, gaussian_filter(values[tuple(nearest)], radius / 3), values)


def _radius_of(hole: Bools) -> float:
    """How far a pixel of the hole is from what is known, at most, in pixels; beyond the image's border nothing is."""
    if not hole.any():
        return 0.0
    part = np.pad(hole[_around(hole, 1, 0)], 1, mode="edge")
    return float(distance_transform_edt(part).max())


def _around(hole: Bools, margin: int, share: float) -> tuple[slice, slice]:
    """The part of an image with a hole and, around it, ``margin`` pixels, or this share of its side if that is more."""
    (box,) = find_objects(hole.view(np.uint8))

    def widened(span: slice) -> slice:
        around = max(margin, int(share * (span.stop - span.start)))
        return slice(max(0, span.start - around), span.stop + around)

    return widened(box[0]), widened(box[1])
