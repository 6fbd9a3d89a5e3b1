"""What a filling shows, as HTML: before and after, segmentation, confidence, the five scales.

Images are embedded, so that a view is one value. Every image says in words what it is, for those who cannot
see it; text from outside (model and class names) is escaped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import numpy as np

from pipelines.inference.page.images import (
    Pixels,
    confidence_overlay,
    data_address,
    draw_outline,
    heat,
    heat_gradient,
    label_overlay,
    shrink,
)
from pipelines.inference.page.layers import Layer
from pipelines.inference.page.session import Filling
from sgenet.inpainter import Inpainted
from sgenet.label_space import LabelSpace

_STRIP_SIDE = 320
"""The longer side of an image in the strip of scales, at most."""


def before_and_after(image: Pixels, fillings: Sequence[Filling]) -> str:
    """The image with its hole and the filled image, one over the other with a slider between."""
    return _side_by_side(fillings, lambda filling: _slider(image, filling))


def segmentation(fillings: Sequence[Filling]) -> str:
    """The predicted classes over the filled image, with their names and shares."""
    return _side_by_side(fillings, _segmentation)


def confidence(fillings: Sequence[Filling]) -> str:
    """A heat map of where the model is unsure of its own segmentation."""
    return _side_by_side(fillings, _confidence)


def scales(fillings: Sequence[Filling]) -> str:
    """Image, segmentation, confidence and doubted pixels from 1/16 to full size: Figure 6 of this image."""
    return _side_by_side(fillings, _scales, wide=True)


def _side_by_side(fillings: Sequence[Filling], draw: Callable[[Filling], str], *, wide: bool = False) -> str:
    columns = "".join(
        f'<section class="sge-column"><h3 title="{escape(filling.title)}">{escape(filling.title)}</h3>{draw(filling)}'
        "</section>"
        for filling in fillings
    )
    return f'<div class="sge-columns{" sge-wide" if wide else ""}" data-count="{len(fillings)}">{columns}</div>'


def _slider(image: Pixels, filling: Filling) -> str:
    inpainted = filling.inpainted
    before = shrink(draw_outline(np.where(inpainted.hole[..., None], np.uint8(235), image), inpainted.hole))
    share = f"{inpainted.hole.mean():.1%} of the image is filled; every other pixel is as it was."
    return (
        '<figure><div class="sge-slider" style="--at: 12%">'
        f"{_image(shrink(inpainted.image), 'The filled image')}"
        f"{_image(before, 'The image with its hole', 'sge-before')}"
        '<span class="sge-handle" aria-hidden="true"></span>'
        '<input type="range" min="0" max="100" value="12" aria-label="Left of the slider before, right of it after">'
        f"</div><figcaption>Left of the handle before, right of it after. {share}</figcaption></figure>"
    )


def _segmentation(filling: Filling) -> str:
    inpainted = filling.inpainted
    if inpainted.label is None:
        return absent(f"{filling.method} predicts no segmentation. Choose SGE-Net, SG-Net or Base-Net to see one.")
    overlay = draw_outline(label_overlay(inpainted.image, inpainted.label, filling.label_space), inpainted.hole)
    present = ", ".join(filling.label_space.names[number] for number in np.unique(inpainted.label))
    return (
        f"<figure>{_image(shrink(overlay), f'Segmentation over the filled image: {present}')}"
        f"<figcaption>What the network thinks is there. The line surrounds the hole.</figcaption></figure>"
        f"{_legend(inpainted.label, inpainted, filling.label_space)}"
    )


def _legend(label: Layer, inpainted: Inpainted, label_space: LabelSpace) -> str:
    everywhere = np.bincount(label.ravel(), minlength=label_space.num_classes) / label.size
    in_hole = label[inpainted.hole]
    filled = np.bincount(in_hole, minlength=label_space.num_classes) / max(1, in_hole.size)
    rows = "".join(
        f'<li>{swatch(label_space, number)}<span class="sge-name">{escape(label_space.names[number])}</span>'
        f'<span class="sge-share">{_percent(filled[number])} of the hole · '
        f"{_percent(everywhere[number])} of all</span></li>"
        for number in np.lexsort((-everywhere, -filled)).tolist()
        if everywhere[number]
    )
    return f'<ul class="sge-legend" aria-label="Classes">{rows}</ul>'


def swatch(label_space: LabelSpace, number: int) -> str:
    """A small field in a class's colour."""
    r, g, b = label_space.colours[number]
    return f'<span class="sge-swatch" style="background: rgb({r} {g} {b})" aria-hidden="true"></span>'


def _percent(share: float) -> str:
    return "<1%" if 0 < share < 0.01 else f"{share:.0%}"


def _confidence(filling: Filling) -> str:
    inpainted = filling.inpainted
    if inpainted.confidence is None or inpainted.hole_confidence is None:
        return absent(f"{filling.method} predicts no segmentation, and so says nothing about its confidence.")
    overlay = draw_outline(confidence_overlay(inpainted.image, inpainted.confidence), inpainted.hole)
    outside = inpainted.confidence[~inpainted.hole].mean(dtype=np.float64)
    return (
        f"<figure>{_image(shrink(overlay), 'Heat map: bright where the network is unsure')}"
        f"<figcaption>How sure the network is of the class of each pixel: on average "
        f"{inpainted.hole_confidence:.0%} in the hole, {outside:.0%} outside.</figcaption></figure>"
        f'<div class="sge-scale"><span>0% unsure</span><i style="background: {heat_gradient()}"></i>'
        "<span>sure 100%</span></div>"
    )


def _scales(filling: Filling) -> str:
    results = filling.inpainted.scales
    if len(results) < 2:
        return absent(f"{filling.method} does not work from coarse to fine, so it has no scales to show.")
    names = [_scale_name(scale) for scale in reversed(range(len(results)))]
    cells = "".join(f"<span class='sge-head'>{name}</span>" for name in names)
    for kind, explanation, images in (
        ("Image", "drawn at this scale", [result.image for result in results]),
        (
            "Segmentation",
            "colours as in the tab of that name",
            _each(filling.label_space.colourise, [result.label for result in results]),
        ),
        ("Confidence", "bright = unsure", _each(heat, [result.confidence for result in results])),
        (
            "Doubted pixels",
            "white = evaluated as unreliable, redone at the next finer scale",
            _each(_doubted, [result.reliability for result in results]),
        ),
    ):
        if any(pixels is not None for pixels in images):
            cells += f'<span class="sge-row"><b>{kind}</b> {explanation}</span>'
            for name, pixels in zip(names, reversed(images), strict=True):
                cells += _strip_cell(pixels, f"{kind} at {name}")
    return f'<div class="sge-strip" style="--columns: {len(names)}">{cells}</div>'


def _each(draw: Callable[[Any], Pixels], values: Sequence[Any]) -> list[Pixels | None]:
    """What is drawn at each scale; None where the method predicts nothing there."""
    return [None if value is None else draw(value) for value in values]


def _strip_cell(pixels: Pixels | None, words: str) -> str:
    if pixels is None:
        return '<span class="sge-none">–</span>'
    return _image(shrink(pixels, _STRIP_SIDE), words, exact=True)


def _scale_name(scale: int) -> str:
    return "full size" if scale == 0 else f"1/{2**scale}"


def _doubted(reliability: np.ndarray) -> Pixels:
    return np.where(reliability[..., None], np.uint8(45), np.uint8(255)).repeat(3, axis=2)


def _image(pixels: Pixels, words: str, css_class: str = "", *, exact: bool = False) -> str:
    height, width = pixels.shape[:2]
    named = f' class="{css_class}"' if css_class else ""
    size = f'width="{width}" height="{height}"'
    return f'<img{named} src="{data_address(pixels, exact=exact)}" alt="{escape(words)}" {size}>'


def absent(sentence: str) -> str:
    """A sentence in the place of a view that has nothing to show."""
    return f'<p class="sge-absent">{escape(sentence)}</p>'


def notice(sentence: str, kind: str = "hint") -> str:
    """A sentence beside the Fill button: ``hint``, ``done`` or ``problem``."""
    return f'<p class="sge-notice sge-{kind}">{escape(sentence)}</p>'
