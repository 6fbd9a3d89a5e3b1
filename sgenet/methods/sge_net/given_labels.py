"""Training that teaches a network to obey a given segmentation (*ours*); without it, SG-Net is blind to one."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from sgenet.batch import InpaintingBatch
from sgenet.label_space import IGNORE_ID
from sgenet.settings import GuidanceSettings

NUM_DRAWS = 3
"""Random numbers that :func:`give_labels` takes for each sample."""


def give_labels(batch: InpaintingBatch, draws: Tensor, settings: GuidanceSettings) -> InpaintingBatch:
    """Choose for each sample whether its true labels guide it, and where; the rest of the batch stays as it is.

    A share ``settings.given`` of the samples is guided, half of them everywhere and half in the hole alone, as when a
    user paints a class into the hole. Of another share, ``settings.transplanted``, the hole shows another part of the
    same image and is guided by that part's label, so that nothing else tells what belongs there.

    Args:
        batch: of which nothing is changed in place.
        draws: (B, 3) uniform in [0, 1): what becomes of a sample, and by how much its hole is moved down and right.

    Returns:
        A batch with a guide, (B, H, W) int64: 255 where the network's own segmentation decides. In a hole that shows
        something else, the label is *ignore*: nobody could have told it from the rest of the image.
    """
    kind = draws[:, 0].to(batch.label.device, non_blocking=True).view(-1, 1, 1)
    hole = batch.hole_mask[:, 0] > 0.5
    transplanted = kind < settings.transplanted
    guided = kind < settings.transplanted + settings.given
    everywhere = guided & ~transplanted
    if settings.given < 1:
        everywhere &= kind < settings.transplanted + settings.given / 2
    guide = torch.where(everywhere | (guided & hole), batch.label, IGNORE_ID)
    if settings.transplanted == 0:
        return replace(batch, guide=guide)
    elsewhere = transplanted & hole
    image = torch.where(elsewhere[:, None], _moved(batch.image, draws), batch.image)
    return replace(
        batch,
        image=image.contiguous(memory_format=torch.channels_last),
        label=torch.where(elsewhere, IGNORE_ID, batch.label),
        guide=torch.where(elsewhere, _moved(batch.label, draws), guide),
    )


def _moved(values: Tensor, draws: Tensor) -> Tensor:
    """Each image or map (B, …, H, W) moved down and right, by at least a quarter of its side, around the border."""
    shares = 0.25 + 0.5 * draws[:, 1:3]
    height, width = values.shape[-2:]
    shifts = [(int(down * height), int(right * width)) for down, right in shares.tolist()]
    return torch.stack([torch.roll(one, shift, (-2, -1)) for one, shift in zip(values, shifts, strict=True)])
