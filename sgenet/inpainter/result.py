"""What comes out for one image."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from sgenet.batch import Prediction, to_uint8
from sgenet.inpainter.images import ImageLike, OpenedImage, Pixels


@dataclass(frozen=True)
class ScaleResult:
    """What the network drew at scale l: one image of Figure 6.

    It has ⌈H/2^l⌉ × ⌈W/2^l⌉ pixels, where H × W are those of the image, or of the overview that the
    network looked at where the image is larger than what it fills in one pass.

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
    """What came out for one image.

    Attributes:
        image: (H, W, 3) uint8 RGB: the prediction in the hole, the given pixels elsewhere, bit for bit.
        hole: (H, W) bool, True = missing: the hole as it was understood.
        label: (H, W) uint8 class ids, or None for a method that predicts no segmentation; the guide
            where one was given.
        confidence: (H, W) float32 in [0, 1], the highest class probability of each pixel; None without ``label``.
        scales: what the network drew at l = 0 … 4; only on request. A method with one scale has one.
        filled: ``image`` in the depth of the image that was given, uint8 or uint16.
        source: that image; None where only arrays are known.
    """

    image: npt.NDArray[np.uint8]
    hole: npt.NDArray[np.bool_]
    label: npt.NDArray[np.uint8] | None = None
    confidence: npt.NDArray[np.float32] | None = None
    scales: tuple[ScaleResult, ...] = ()
    filled: Pixels | None = field(default=None, repr=False)
    source: OpenedImage | None = field(default=None, repr=False)

    @property
    def in_source_format(self) -> ImageLike:
        """The filled image in the format of the source: mode, depth, alpha and colour profile, or shape and type.

        Every known pixel is what was given, bit for bit, and so is alpha everywhere. Palettes become RGB.
        """
        if self.source is None or self.filled is None:
            return Image.fromarray(self.image)
        return self.source.replace(self.filled, self.hole)

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


def read_scales(prediction: Prediction) -> tuple[ScaleResult, ...]:
    """What was drawn of one image, at every scale."""
    scales = []
    for scale, drawn in enumerate(prediction.images):
        label = confidence = reliability = None
        if prediction.label_logits:
            highest, ids = prediction.label_logits[scale][0].float().softmax(dim=0).max(dim=0)
            label, confidence = ids.to(torch.uint8).cpu().numpy(), highest.cpu().numpy()
        if prediction.reliability:
            reliability = (prediction.reliability[scale][0, 0] > 0.5).cpu().numpy()
        image = to_uint8(drawn[0]).permute(1, 2, 0).cpu().numpy()
        scales.append(ScaleResult(image, label, confidence, reliability))
    return tuple(scales)
