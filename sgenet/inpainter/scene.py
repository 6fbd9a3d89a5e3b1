"""One size of an image with a hole, as texture is copied into it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sgenet.inpainter.pyramid import Bools, Floats, halve_any, halve_where


@dataclass(frozen=True)
class Scene:
    """One size of an image.

    Attributes:
        image: (h, w, 3) in [-1, 1]: what is known, and in the hole what the network drew.
        hole: (h, w), what is filled.
        unknown: (h, w), what must not be copied; includes the hole.
    """

    image: Floats
    hole: Bools
    unknown: Bools

    def halved(self) -> Scene:
        """Means of 2×2 blocks; a block is unknown, or of the hole, when any of its pixels is."""
        everywhere = np.ones_like(self.hole)
        return Scene(halve_where(self.image, everywhere), halve_any(self.hole), halve_any(self.unknown))
