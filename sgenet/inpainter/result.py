"""What comes out for one picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class ScaleResult:
    """What the network drew at scale l, ⌈H/2^l⌉ × ⌈W/2^l⌉ pixels: one picture of Figure 6.

    Attributes:
        image: (h, w, 3) uint8 RGB: the prediction Ŷ^l, in the hole and outside.
        label: (h, w) uint8 class ids, or None for a method that predicts no segmentation.
        confidence: (h, w) float32 in [0, 1], the highest class probability; None without ``label``.
        reliability: (h, w) bool, M^l of Eq. 4; None for a method without confidence evaluation.
    """

    image: npt.NDArray[np.uint8]
    label: npt.NDArray[np.uint8] | None = None
    confidence: npt.NDArray[np.float32] | None = None
    reliability: npt.NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Inpainted:
    """What came out for one picture.

    Attributes:
        image: (H, W, 3) uint8 RGB: the prediction in the hole, the given pixels elsewhere, bit for bit.
        hole: (H, W) bool, True = missing: the hole as it was understood.
        label: (H, W) uint8 class ids, or None for a method that predicts no segmentation; the guide
            where one was given.
        confidence: (H, W) float32 in [0, 1], the highest class probability of each pixel; None without ``label``.
        scales: what the network drew at l = 0 … 4; only on request. A method with one scale has one.
    """

    image: npt.NDArray[np.uint8]
    hole: npt.NDArray[np.bool_]
    label: npt.NDArray[np.uint8] | None = None
    confidence: npt.NDArray[np.float32] | None = None
    scales: tuple[ScaleResult, ...] = ()

    @property
    def reliability(self) -> tuple[npt.NDArray[np.bool_], ...]:
        """M^l of Eq. 4 for l = 0 … 4; empty unless asked for, and for a method without confidence evaluation."""
        return tuple(scale.reliability for scale in self.scales if scale.reliability is not None)

    @property
    def hole_confidence(self) -> float | None:
        """The mean confidence in the hole; None where there is no hole or no segmentation."""
        if self.confidence is None or not self.hole.any():
            return None
        return float(self.confidence[self.hole].mean(dtype=np.float64))
