"""A trained generator behind one call: see :class:`Inpainter`."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from sgenet.batch import Prediction, to_uint8
from sgenet.errors import DataError
from sgenet.inpainter.pictures import Hole, Picture, as_guide, as_hole, as_pixels
from sgenet.inpainter.result import Inpainted, ScaleResult
from sgenet.label_space import LabelSpace
from sgenet.methods.release import load_released

SUSPICIOUS_HOLE_RATIO = 0.9
"""A mask with a larger share of missing pixels is probably inverted, and is warned about."""

GUIDED_METHODS = frozenset({"sg_net", "sge_net"})
"""The methods whose segmentation guides the filling, so that a given one can take its place."""

Guide = npt.NDArray[np.uint8]


class Inpainter:
    """Fills holes in pictures of any size with a trained generator, on the device the generator is on.

    Args:
        generator: maps (image (B, 3, H, W) float in [-1, 1], hole_mask (B, 1, H, W) float, 1 = missing)
            to a :class:`~sgenet.batch.Prediction`; H and W are multiples of ``multiple``. A guided
            method's takes the guide (B, H, W) int64 as a third argument.
        label_space: the classes it predicts.
        method_name: a key of :data:`sgenet.methods.build.GENERATORS`; None for a generator that is none of these.
        multiple: pictures are reflected up to a multiple of this, and cut back afterwards.
    """

    def __init__(
        self, generator: nn.Module, label_space: LabelSpace, *, method_name: str | None = None, multiple: int = 16
    ) -> None:
        self.generator = generator.eval()
        self.label_space = label_space
        self.method_name = method_name
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
        return cls(released.generator.to(device), released.label_space, method_name=released.method_name)

    @property
    def can_be_guided(self) -> bool:
        """Whether a segmentation can be given in place of the predicted one."""
        return self.method_name in GUIDED_METHODS

    def __call__(
        self,
        image: Picture,
        hole_mask: Hole,
        *,
        details: bool = False,
        guide: Guide | None = None,
        white_is_hole: bool = True,
    ) -> Inpainted:
        """Fill the hole of one picture.

        Args:
            image: a Pillow picture (turned upright by its EXIF orientation, made RGB), or (H, W, 3) uint8.
            hole_mask: where pixels are missing: a Pillow picture, white = missing, or (H, W) of bool or
                uint8; 8-bit masks may use 0 and 1, or 0 to 255 with a threshold at 128.
            details: also return what was drawn at every scale.
            guide: (H, W) uint8 class ids, a segmentation to fill by; 255 = the network decides.
            white_is_hole: False where the black (or False) pixels of ``hole_mask`` are the missing ones.

        Raises:
            DataError: picture, mask and guide differ in size, are not 8-bit, or the method takes no guide.

        Warns:
            UserWarning: when more than 90 % is missing: the mask is probably inverted.
        """
        pixels, hole = as_pixels(image), as_hole(hole_mask)
        if not white_is_hole:
            hole = ~hole
        _check(pixels, hole)
        given = self._check_guide(guide, hole.shape)
        prediction = self._predict(pixels, hole, given)
        drawn = to_uint8(prediction.image)[0].permute(1, 2, 0).cpu().numpy()
        height, width = hole.shape
        inpainted = np.where(hole[..., None], drawn[:height, :width], pixels)
        full = _read_scale(prediction, 0, hole.shape)
        scales = _read_scales(prediction, hole.shape) if details else ()
        return Inpainted(inpainted, hole, full.label, full.confidence, scales)

    def fill_many(
        self,
        images: Sequence[Picture],
        hole_masks: Sequence[Hole],
        *,
        details: bool = False,
        guides: Sequence[Guide | None] | None = None,
        white_is_hole: bool = True,
    ) -> list[Inpainted]:
        """Fill the holes of many pictures of any sizes; each result is that of calling it with the picture alone.

        Args:
            images, hole_masks: as many of each.
            guides: one a picture, None where the network decides alone.
            details, white_is_hole: as for one picture.

        Raises:
            DataError: their numbers differ, or as for one picture.
        """
        guides = [None] * len(images) if guides is None else guides
        if not len(images) == len(hole_masks) == len(guides):
            raise DataError(f"{len(images)} pictures came with {len(hole_masks)} hole masks and {len(guides)} guides")
        return [
            self(image, hole_mask, details=details, guide=guide, white_is_hole=white_is_hole)
            for image, hole_mask, guide in zip(images, hole_masks, guides, strict=True)
        ]

    def _check_guide(self, guide: Guide | None, size: tuple[int, ...]) -> Guide | None:
        if guide is not None and not self.can_be_guided:
            raise DataError(
                f"a guide was given, but the method {self.method_name or 'of this model'} is not guided by a "
                "segmentation; leave it out or use a model of sg_net or sge_net"
            )
        return as_guide(guide, size, self.label_space)

    @torch.inference_mode()
    def _predict(
        self, pixels: npt.NDArray[np.uint8], hole: npt.NDArray[np.bool_], guide: Guide | None = None
    ) -> Prediction:
        padded = _reflect_up(pixels, self.multiple)
        # The mask is reflected too: what mirrors an unknown pixel is unknown.
        padded_hole = _reflect_up(hole.astype(np.uint8), self.multiple)
        device = next((parameter.device for parameter in self.generator.parameters()), torch.device("cpu"))
        image = torch.from_numpy(padded).to(device).permute(2, 0, 1).unsqueeze(0).float().div(127.5).sub(1.0)
        inputs = [image.contiguous(memory_format=torch.channels_last)]
        inputs.append(torch.from_numpy(padded_hole).to(device)[None, None].float())
        if guide is not None:
            inputs.append(torch.from_numpy(_reflect_up(guide, self.multiple)).to(device)[None].long())
        return self.generator(*inputs)


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


def _reflect_up(pixels: npt.NDArray[np.uint8], multiple: int) -> npt.NDArray[np.uint8]:
    """Reflect (H, W, …) at the bottom and the right up to a multiple, however small the picture."""
    padding = [(0, -side % multiple) for side in pixels.shape[:2]] + [(0, 0)] * (pixels.ndim - 2)
    return np.pad(pixels, padding, mode="reflect")


def _read_scales(prediction: Prediction, size: tuple[int, ...]) -> tuple[ScaleResult, ...]:
    return tuple(_read_scale(prediction, scale, size) for scale in range(len(prediction.images)))


def _read_scale(prediction: Prediction, scale: int, size: tuple[int, ...]) -> ScaleResult:
    height, width = (-(-side // 2**scale) for side in size)

    def cut(tensor: Tensor) -> Tensor:
        return tensor[0, :, :height, :width]

    image = to_uint8(cut(prediction.images[scale])).permute(1, 2, 0).cpu().numpy()
    label = confidence = reliability = None
    if prediction.label_logits:
        highest, ids = cut(prediction.label_logits[scale]).float().softmax(dim=0).max(dim=0)
        label, confidence = ids.to(torch.uint8).cpu().numpy(), highest.cpu().numpy()
    if prediction.reliability:
        reliability = (cut(prediction.reliability[scale])[0] > 0.5).cpu().numpy()
    return ScaleResult(image, label, confidence, reliability)
