"""The images of the report: Figures 6 and 7 of the paper and side-by-side comparisons.

Drawn with numpy and Pillow alone, in uint8 RGB.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from sgenet.batch import Prediction, composite, to_uint8
from sgenet.evaluation.confidence import label_confidence
from sgenet.label_space import LabelSpace
from sgenet.layers.resizing import resize

Pixels = npt.NDArray[np.uint8]

HOLE_COLOUR = (255, 255, 255)
"""Missing pixels of a corrupted image, in figures."""

_PAPER = (255, 255, 255)
_INK = (40, 40, 40)
_EMPTY = (244, 244, 244)
_NEUTRAL = 236  # grey of confidence changes outside the hole, and of no change
_FRAME = (200, 200, 200)
_GAP = 6


@dataclass(frozen=True)
class Sample:
    """One image with everything a figure may show of it, all on the CPU.

    Attributes:
        image: (3, H, W) uint8, the original.
        hole_mask: (1, H, W) uint8, 1 = missing.
        label: (H, W) class ids, 255 = ignore.
        prediction: what the generator drew for it, a batch of one.
    """

    image: Tensor
    hole_mask: Tensor
    label: Tensor
    prediction: Prediction

    @property
    def corrupted(self) -> Pixels:
        """The image with its hole in :data:`HOLE_COLOUR`, (H, W, 3)."""
        return corrupted_image(to_image(self.image), self.hole_mask[0].numpy())


def grid(
    rows: Sequence[Sequence[Pixels | None]],
    column_titles: Sequence[str] = (),
    row_labels: Sequence[str] = (),
    cell: int = 160,
) -> Pixels:
    """Lay images out in a table.

    Args:
        rows: rows of (h, w, 3) uint8 images of any size; None leaves a cell blank.
        column_titles, row_labels: text above the columns and left of the rows; may be empty.
        cell: side in pixels of the square that every image is fitted into.

    Returns:
        (H, W, 3) uint8.

    Raises:
        ValueError: when there is no image, or titles and labels do not match the rows.
    """
    num_columns = max((len(row) for row in rows), default=0)
    if num_columns == 0:
        raise ValueError("a figure needs at least one image")
    if (column_titles and len(column_titles) != num_columns) or (row_labels and len(row_labels) != len(rows)):
        raise ValueError(f"{len(rows)} × {num_columns} images, {len(row_labels)} × {len(column_titles)} texts")
    text_size = max(10, cell // 9)
    font = ImageFont.load_default(text_size)
    line = int(text_size * 1.4)
    left = max((int(font.getlength(text)) + _GAP for text in row_labels), default=0) + _GAP
    top = line * max((title.count("\n") + 1 for title in column_titles), default=0) + _GAP
    step = cell + _GAP
    canvas = Image.new("RGB", (left + num_columns * step, top + len(rows) * step), _PAPER)
    draw = ImageDraw.Draw(canvas)
    for column, title in enumerate(column_titles):
        at = (left + column * step + cell / 2, top / 2)
        draw.multiline_text(at, title, _INK, font, anchor="mm", align="center")
    for index, text in enumerate(row_labels):
        draw.text((left - _GAP, top + index * step + cell / 2), text, _INK, font, anchor="rm")
    for index, row in enumerate(rows):
        for column, image in enumerate(row):
            _paste(canvas, image, (left + column * step, top + index * step), cell)
    return np.asarray(canvas)


def refinement_figure(sample: Sample, label_space: LabelSpace, cell: int = 128) -> Pixels:
    """Figure 6: how image, segmentation, reliability and confidence change from scale to scale.

    Upper row: input, inpainted image at scales 4 … 0, reliability maps (white = unreliable).
    Lower row: true labels, segmentations, change of the confidence inside the hole from each scale
    to the next (blue rises, red falls). What the method does not predict is left out.
    """
    prediction = sample.prediction
    scales = range(len(prediction.images) - 1, -1, -1)
    upper: list[Pixels | None] = [sample.corrupted]
    lower: list[Pixels | None] = [label_space.colourise(sample.label.numpy())]
    titles = ["input\ntrue labels"]
    for scale in scales:
        upper.append(_inpainted_at(sample, scale))
        lower.append(_segmentation_at(prediction, scale, label_space))
        titles.append(f"scale {scale}" if scale else "result")
    for coarse in scales:
        reliability, gain = _reliability_at(sample, coarse), _gain_from(sample, coarse)
        if reliability is None and gain is None:
            continue
        upper.append(reliability)
        lower.append(gain)
        titles.append(f"unreliable {coarse}\ngain {coarse} to {coarse - 1}" if coarse else "unreliable 0")
    rows = [upper, lower] if prediction.label_logits else [upper]
    return grid(rows, titles, cell=cell)


def confidence_figure(sample: Sample, label_space: LabelSpace, cell: int = 128) -> Pixels:
    """Figure 7: a column a scale, 4 … 0.

    Rows: inpainted image; segmentation; confidence (darker = more confident); unreliable pixels
    in white, with the input in place of scale 4, whose map is the input mask.

    Raises:
        ValueError: when the method predicts no segmentation.
    """
    prediction = sample.prediction
    if not prediction.label_logits:
        raise ValueError("the confidence figure needs a method that predicts segmentations")
    coarsest = len(prediction.label_logits) - 1
    scales = range(coarsest, -1, -1)
    rows: list[list[Pixels | None]] = [
        [_inpainted_at(sample, scale) for scale in scales],
        [_segmentation_at(prediction, scale, label_space) for scale in scales],
        [confidence_image(label_confidence(prediction.label_logits[scale])[1][0]) for scale in scales],
    ]
    names = ["inpainted", "segmentation", "confidence"]
    if prediction.reliability:
        unreliable = [_reliability_at(sample, scale) for scale in scales]
        rows.append([sample.corrupted, *unreliable[1:]])
        names.append("unreliable")
    return grid(rows, [f"scale {scale}" for scale in scales], names, cell)


def corrupted_image(image: Pixels, hole_mask: Pixels) -> Pixels:
    """The image (H, W, 3) with its hole (H, W), 1 = missing, in :data:`HOLE_COLOUR`."""
    return np.where(hole_mask[..., None] > 0, np.array(HOLE_COLOUR, np.uint8), image)


def confidence_image(confidence: Tensor) -> Pixels:
    """Confidence (H, W) in 0–1 as grey (H, W, 3), darker = more confident, as in Fig. 7."""
    return to_image(((1 - confidence.float()).clamp(0, 1) * 255).round().byte()[None].expand(3, -1, -1))


def to_image(image: Tensor) -> Pixels:
    """(3, H, W) uint8 tensor → (H, W, 3) array."""
    return np.ascontiguousarray(image.permute(1, 2, 0).numpy())


def _inpainted_at(sample: Sample, scale: int) -> Pixels:
    predicted = to_uint8(resize(sample.prediction.images[scale].float(), sample.image.shape[-2:]))
    return to_image(composite(predicted, sample.image[None], sample.hole_mask[None])[0])


def _segmentation_at(prediction: Prediction, scale: int, label_space: LabelSpace) -> Pixels | None:
    if scale >= len(prediction.label_logits):
        return None
    return label_space.colourise(prediction.label_logits[scale][0].argmax(dim=0).numpy())


def _reliability_at(sample: Sample, scale: int) -> Pixels | None:
    """The map of that scale, found by its size: methods need not give one for every scale."""
    height = sample.image.shape[-2] >> scale
    for reliability in sample.prediction.reliability:
        if reliability.shape[-2] == height:
            return to_image(((reliability[0] < 0.5) * 255).byte().expand(3, -1, -1))
    return None


def _gain_from(sample: Sample, coarse: int) -> Pixels | None:
    """Change of the confidence from scale ``coarse`` to the next finer one, inside the hole."""
    logits = sample.prediction.label_logits
    if not 0 < coarse < len(logits):
        return None
    before, after = (
        resize(label_confidence(logits[scale])[1][:, None], sample.image.shape[-2:]) for scale in (coarse, coarse - 1)
    )
    change = ((after - before) * sample.hole_mask[None])[0, 0].numpy()
    strength = np.clip(np.abs(change) * 2, 0, 1)[..., None]  # half a unit of confidence is full colour
    colour = np.where(change[..., None] > 0, np.array([30.0, 90, 200]), np.array([200.0, 50, 40]))
    return ((1 - strength) * _NEUTRAL + strength * colour).round().astype(np.uint8)


def _paste(canvas: Image.Image, image: Pixels | None, corner: tuple[int, int], cell: int) -> None:
    if image is None:
        canvas.paste(_EMPTY, (*corner, corner[0] + cell, corner[1] + cell))
        return
    height, width = image.shape[:2]
    ratio = cell / max(height, width)
    size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    # Pixels of coarse maps stay visible as squares; shrunken images are averaged.
    resized = Image.fromarray(image).resize(size, Image.Resampling.NEAREST if ratio >= 1 else Image.Resampling.BOX)
    left, top = corner[0] + (cell - size[0]) // 2, corner[1] + (cell - size[1]) // 2
    # Maps may be white to their edge: a frame shows where they end.
    canvas.paste(_FRAME, (left - 1, top - 1, left + size[0] + 1, top + size[1] + 1))
    canvas.paste(resized, (left, top))
