"""The tables of segmentation: after inpainting (Table 4), of automatic labels, and what these cost (Table 5)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.report.collect import DatasetResults, MethodResult, Training
from pipelines.report.tables import (
    SCORES,
    Cell,
    Score,
    Table,
    difference,
    difference_cell,
    interval,
    miou_difference,
)
from pipelines.settings.titles import SEGMENTER_TITLES
from sgenet.methods.registry import LABEL_STARTED_METHODS

_SPLITS = {"train": "training images", "val": "held-out images"}
_SOURCES = {
    "human": "people's labels",
    "auto": "automatic labels",
    "fill": "people's labels, gaps filled automatically",
}
_REGIONS = ("", "_hole")
_SOURCE_SCORES = [score for score in SCORES if score.name in ("psnr", "psnr_hole", "ssim", "l1_hole", "miou")]
_QUALITY = {
    "miou": "mIoU",
    "pixel_accuracy": "pixel accuracy",
    "calibration_error": "calibration error",
    "trusted_share": "share labelled",
    "trusted_miou": "mIoU (labelled part)",
    "trusted_pixel_accuracy": "pixel accuracy (labelled part)",
}

PaperBySource = Callable[[str, str, str | None], Mapping[str, float]]
"""From a dataset, a mask set and the segmenter of automatic labels to the paper's PSNR of SGE-Net by label source."""


@dataclass(frozen=True)
class _Segmentation:
    """A source of segmentations: a method's own, or a segmenter on its filled images."""

    title: str
    method: MethodResult
    filled: bool  # by a segmenter that sees the filled image, and not by the method itself

    def score(self, region: str) -> Score:
        """Its mIoU over a region, one of :data:`_REGIONS`."""
        return Score(f"miou{'_filled' if self.filled else ''}{region}", "", 3, True)

    def text(self, set_name: str, region: str) -> str:
        """The score as the table shows it; a dash where no pixel of the region is labelled."""
        score = self.score(region)
        return score.format(self.method.metrics[set_name].get(score.name))

    def counts(self, set_name: str, region: str) -> npt.NDArray[np.int64]:
        return self.method.counts(set_name, self.score(region).name.replace("miou", "confusion"))


def after_inpainting(
    results: DatasetResults, set_name: str, against: str, published: Mapping[str, float] | None = None
) -> Table | None:
    """Segmenting what was filled, against methods that segment and fill together (Table 4).

    Args:
        against: the method whose own segmentation the others are compared with, image by image.
        published: the paper's mIoU by method, for a column of its own.
    """
    segmenter = results.summary.get("segmenter")
    if segmenter is None:
        return None
    tool = SEGMENTER_TITLES[segmenter]
    ways = [_Segmentation(f"{method.title} + {tool}", method, filled=True) for method in results.methods]
    ways += [_Segmentation(f"{method.title}, its own", method, filled=False) for method in results.methods]
    ways = [way for way in ways if way.text(set_name, "") != "–"]
    if not any(way.filled for way in ways):
        return None
    reference = next((way for way in ways if way.method.name == against and not way.filled), None)
    # As the table shows them, so that equal texts are marked alike.
    shown = {region: {way.text(set_name, region) for way in ways} - {"–"} for region in _REGIONS}
    best = {region: max(texts, key=float, default=None) for region, texts in shown.items()}
    if results.undamaged is not None:
        ways.append(_Segmentation(f"{results.undamaged.title} + {tool}", results.undamaged, filled=True))
    rows = []
    for way in ways:
        cells = [Cell(way.title)]
        for region in _REGIONS:
            text, bounds = way.text(set_name, region), interval(way.score(region), way.method, set_name)
            cells.append(Cell(text, bounds, way.method is not results.undamaged and text == best[region]))
        if reference is not None:
            cells += [_difference(way, reference, set_name, region) for region in _REGIONS]
        cells.append(Cell(str(int(way.method.metrics[set_name]["num_images"]))))
        if published:
            # The paper's Table 4 has SGE-Net's own segmentation, and a segmenter's of the images that others fill.
            in_paper = not way.filled if way.method.name == "sge_net" else way.filled
            theirs = published.get(way.method.name) if in_paper else None
            cells.append(Cell("–" if theirs is None else f"{theirs:.2f}"))
        rows.append(cells)
    columns = ["method", "mIoU ↑", "mIoU hole ↑"]
    if reference is not None:
        columns += [f"Δ to {reference.title}", "Δ in the hole"]
    columns += ["N", *(["paper: mIoU"] if published else [])]
    note = (
        "mIoU from one confusion matrix over all labelled pixels, with 95 % bootstrap intervals over images; "
        "differences over the same images. Undamaged images: the segmenter's scores on the originals."
    )
    title = f"Segmentation after inpainting, holes: {set_name}"
    return Table(title, columns, rows, note, name=f"segmentation-{set_name}")


def label_quality(results: DatasetResults) -> Table | None:
    """How well the automatic labels that were trained with agree with people's."""
    automatic = next((labels for method in results.methods if (labels := _automatic_labels(method)) is not None), None)
    if automatic is None or results.models_of != results.name:
        return None
    rows = []
    for split, scores in automatic["agreement"].items():
        cells = [Cell(_SPLITS.get(split, split)), Cell(str(scores["images"]))]
        cells += [Cell("–" if scores[name] is None else f"{scores[name]:.3f}") for name in _QUALITY]
        rows.append(cells)
    note = (
        f"{SEGMENTER_TITLES[automatic['segmenter']]} against people's labels, where there are any; a pixel is labelled "
        f"where the most probable class has at least {automatic['threshold']:g}. Scores on the images that "
        "a segmenter was fitted to are optimistic."
    )
    return Table("Automatic labels", ["labels of", "N", *_QUALITY.values()], rows, note, name="labels")


def label_sources(datasets: Sequence[DatasetResults], published: PaperBySource) -> list[Table]:
    """The same methods trained with people's and with automatic labels (Table 5).

    Trainings are compared where only the source of their labels differs: the same images and holes, the
    same recipe and training holes, and the same code.
    """
    note = (
        "Trained with different labels and otherwise alike, scored by people's labels. Means over images with their "
        "95 % bootstrap intervals; differences to the first source over the same images."
    )
    tables = []
    for group in _same_images(datasets):
        names = ", ".join(results.name for results in group)
        for set_name in group[0].sets:
            of_methods = [_by_label_source(method.name, group) for method in group[0].methods]
            rows = [row for trained in of_methods for row in _source_rows(trained, set_name, published)]
            if not rows:
                continue
            columns = ["method", *(score.title for score in _SOURCE_SCORES), "Δ PSNR", "N"]
            columns += ["paper: PSNR"] if len(rows[0]) > len(columns) else []
            title = f"People's and automatic labels ({names}), holes: {set_name}"
            tables.append(Table(title, columns, rows, note, name=f"label-sources-{group[0].name}-{set_name}"))
    return tables


def _same_images(datasets: Sequence[DatasetResults]) -> list[list[DatasetResults]]:
    groups: dict[tuple[str, ...], list[DatasetResults]] = {}
    for results in datasets:
        if results.models_of == results.name:
            key = tuple(str(results.summary[name]) for name in ("shards_digest", "masks_digest", "split"))
            groups.setdefault(key, []).append(results)
    return [group for group in groups.values() if len(group) > 1]


def _by_label_source(name: str, group: Sequence[DatasetResults]) -> list[tuple[str, MethodResult, Training]]:
    """A method's trainings on the datasets of a group, in the order of :data:`_SOURCES`.

    Empty where they differ in more than the source of their labels, or not in that.
    """
    trained = [
        (results.name, method, method.training)
        for results in group
        if (method := results.method(name)) is not None and method.training is not None
    ]
    trained.sort(key=lambda each: list(_SOURCES).index(_source(each[2])))
    # Methods that start from a segmenter's labels fill differently with another segmenter.
    by_segmenter = name in LABEL_STARTED_METHODS
    setups = {
        (_all_but_data(training), method.summary.get("segmenter_sha256") if by_segmenter else None)
        for _, method, training in trained
    }
    sources = {_source(training) for _, _, training in trained}
    return trained if len(sources) > 1 and len(setups) == 1 else []


def _all_but_data(training: Training) -> str:
    """What decides a training beside its data: the recipe, the training holes and the code."""
    facts = training.facts
    return json.dumps([training.recipe, facts.get("holes"), facts.get("digests", {}).get("code")])


def _source_rows(
    trained: Sequence[tuple[str, MethodResult, Training]], set_name: str, published: PaperBySource
) -> list[list[Cell]]:
    automatic = next((labels for _, method, _ in trained if (labels := _automatic_labels(method)) is not None), None)
    rows = []
    for dataset, method, training in trained:
        cells = [Cell(f"{method.title}, {_source_title(training)}, {dataset}")]
        cells += [
            Cell(score.format(method.metrics[set_name].get(score.name)), interval(score, method, set_name))
            for score in _SOURCE_SCORES
        ]
        first = trained[0][1]
        if method is first:
            cells.append(Cell("–"))
        else:
            cells.append(difference_cell(difference(method, first, set_name, "psnr"), 2))
        cells.append(Cell(str(int(method.metrics[set_name]["num_images"]))))
        if theirs := published(dataset, set_name, None if automatic is None else automatic["segmenter"]):
            of_paper = theirs.get(_source(training)) if method.name == "sge_net" else None
            cells.append(Cell("–" if of_paper is None else f"{of_paper:.2f}"))
        rows.append(cells)
    return rows


def _source(training: Training) -> str:
    """Where a training has its labels from: a key of :data:`_SOURCES`."""
    return str(training.facts.get("labels", "human"))


def _source_title(training: Training) -> str:
    """The same in words, with the segmenter of automatic labels."""
    automatic = training.facts.get("automatic_labels")
    tool = "" if automatic is None else f" of {SEGMENTER_TITLES[automatic['segmenter']]}"
    return f"{_SOURCES[_source(training)]}{tool}"


def _automatic_labels(method: MethodResult) -> Mapping[str, Any] | None:
    return None if method.training is None else method.training.facts.get("automatic_labels")


def _difference(way: _Segmentation, reference: _Segmentation, set_name: str, region: str) -> Cell:
    if way is reference or "–" in (way.text(set_name, region), reference.text(set_name, region)):
        return Cell("–")
    return difference_cell(miou_difference(way.counts(set_name, region), reference.counts(set_name, region)), 3)
