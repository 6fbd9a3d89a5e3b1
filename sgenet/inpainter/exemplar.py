"""Texture copied from known pixels, under the colours that a network drew.

A network predicts colours better than fine texture, which the rest of the image has. So the hole is filled by
PatchMatch (Barnes et al. 2009, the library PyPatchMatch), which copies patches of what is known. Where what was copied
is smooth, part of the low frequencies is then taken from the network. Where someone gave a segmentation, what is copied
is led by a guide: its classes, the colours that the network drew for them, and the contrast of what surrounds the hole.

Without a segmentation there is no guide: led by the network's colours, copies are nearer to the original by every
measure, and look worse beside unguided ones, which are crisper (docs/results.md).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import distance_transform_edt, find_objects, gaussian_filter

from sgenet.errors import UserError
from sgenet.inpainter.patches import Scene, copy_at_full_size, source_middles
from sgenet.inpainter.pyramid import Bools, Floats, Ids, enlarge_image, halve_any, halve_where, to_floats

Pixels = npt.NDArray[np.uint8]

_RADIUS = 3
"""Of PyPatchMatch's patches: 7×7 pixels."""

_LARGEST = 1_000_000
"""Pixels of the largest image that PatchMatch fills, in some 10 s."""

_WHOLE = 500_000
"""Pixels of an image that is searched whole."""

_MARGIN = 256
"""Pixels around the hole that are searched in a larger one at least; around a larger hole, as many as it is long."""

_FEWEST_SOURCES = 64

_WEIGHT = 0.2
"""How much the guide counts beside the texture: a segmentation that someone gave is to be obeyed."""

_SPAN = 0.35
"""PyPatchMatch takes a guide for coordinates of period 1: its values must lie less than half of that apart."""

_LEAST_RANGE = 0.2
"""A guide of a smaller range is not stretched to the whole span."""

_CONTRAST_WIDTH = 0.5
"""How wide contrast is measured, beside the width of the colours' blur."""

_ENOUGH_KNOWN = 0.3
_SHARE, _MOST, _GIVEN_MOST = 0.7, 0.05, 0.2
"""Share of the low-frequency difference to the network that is added, and the limit it is clipped to: small colour
shifts are corrected, but a large correction would put a haze over copied content that differs. The limit is higher for
a given segmentation."""

_SMOOTH = 0.02
"""Detail up to which all of that is added; with twice as much, nothing is. In a sky it closes seams that everyone sees;
over grass or leaves nobody sees what it corrects, only the haze."""

_DETAIL_WIDTH = 2.0
"""Pixels of sigma: detail is what a blur of this width takes away."""

_LOW = 3 / 32
"""Low frequencies are what a Gaussian with this share of the hole's radius keeps: sigma 3 for a hole of 64×64."""

_FINEST = 3.0
"""Pixels of sigma that are left at the size at which the network fills."""


def enough_halvings(hole: Bools) -> int:
    """How many times an image may be halved before the network fills it, since only its low frequencies are used."""
    return max(0, int(np.log2(max(1.0, _radius_of(hole) * _LOW / _FINEST))))


def copy_texture(image: Floats, hole: Bools, unknown: Bools, drawn: Floats, given: Ids | None = None) -> Floats:
    """Fill a hole with texture from the rest of the image; the same for the same arguments, in any thread.

    Args:
        image: (H, W, 3) in [-1, 1]; what lies in the hole is not seen.
        hole: (H, W), the pixels that are asked for.
        unknown: (H, W), the pixels that must not be copied; includes the hole.
        drawn: (H, W, 3) in [-1, 1], what the network drew; read in the hole alone.
        given: (H, W) class ids of the whole image, in the hole those that someone gave; None where nobody did.

    Returns:
        (H, W, 3) in [-1, 1]: the filling in the hole, the image elsewhere. It is ``drawn`` where too little is known
        to copy from.

    Raises:
        UserError: PyPatchMatch has no native code for this machine.
    """
    joined = np.where(hole[..., None], drawn, image)
    if not hole.any():
        return joined
    window = (slice(None), slice(None)) if hole.size <= _WHOLE else _around(hole, _MARGIN, 1)
    sizes = [Scene(joined[window], hole[window], unknown[window])]
    while sizes[-1].hole.size > _LARGEST:
        sizes.append(_halved(sizes[-1]))
    small = sizes[-1]
    if np.count_nonzero(source_middles(small.unknown)) < _FEWEST_SOURCES:
        return joined
    sigma = _radius_of(sizes[0].hole) * _LOW
    step = 2 ** (len(sizes) - 1)
    filled, shade = _copied(small, sigma / step, None if given is None else given[window][::step, ::step])
    target = sizes[0].hole
    if len(sizes) > 1:
        filled = copy_at_full_size(sizes, filled)
        shade = enlarge_image(shade, step, target.shape)
    filled += shade
    joined[window][target] = filled[target].clip(-1, 1)
    return joined


def _copied(scene: Scene, sigma: float, classes: Ids | None) -> tuple[Floats, Floats]:
    """(h, w, 3): the hole filled by PatchMatch, guided by given classes; and what the network's colours add."""
    pixels, transparent = _to_pixels(scene.image), scene.unknown & ~scene.hole
    if classes is None:
        filled = to_floats(patchmatch(pixels, scene.hole, transparent))
        return filled, _shade(_low_difference(scene, filled, sigma), _MOST) * _smoothness(filled, sigma)
    guide = _guide(scene, sigma, classes)
    filled = to_floats(patchmatch(pixels, scene.hole, transparent, guide, _WEIGHT))
    return filled, _shade(_low_difference(scene, filled, sigma), _GIVEN_MOST)


def _shade(difference: Floats, most: float) -> Floats:
    """(h, w, 3): the part of the low-frequency difference that is added, at most ``most``."""
    return np.clip(_SHARE * difference, -most, most)


def _smoothness(filled: Floats, sigma: float) -> Floats:
    """(h, w, 1) in [0, 1]: 1 where there is little detail around a pixel."""
    detail = filled - _blur(filled, _DETAIL_WIDTH)
    around = np.sqrt(_blur(np.square(detail).mean(axis=2, keepdims=True), sigma))
    return (2 - around / np.float32(_SMOOTH)).clip(0, 1)


def _low_difference(scene: Scene, filled: Floats, sigma: float) -> Floats:
    """(h, w, 3): what the low frequencies of the network's drawing have more than those of a filling."""
    return _blur(np.where(scene.hole[..., None], scene.image - filled, np.float32(0)), sigma)


def patchmatch(
    image: Pixels, hole: Bools, excluded: Bools | None = None, guide: Floats | None = None, weight: float = 0.0
) -> Pixels:
    """Fill a hole by PyPatchMatch, whose every call begins with the same seed.

    Args:
        image: (H, W, 3).
        hole: (H, W).
        excluded: (H, W), what is neither filled nor copied.
        guide: (H, W, 2), what copied pixels should have in common with those that they replace; of a range below 0.5.
        weight: of the guide.

    Returns:
        (H, W, 3); known pixels are those of the image.

    Raises:
        UserError: the library has no native code for this machine.
    """
    import patchmatch as library

    if not library.patchmatch_available:
        raise UserError(
            "PyPatchMatch, which copies texture, has no native code for this machine; "
            "fill with the texture of the network, or without the baseline patchmatch"
        )
    excluded = excluded if excluded is not None and excluded.any() else None
    if guide is None:
        filled = library.inpaint(image, hole, global_mask=excluded, patch_size=_RADIUS)
    else:
        coordinates = np.pad(guide, ((0, 0), (0, 0), (0, 1)))  # the library reads three, and uses two
        filled = library.inpaint_regularity(
            image, hole, coordinates, global_mask=excluded, patch_size=_RADIUS, guide_weight=weight
        )
    return np.where(hole[..., None], filled, image)


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


def _halved(scene: Scene) -> Scene:
    """Means of 2×2 blocks; a block is unknown, or of the hole, when any of its pixels is."""
    everywhere = np.ones_like(scene.hole)
    return Scene(halve_where(scene.image, everywhere), halve_any(scene.hole), halve_any(scene.unknown))


def _guide(scene: Scene, sigma: float, classes: Ids) -> Floats:
    """(h, w, 2): blurred colours, contrast and classes in the two dimensions in which they differ most."""
    planes = [_blur(scene.image, sigma), _contrast(scene, sigma * _CONTRAST_WIDTH)]
    planes += [(classes == class_id)[..., None].astype(np.float32) for class_id in np.unique(classes)]
    features = np.concatenate(planes, axis=-1).reshape(scene.hole.size, -1)
    features -= features.mean(axis=0)
    _, directions = np.linalg.eigh(features.T.astype(np.float64) @ features)
    plane = features @ directions[:, -2:].astype(np.float32)
    plane -= plane.min(axis=0)
    return (plane * (_SPAN / max(_LEAST_RANGE, float(plane.max())))).reshape(*scene.hole.shape, 2)


def _contrast(scene: Scene, sigma: float) -> Floats:
    """(h, w, 1): the standard deviation of known colours around each pixel, and where few are known the nearest one.

    A network that is not sure draws the mean of what may be there. Patches of that colour are flat: without the
    contrast as a guide, the hole becomes so too.
    """
    known = (~scene.unknown[..., None]).astype(np.float32)
    share = np.maximum(_blur(known, sigma), 1e-6)
    mean = _blur(scene.image * known, sigma) / share
    variance = np.square(scene.image - mean).mean(axis=2, keepdims=True)
    contrast = np.sqrt(_blur(variance * known, sigma) / share)
    measured = ~scene.unknown & (share[..., 0] > _ENOUGH_KNOWN)
    if not measured.any():
        measured = ~scene.unknown
    rows, columns = distance_transform_edt(~measured, return_distances=False, return_indices=True)
    return np.where(measured[..., None], contrast, _blur(contrast[rows, columns], 2 * sigma))


def _blur(planes: Floats, sigma: float) -> Floats:
    """A Gaussian over (h, w, C), edge pixels repeated."""
    return gaussian_filter(planes, (sigma, sigma, 0), mode="nearest")


def _to_pixels(image: Floats) -> Pixels:
    return np.rint((image + 1) * np.float32(127.5)).clip(0, 255).astype(np.uint8)
