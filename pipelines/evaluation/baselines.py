"""The baselines: methods without learning, which every trained method should beat."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]

BaselineFunction = Callable[[Pixels, Pixels], Pixels]
"""From image (H, W, 3) uint8 RGB and hole mask (H, W) uint8, 1 = missing, to (H, W, 3) uint8; known pixels stay."""

_RADIUS = 3.0  # pixels


def mean_colour(image: Pixels, hole_mask: Pixels) -> Pixels:
    """Fill the hole with the mean colour of the known pixels (mid-grey where none is known)."""
    known = image[hole_mask == 0]
    colour = known.mean(axis=0).round() if len(known) else np.full(3, 128.0)
    return _composite(np.broadcast_to(colour, image.shape), image, hole_mask)


def telea(image: Pixels, hole_mask: Pixels) -> Pixels:
    """Fast marching from the border inwards (Telea 2004), by OpenCV."""
    return _composite(cv2.inpaint(image, _as_file(hole_mask), _RADIUS, cv2.INPAINT_TELEA), image, hole_mask)


def navier_stokes(image: Pixels, hole_mask: Pixels) -> Pixels:
    """Isophotes continued as streamlines of a fluid (Bertalmio et al. 2001), by OpenCV."""
    return _composite(cv2.inpaint(image, _as_file(hole_mask), _RADIUS, cv2.INPAINT_NS), image, hole_mask)


def biharmonic(image: Pixels, hole_mask: Pixels) -> Pixels:
    """The smoothest surface through the known pixels (Damelin & Hoang 2018), by scikit-image."""
    from skimage.restoration import inpaint_biharmonic  # the only baseline that needs it

    filled = inpaint_biharmonic(image.astype(np.float64) / 255, hole_mask > 0, channel_axis=-1)
    return _composite(np.clip(filled * 255, 0, 255).round(), image, hole_mask)


def membrane(image: Pixels, hole_mask: Pixels) -> Pixels:
    """What networks with ``network.start: membrane`` start from: the solution of Laplace's equation in the hole."""
    # Takes seconds to import, which the report, for example, has no need of.
    import torch

    from sgenet.layers.membrane import membrane as solve

    # Up to a multiple of 16; what is added is no more known than the hole is.
    padding = [(0, -side % 16) for side in hole_mask.shape]
    pixels = np.pad(image, [*padding, (0, 0)]).astype(np.float32)
    hole = np.pad(hole_mask > 0, padding, constant_values=True)
    surface = solve(torch.from_numpy(pixels).permute(2, 0, 1)[None], torch.from_numpy(hole)[None, None].float())
    height, width = hole_mask.shape
    return _composite(surface[0].permute(1, 2, 0).numpy().round()[:height, :width], image, hole_mask)


def patchmatch(image: Pixels, hole_mask: Pixels) -> Pixels:
    """Patches of the known part, matched from coarse to fine (Barnes et al. 2009), by PyPatchMatch.

    Raises:
        UserError: the library has no native code for this machine.
    """
    from sgenet.inpainter.patches import patchmatch as fill

    return fill(image, hole_mask > 0)


def undamaged(image: Pixels, hole_mask: Pixels) -> Pixels:
    """Leave the image as it was before there was a hole: what a perfect filling would give to a segmenter."""
    return image


UNDAMAGED = "undamaged"
"""No method, but what the segmentation of filled images is compared with."""

BASELINES: dict[str, BaselineFunction] = {
    "mean_colour": mean_colour,
    "telea": telea,
    "navier_stokes": navier_stokes,
    "biharmonic": biharmonic,
    "membrane": membrane,
    "patchmatch": patchmatch,
}
"""From a baseline's name in the settings to its function."""


def _as_file(hole_mask: Pixels) -> Pixels:
    return (hole_mask > 0).astype(np.uint8) * 255


def _composite(filled: npt.NDArray[np.number], image: Pixels, hole_mask: Pixels) -> Pixels:
    return np.where(hole_mask[..., None] > 0, filled, image).astype(np.uint8)
