"""One pass of a generator over one image of any size: reflected up, normalised, and cut back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from sgenet.batch import FEATURE_SCALE, Prediction
from sgenet.inpainter.features import Features
from sgenet.inpainter.pyramid import Level, to_floats
from sgenet.precision import autocast
from sgenet.settings import Precision

_MULTIPLE = 16
"""Images are reflected up to a multiple of this: no network has more than four halvings."""


class Network:
    """A generator as numpy sees it, on the device it is on.

    Args:
        generator: see :class:`sgenet.inpainter.Inpainter`.
        precision: of the convolutions; ``bfloat16`` is autocast.
    """

    def __init__(self, generator: nn.Module, precision: Precision) -> None:
        self.generator = generator.eval().to(memory_format=torch.channels_last)
        self._precision = precision

    @torch.inference_mode()
    def __call__(self, level: Level) -> Prediction:
        """Draw one image: everything at its size and, at scale l, that divided by 2^l and rounded up."""
        device = next((parameter.device for parameter in self.generator.parameters()), torch.device("cpu"))
        image = torch.from_numpy(self._reflect_up(to_floats(level.image))).to(device)
        # The mask is reflected too: what mirrors an unknown pixel is unknown.
        hole_mask = torch.from_numpy(self._reflect_up(level.unknown)).to(device)
        # (H, W, 3) seen as (1, 3, H, W) has its channels last already.
        inputs = [image.permute(2, 0, 1)[None], hole_mask[None, None].float()]
        if level.guide is not None:
            inputs.append(torch.from_numpy(self._reflect_up(level.guide)).to(device)[None].long())
        with autocast(device, self._precision):
            prediction = self.generator(*inputs)
        return _cut(prediction, level.size)

    def _reflect_up(self, array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        """Reflect (H, W, …) at the bottom and the right, however small the image."""
        padding = [(0, -side % _MULTIPLE) for side in array.shape[:2]] + [(0, 0)] * (array.ndim - 2)
        # A copy in any case: tensors cannot lie over arrays that are read-only.
        return np.pad(array, padding, mode="reflect")


def _cut(prediction: Prediction, size: tuple[int, int]) -> Prediction:
    def cut(tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(
            tensor[..., : -(-size[0] // 2**scale), : -(-size[1] // 2**scale)] for scale, tensor in enumerate(tensors)
        )

    return replace(
        prediction,
        images=cut(prediction.images),
        label_logits=cut(prediction.label_logits),
        reliability=cut(prediction.reliability),
    )


def drawn_image(prediction: Prediction) -> npt.NDArray[np.float32]:
    """The full-size image of a prediction of one image, (H, W, 3) in [-1, 1]."""
    return prediction.image[0].permute(1, 2, 0).float().cpu().contiguous().numpy()


def class_probabilities(prediction: Prediction) -> Tensor | None:
    """(K, H, W) float32 on the CPU, or None for a method that predicts no segmentation."""
    if not prediction.label_logits:
        return None
    return prediction.label_logits[0][0].float().softmax(dim=0).cpu()


def coarse_features(prediction: Prediction, reduction: int = 1, index: int = 0) -> Features | None:
    """Of one image of a prediction, which had been made so many times smaller; None for a method that has none."""
    if prediction.features is None:
        return None
    planes = prediction.features[index].permute(1, 2, 0).float().cpu().contiguous().numpy()
    return Features(planes, reduction * 2**FEATURE_SCALE)
