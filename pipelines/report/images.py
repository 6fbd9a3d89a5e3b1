"""The images of the report, embedded: the same examples side by side for every method, and Figures 6 and 7."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from pipelines.evaluation.images import failure_path, figure_path, image_path
from pipelines.report.collect import DatasetResults, MethodResult
from pipelines.settings.titles import SEGMENTER_TITLES

_WEBP_QUALITY = 90


@dataclass(frozen=True)
class Gallery:
    """Examples of one mask set: a row of data addresses each, with the image's key and what is written before it.

    A row has None where a method has no such image.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | None]]
    keys: Sequence[str]
    labels: Sequence[str]


def fillings(results: DatasetResults, set_name: str, shown: MethodResult) -> Gallery:
    """Corrupted, filled by the method that is looked into, original, filled by the others."""
    others = [(method, "inpainted", method.title) for method in results.methods if method is not shown]
    first = results.methods[0]
    own = (shown, "inpainted", shown.title)
    columns = [(first, "corrupted", "Input"), own, (first, "original", "Original"), *others]
    return _gallery(results, set_name, "Images", columns)


def segmentations(results: DatasetResults, set_name: str) -> Gallery | None:
    """After input and true labels: the segmentations of every trained method that predicts one, and those that a
    segmenter makes of every trained method's filled images, where there is one (Fig. 9)."""
    segmenter = results.summary.get("segmenter")
    kinds = {"segmentation": ""}
    if segmenter is not None:
        kinds["filled_segmentation"] = f" + {SEGMENTER_TITLES[segmenter]}"
    columns = [
        (method, kind, f"{method.title}{tool}")
        for kind, tool in kinds.items()
        for method in results.methods
        if method.training is not None and image_path(method.folder, set_name, 0, kind).exists()
    ]
    if not columns:
        return None
    first = results.methods[0]
    columns = [(first, "corrupted", "Input"), (first, "labels", "True labels"), *columns]
    return _gallery(results, set_name, "Segmentations (Figure 9)", columns)


def failures(method: MethodResult, set_name: str) -> Gallery | None:
    """The holes that a method filled worst, as Figure 11; chosen by PSNR in the hole, not by hand."""
    listed = method.worst.get(set_name, ())
    if not listed:
        return None
    kinds = {"corrupted": "Input", "original": "Original", "inpainted": method.title}
    if failure_path(method.folder, set_name, 0, "segmentation").exists():
        kinds |= {"segmentation": "Segmentation", "labels": "True labels"}
    rows = [
        [embed_image(failure_path(method.folder, set_name, number, kind)) for kind in kinds]
        for number in range(len(listed))
    ]
    keys, labels = zip(*((failure["key"], f"{failure['psnr_hole']:.1f} dB") for failure in listed), strict=True)
    return Gallery(f"{method.title}, holes: {set_name}", list(kinds.values()), rows, keys, labels)


def method_figures(method: MethodResult, figure: int, num_examples: int) -> list[tuple[str, str]]:
    """Figure 6 or 7 of the first examples of every mask set, each a caption and a data address."""
    figures = []
    for set_name in method.metrics:
        for number, key in list(enumerate(method.summary["examples"]))[:num_examples]:
            path = figure_path(method.folder, set_name, number, figure)
            if path.exists():
                figures.append((f"{method.title}, holes: {set_name}, {key}", embed_image(path)))
    return figures


def embed_image(path: Path) -> str:
    """An image file as a data address: WebP, without loss where the image has few colours."""
    with Image.open(path) as image:
        few_colours = image.convert("RGB").getcolors(maxcolors=256) is not None
        content = io.BytesIO()
        image.convert("RGB").save(content, "WEBP", quality=_WEBP_QUALITY, lossless=few_colours, method=4)
    return "data:image/webp;base64," + base64.b64encode(content.getvalue()).decode("ascii")


def embed_svg(drawing: str) -> str:
    """An SVG drawing as a data address."""
    return "data:image/svg+xml;base64," + base64.b64encode(drawing.encode("utf-8")).decode("ascii")


def _gallery(
    results: DatasetResults, set_name: str, title: str, columns: Sequence[tuple[MethodResult, str, str]]
) -> Gallery:
    keys = results.summary["examples"]
    rows = []
    for number in range(len(keys)):
        paths = [image_path(method.folder, set_name, number, kind) for method, kind, _ in columns]
        rows.append([embed_image(path) if path.exists() else None for path in paths])
    strata = results.strata()
    labels = [strata.get(key, "") for key in keys]
    return Gallery(f"{title}, holes: {set_name}", [name for _, _, name in columns], rows, keys, labels)
