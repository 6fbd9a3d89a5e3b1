"""The front door for use: a picture and its hole in, the filled picture out, at any size."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps
from torch import nn

from sgenet.batch import Prediction, to_uint8
from sgenet.errors import DataError
from sgenet.label_space import LabelSpace
from sgenet.methods.release import load_released

Picture = Image.Image | npt.NDArray[np.uint8]
Hole = Image.Image | npt.NDArray[np.uint8] | npt.NDArray[np.bool_]

SUSPICIOUS_HOLE_RATIO = 0.9
"""A mask with a larger share of missing pixels is probably inverted, and is warned about."""

_EIGHT_BIT_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"})


@dataclass(frozen=True)
class Inpainted:
    """What came out for one picture.

    Attributes:
        image: (H, W, 3) uint8 RGB: the prediction in the hole, the given pixels elsewhere, bit for bit.
        hole: (H, W) bool, True = missing: the hole as it was understood.
        label: (H, W) uint8 class ids, or None for a method that predicts no segmentation.
        confidence: (H, W) float32 in [0, 1], the highest class probability of each pixel; None without ``label``.
        reliability: M^l of Eq. 4 for l = 0 … 4, each (⌈H/2^l⌉, ⌈W/2^l⌉) bool; only on request, and
            empty for a method without confidence evaluation.
    """

    image: npt.NDArray[np.uint8]
    hole: npt.NDArray[np.bool_]
    label: npt.NDArray[np.uint8] | None = None
    confidence: npt.NDArray[np.float32] | None = None
    reliability: tuple[npt.NDArray[np.bool_], ...] = ()

    @property
    def hole_confidence(self) -> float | None:
        """The mean confidence in the hole; None where there is no hole or no segmentation."""
        if self.confidence is None or not self.hole.any():
            return None
        return float(self.confidence[self.hole].mean(dtype=np.float64))


class Inpainter:
    """Fills holes in pictures of any size with a trained generator, on the device the generator is on.

    Args:
        generator: maps (image (1, 3, H, W) float in [-1, 1], hole_mask (1, 1, H, W) float, 1 = missing)
            to a :class:`~sgenet.batch.Prediction`; H and W are multiples of ``multiple``.
        label_space: the classes it predicts.
        multiple: pictures are reflected up to a multiple of this, and cut back afterwards.
    """

    def __init__(self, generator: nn.Module, label_space: LabelSpace, *, multiple: int = 16) -> None:
        self.generator = generator.eval()
        self.label_space = label_space
        self.multiple = multiple

    @classmethod
    def load(cls, folder: Path, device: torch.device | str = "cpu") -> Inpainter:
        """Load a released model.

        Args:
            folder: holds ``model.safetensors`` and ``model.json``.
            device: where the generator runs.

        Raises:
            CheckpointError: when the folder does not hold a released model.
        """
        released = load_released(folder)
        return cls(released.generator.to(device), released.label_space)

    def __call__(self, image: Picture, hole_mask: Hole, *, details: bool = False) -> Inpainted:
        """Fill the hole of one picture.

        Args:
            image: a Pillow picture (turned upright by its EXIF orientation, made RGB), or (H, W, 3) uint8.
            hole_mask: where pixels are missing: a Pillow picture, white = missing, or (H, W) of bool or
                uint8; 8-bit masks may use 0 and 1, or 0 to 255 with a threshold at 128.
            details: also return the reliability maps.

        Raises:
            DataError: when picture and mask differ in size, or are not 8-bit.

        Warns:
            UserWarning: when more than 90 % is missing: the mask is probably inverted.
        """
        pixels, hole = as_pixels(image), as_hole(hole_mask)
        _check(pixels, hole)
        prediction = self._predict(pixels, hole)
        drawn = to_uint8(prediction.image)[0].permute(1, 2, 0).cpu().numpy()
        height, width = hole.shape
        inpainted = np.where(hole[..., None], drawn[:height, :width], pixels)
        label, confidence = _read_labels(prediction, hole.shape)
        reliability = _read_reliability(prediction, hole.shape) if details else ()
        return Inpainted(inpainted, hole, label, confidence, reliability)

    @torch.inference_mode()
    def _predict(self, pixels: npt.NDArray[np.uint8], hole: npt.NDArray[np.bool_]) -> Prediction:
        padded = _reflect_up(pixels, self.multiple)
        # The mask is reflected too: what mirrors an unknown pixel is unknown.
        padded_hole = _reflect_up(hole.astype(np.uint8), self.multiple)
        device = next((parameter.device for parameter in self.generator.parameters()), torch.device("cpu"))
        image = torch.from_numpy(padded).to(device).permute(2, 0, 1).unsqueeze(0).float().div(127.5).sub(1.0)
        hole_mask = torch.from_numpy(padded_hole).to(device)[None, None].float()
        return self.generator(image.contiguous(memory_format=torch.channels_last), hole_mask)


def as_pixels(image: Picture) -> npt.NDArray[np.uint8]:
    """A picture as (H, W, 3) uint8 RGB, upright.

    Raises:
        DataError: when it is not an 8-bit picture, or an array of another shape or type.
    """
    if isinstance(image, Image.Image):
        upright = _eight_bit(image, "picture")
        return np.asarray(upright.convert("RGB"))
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise DataError(
            f"a picture must be an array (height, width, 3) of uint8, found {tuple(image.shape)} of {image.dtype}; "
            "convert it to 8-bit RGB"
        )
    return image


def as_hole(hole_mask: Hole) -> npt.NDArray[np.bool_]:
    """A hole mask as (H, W) bool, True = missing.

    Raises:
        DataError: when it is not an 8-bit mask with one channel, or has transparent pixels.
    """
    if isinstance(hole_mask, Image.Image):
        upright = _eight_bit(hole_mask, "hole mask")
        if upright.has_transparency_data and upright.convert("RGBA").getchannel("A").getextrema() != (255, 255):
            raise DataError("the hole mask has transparent pixels; save it opaque, white where pixels are missing")
        hole_mask = np.asarray(upright.convert("L"), dtype=np.uint8)
    if hole_mask.ndim != 2 or hole_mask.dtype not in (np.uint8, np.bool_) or hole_mask.size == 0:
        raise DataError(
            f"a hole mask must be an array (height, width) of bool or uint8, found {tuple(hole_mask.shape)} of "
            f"{hole_mask.dtype}; convert it to one 8-bit channel"
        )
    if hole_mask.dtype == np.bool_ or hole_mask.max() <= 1:
        return hole_mask.astype(np.bool_)
    return hole_mask >= 128


def _check(pixels: npt.NDArray[np.uint8], hole: npt.NDArray[np.bool_]) -> None:
    if hole.shape != pixels.shape[:2]:
        raise DataError(
            f"the picture is {pixels.shape[1]}×{pixels.shape[0]} pixels but its hole mask is "
            f"{hole.shape[1]}×{hole.shape[0]}; make a mask of the picture's size"
        )
    missing = float(hole.mean())
    if missing > SUSPICIOUS_HOLE_RATIO:
        warnings.warn(
            f"{missing:.0%} of the picture is marked as missing; white means missing, "
            "so invert the mask if the white part is what should stay",
            stacklevel=3,
        )


def _eight_bit(picture: Image.Image, name: str) -> Image.Image:
    if picture.mode not in _EIGHT_BIT_MODES:
        raise DataError(f"the {name} has the pixel format {picture.mode}; save it with 8 bits a channel")
    # Painted masks match the picture as it is seen, so both are turned upright.
    return ImageOps.exif_transpose(picture)


def _reflect_up(pixels: npt.NDArray[np.uint8], multiple: int) -> npt.NDArray[np.uint8]:
    """Reflect (H, W, …) at the bottom and the right up to a multiple, however small the picture."""
    padding = [(0, -side % multiple) for side in pixels.shape[:2]] + [(0, 0)] * (pixels.ndim - 2)
    return np.pad(pixels, padding, mode="reflect")


def _read_labels(
    prediction: Prediction, size: tuple[int, ...]
) -> tuple[npt.NDArray[np.uint8] | None, npt.NDArray[np.float32] | None]:
    if not prediction.label_logits:
        return None, None
    height, width = size
    confidence, label = prediction.label_logits[0][0, :, :height, :width].float().softmax(dim=0).max(dim=0)
    return label.to(torch.uint8).cpu().numpy(), confidence.cpu().numpy()


def _read_reliability(prediction: Prediction, size: tuple[int, ...]) -> tuple[npt.NDArray[np.bool_], ...]:
    height, width = size
    maps = []
    for scale, reliability in enumerate(prediction.reliability):
        rows, columns = -(-height // 2**scale), -(-width // 2**scale)
        maps.append((reliability[0, 0, :rows, :columns] > 0.5).cpu().numpy())
    return tuple(maps)
