"""The example images and figures of an evaluation."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from pipelines.evaluation.examples import Example, Failure
from sgenet.figures import (
    Pixels,
    Sample,
    confidence_figure,
    confidence_image,
    corrupted_image,
    grid,
    refinement_figure,
    to_image,
)
from sgenet.label_space import LabelSpace

IMAGES_FOLDER = "images"
FIGURES_FOLDER = "figures"
WORST = "worst.json"


def write_examples(folder: Path, set_name: str, examples: list[Example], label_space: LabelSpace) -> None:
    """Write the images of some examples, their figures, and one overview of them all.

    Their position in the list is their number in the file names.
    """
    for name in (IMAGES_FOLDER, FIGURES_FOLDER):
        (folder / name).mkdir(exist_ok=True)
    overview: list[list[Pixels | None]] = []
    for number, example in enumerate(examples):
        images = example_images(example, label_space)
        for kind, image in images.items():
            _save(image, image_path(folder, set_name, number, kind))
        overview.append([images.get(kind) for kind in _overview_kinds(examples)])
        _write_figures(folder, set_name, number, example, label_space)
    if overview:
        titles = [kind.replace("_", " ") for kind in _overview_kinds(examples)]
        _save(grid(overview, titles), folder / FIGURES_FOLDER / f"{set_name}-overview.png")


def write_failures(folder: Path, worst: Mapping[str, Sequence[Failure]], label_space: LabelSpace) -> None:
    """Write the images that were filled worst, as examples are written, and ``worst.json``: which they are.

    Args:
        worst: by mask set, the worst first.
    """
    (folder / IMAGES_FOLDER).mkdir(exist_ok=True)
    for set_name, failures in worst.items():
        for number, failure in enumerate(failures):
            for kind, image in example_images(failure.example, label_space).items():
                _save(image, failure_path(folder, set_name, number, kind))
    listed = {
        set_name: [{"key": failure.key, "psnr_hole": round(failure.psnr_hole, 4)} for failure in failures]
        for set_name, failures in worst.items()
    }
    (folder / WORST).write_text(json.dumps(listed, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def failure_path(folder: Path, set_name: str, number: int, kind: str) -> Path:
    """Where an image of the ``number``-th worst filling lies; kinds as for :func:`image_path`."""
    return folder / IMAGES_FOLDER / f"{set_name}-worst-{number:02d}-{kind}.png"


def image_path(folder: Path, set_name: str, number: int, kind: str) -> Path:
    """Where an image of an example lies: kinds are the keys of :func:`example_images`."""
    return folder / IMAGES_FOLDER / f"{set_name}-{number:02d}-{kind}.png"


def figure_path(folder: Path, set_name: str, number: int, figure: int) -> Path:
    """Where Figure 6 or 7 of an example lies."""
    return folder / FIGURES_FOLDER / f"{set_name}-{number:02d}-figure{figure}.png"


def example_images(example: Example, label_space: LabelSpace) -> dict[str, Pixels]:
    """Every image there is of an example, (H, W, 3) uint8, by kind."""
    original = to_image(example.image)
    images = {
        "original": original,
        "corrupted": corrupted_image(original, example.hole_mask[0].numpy()),
        "inpainted": to_image(example.inpainted),
        "labels": label_space.colourise(example.label.numpy()),
    }
    if example.predicted_label is not None:
        images["segmentation"] = label_space.colourise(example.predicted_label.numpy())
    if example.filled_label is not None:
        images["filled_segmentation"] = label_space.colourise(example.filled_label.numpy())
    if example.confidence is not None:
        images["confidence"] = confidence_image(example.confidence)
    return images


def _overview_kinds(examples: list[Example]) -> list[str]:
    kinds = ["corrupted", "inpainted", "original"]
    return [*kinds, "segmentation", "labels"] if examples[0].predicted_label is not None else kinds


def _write_figures(folder: Path, set_name: str, number: int, example: Example, label_space: LabelSpace) -> None:
    prediction = example.prediction
    if prediction is None or not prediction.label_logits:
        return
    sample = Sample(example.image, example.hole_mask, example.label, prediction)
    _save(refinement_figure(sample, label_space), figure_path(folder, set_name, number, 6))
    _save(confidence_figure(sample, label_space), figure_path(folder, set_name, number, 7))


def _save(image: Pixels, path: Path) -> None:
    Image.fromarray(image).save(path)
