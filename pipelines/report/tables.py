"""The tables of the report as plain text cells, so that page, terminal and files show the same numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.report.collect import DatasetResults, MethodResult
from pipelines.report.paper import Published
from pipelines.settings.titles import SEGMENTER_TITLES
from sgenet.evaluation.confidence import correlate
from sgenet.evaluation.metrics import miou_differences
from sgenet.evaluation.statistics import Estimate, bootstrap_total, paired_difference
from sgenet.methods.registry import LABEL_STARTED_METHODS


@dataclass(frozen=True)
class Score:
    """How a score, which has this name in ``metrics.json``, is shown."""

    name: str
    title: str
    decimals: int
    higher_is_better: bool

    def format(self, value: float | None) -> str:
        """The number as the tables print it; a dash where there is none."""
        return "–" if value is None or math.isnan(value) else f"{value:.{self.decimals}f}"


def signed(value: float, decimals: int, sign: str = "+") -> str:
    """A number that may be negative, with a minus sign and no hyphen; ``sign`` is ``+``, or nothing, before others."""
    return f"{value:{sign}z.{decimals}f}".replace("-", "−")


def difference_cell(estimate: Estimate, decimals: int, sign: str = "+") -> Cell:
    """A signed number and its interval; a dash where there is none."""
    if math.isnan(estimate.value):
        return Cell("–")
    low, high = (signed(bound, decimals, sign) for bound in (estimate.low, estimate.high))
    return Cell(signed(estimate.value, decimals, sign), "" if math.isnan(estimate.low) else f"{low} … {high}")


# ``metrics.json`` holds more; these are the ones that decide. Narrow screens and terminals show the first ones.
SCORES = (
    Score("psnr", "PSNR ↑", 2, True),
    Score("psnr_hole", "PSNR hole ↑", 2, True),
    Score("ssim", "SSIM ↑", 3, True),
    Score("ssim_hole", "SSIM hole ↑", 3, True),
    Score("vgg_distance", "VGG distance ↓", 3, False),
    Score("lpips", "LPIPS ↓", 3, False),
    Score("fid", "FID ↓", 1, False),
    Score("l1", "L1 ↓", 4, False),
    Score("l1_hole", "L1 hole ↓", 4, False),
    Score("miou", "mIoU ↑", 3, True),
    Score("miou_hole", "mIoU hole ↑", 3, True),
    Score("miou_filled_hole", "mIoU hole, filled ↑", 3, True),
)

_GROUPINGS = (("stratum", "scene complexity"), ("hole_ratio", "hole ratio"))
_ABLATION_SCORES = ("psnr", "psnr_hole", "ssim", "vgg_distance", "l1_hole")
_COST_COLUMNS = ("parameters", "FLOPs", "training time")


@dataclass(frozen=True)
class Cell:
    """One cell: a number or word, set small beside it a detail such as an interval, and whether it is the best."""

    text: str
    detail: str = ""
    best: bool = False


@dataclass(frozen=True)
class Table:
    """A table, whose first column names the row; ``name`` is that of its files, without ending."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]] = field(default_factory=list)
    note: str = ""
    name: str = "table"


def headline(results: DatasetResults, set_name: str, *, published: Mapping[str, Published] | None = None) -> Table:
    """Every method with its mean scores and their intervals, as in Table 1; :func:`costs` has what they cost.

    The paper's numbers, where there are some, stand in a column of their own.
    """
    shown = [score for score in SCORES if any(score.name in method.metrics[set_name] for method in results.methods)]
    best = {score.name: _best(score, results.methods, set_name) for score in shown}
    rows = []
    for method in results.methods:
        metrics = method.metrics[set_name]
        cells = [Cell(method.title)]
        for score in shown:
            text = score.format(metrics.get(score.name))
            cells.append(Cell(text, interval(score, method, set_name), text == best[score.name]))
        if published:
            cells.append(Cell(str(published.get(method.name, "–"))))
        rows.append(cells)
    rows += [_upper_bound_row(method, set_name, shown, bool(published)) for method in results.upper_bounds]
    note = "Means over images with their 95 % bootstrap intervals; mIoU from one confusion matrix over all pixels."
    if results.summary.get("segmenter") and any(method.name in LABEL_STARTED_METHODS for method in results.methods):
        note += f" SPG-Net starts from the labels of {SEGMENTER_TITLES[results.summary['segmenter']]}."
    if any(method.copies_texture for method in results.methods):
        note += " + exemplars: texture copied from the known pixels of the image, along what the method filled."
    if any(score.name == "miou_filled_hole" for score in shown):
        note += f" mIoU hole, filled: of the filled image, by {SEGMENTER_TITLES[results.summary['segmenter']]}."
    if results.upper_bounds:
        note += (
            " A method that is given the true labels is told part of the answer: its row is not a result, but shows "
            "how well it follows a segmentation. It is the upper bound after training with true labels alone "
            "(`guidance.given: 1`)."
        )
    columns = ["method", *(score.title for score in shown)]
    if published:
        columns.append("paper: PSNR / SSIM / FID")
    number = int(results.methods[0].metrics[set_name]["num_images"])
    return Table(f"Holes: {set_name} · {number} images", columns, rows, note, name=f"scores-{set_name}")


def true_labels(results: DatasetResults, set_name: str) -> Table | None:
    """What true labels in place of the predicted ones change, and whether better segmentation is nearer to it."""
    rows = []
    for bound in results.upper_bounds:
        method = results.method(bound.name)
        assert method is not None, "an upper bound comes with its method"
        own, guided = (per_image(each, set_name, "psnr_hole") for each in (method, bound))
        accuracy = _hole_accuracy(method, set_name)
        correlation = correlate(accuracy.tolist(), (guided - own).tolist())
        cells = [Cell(method.title), difference_cell(paired_difference(guided, own), 2)]
        cells += [difference_cell(estimate, 2, "") for estimate in (correlation.pearson, correlation.spearman)]
        rows.append([*cells, Cell(str(int((~np.isnan(accuracy + guided - own)).sum())))])
    if not rows:
        return None
    columns = ["method", "Δ PSNR hole, given the true labels ↑", "Pearson r", "Spearman ρ", "N"]
    note = (
        "Gain of true labels over the predicted ones, and its correlation over images with the accuracy of the "
        "segmentation in the hole. Negative: where the segmentation is right, true labels add little."
    )
    title = f"Response to the true labels, holes: {set_name}"
    return Table(title, columns, rows, note, name=f"true-labels-{set_name}")


def ablation(results: DatasetResults, set_name: str) -> Table | None:
    """Each trained method against the first of them, image by image, as in Table 3."""
    trained = [method for method in results.methods if method.training is not None]
    if len(trained) < 2:
        return None
    scores = [score for score in SCORES if score.name in _ABLATION_SCORES and taken(score, trained, set_name)]
    rows = []
    for method in trained[1:]:
        cells = [Cell(method.title)]
        for score in scores:
            cells.append(difference_cell(difference(method, trained[0], set_name, score.name), score.decimals))
        rows.append(cells + _cost_cells(method))
    costs_of_first = ", ".join(cell.text for cell in _cost_cells(trained[0]))
    note = (
        "Mean difference over the same images with its 95 % bootstrap interval. "
        f"{trained[0].title}: {', '.join(_COST_COLUMNS)} {costs_of_first}."
    )
    columns = ["method", *(f"Δ {score.title}" for score in scores), *_COST_COLUMNS]
    return Table(f"Against {trained[0].title}, holes: {set_name}", columns, rows, note, name=f"ablation-{set_name}")


def breakdowns(results: DatasetResults, set_name: str) -> list[Table]:
    """PSNR and SSIM of every method per stratum and per hole-ratio bin."""
    tables = []
    for grouping, title in _GROUPINGS:
        of_methods = [
            [group for group in method.groups if (group.set_name, group.grouping) == (set_name, grouping)]
            for method in results.methods
        ]
        rows = []
        for groups in zip(*of_methods, strict=True):
            best = max(group.scores["psnr"] for group in groups)
            cells = [
                Cell(f"{group.scores['psnr']:.2f} / {group.scores['ssim']:.3f}", best=group.scores["psnr"] == best)
                for group in groups
            ]
            rows.append([Cell(groups[0].name), Cell(str(groups[0].num_images)), *cells])
        columns = [title, "N", *(method.title for method in results.methods)]
        note = "PSNR / SSIM of the whole image."
        tables.append(Table(f"By {title}, holes: {set_name}", columns, rows, note, name=f"by-{grouping}-{set_name}"))
    return tables


def costs(results: DatasetResults) -> Table | None:
    """What each trained method costs: size, work, time."""
    rows = []
    for method in results.trained:
        assert method.training is not None
        facts, (parameters, flops, time) = method.training.facts, _cost_cells(method)
        texts = (
            _budget(method.training.recipe.get("training", {})),
            _scaled(facts.get("images_per_second"), 1, ""),
            _scaled(facts.get("data_wait_share"), 0.01, "%"),
            method.training.perceptual_network,
        )
        rows.append([Cell(method.title), parameters, flops, Cell(_plain(facts.get("steps"))), time, *map(Cell, texts)])
    if not rows:
        return None
    columns = ["method", "parameters", "FLOPs", "steps", "time", "budget", "images/s", "waiting for data"]
    columns.append("VGG weights")
    note = "FLOPs of one image: two for each multiply-accumulate."
    return Table("Size and cost", columns, rows, note, name="costs")


def confidence(results: DatasetResults) -> Table | None:
    """Does confidence follow the error, and does doubt shrink from scale to scale? (Fig. 7 and 8)"""
    rows = []
    scales = [4, 3, 2, 1, 0]
    for method in results.methods:
        for set_name, metrics in method.metrics.items():
            if "confidence_hole" not in metrics:
                continue
            cells = [Cell(f"{method.title}, {set_name}"), Cell(f"{metrics['confidence_hole']:.3f}")]
            for kind in ("pearson", "spearman"):
                name = f"confidence_l1_{kind}"
                known = name in metrics
                low, high = (signed(metrics[f"{name}_{end}"], 2, "") if known else "" for end in ("low", "high"))
                cells.append(Cell(signed(metrics[name], 2, ""), f"{low} … {high}") if known else Cell("–"))
            shares = [metrics.get(f"unreliable_hole_{scale}") for scale in scales]
            cells.append(Cell(" → ".join(f"{100 * share:.0f}" for share in shares if share is not None) or "–"))
            rows.append(cells)
    if not rows:
        return None
    columns = ["method, holes", "mean in hole", "Pearson r", "Spearman ρ", "unreliable % in hole, scale 4 → 0"]
    note = "Negative correlation: confident holes have small errors."
    return Table("Confidence against hole L1", columns, rows, note, name="confidence")


def _upper_bound_row(method: MethodResult, set_name: str, shown: Sequence[Score], with_paper: bool) -> list[Cell]:
    metrics = method.metrics[set_name]
    recipe = {} if method.training is None else method.training.recipe
    only_true = recipe.get("guidance", {}).get("given") == 1
    how = "trained with and given the true labels: upper bound" if only_true else "given the true labels"
    cells = [Cell(f"{method.title}, {how}")]
    for score in shown:
        # The scores of a segmentation that was given say nothing.
        given = score.name in ("miou", "miou_hole")
        cells.append(
            Cell("–") if given else Cell(score.format(metrics.get(score.name)), interval(score, method, set_name))
        )
    return [*cells, *([Cell("–")] if with_paper else [])]


def _hole_accuracy(method: MethodResult, set_name: str) -> np.ndarray:
    """Share of each hole's labelled pixels whose class was predicted; NaN where there is none."""
    counts = method.counts(set_name, "confusion_hole")
    right, total = np.trace(counts, axis1=1, axis2=2), counts.sum(axis=(1, 2))
    shares: np.ndarray = np.divide(right, total, out=np.full(len(counts), np.nan), where=total > 0)
    return shares


def _cost_cells(method: MethodResult) -> list[Cell]:
    """The columns of :data:`_COST_COLUMNS`; dashes for a method without learning."""
    facts = {} if method.training is None else method.training.facts
    return [
        Cell(_scaled(facts.get("parameters"), 1e6, "M")),
        # Two operations for each multiply-accumulate, in units of 1e9.
        Cell(_scaled(facts.get("macs"), 5e8, "G")),
        Cell(_scaled(facts.get("seconds"), 60, "min")),
    ]


def _budget(training: Mapping[str, Any]) -> str:
    """What ended the training."""
    if training.get("budget") == "wall_clock":
        return f"{training['seconds']:,g} s"
    return f"{training['steps']:,} steps" if "steps" in training else "–"


def _best(score: Score, methods: Sequence[MethodResult], set_name: str) -> str | None:
    """The best value as printed, so that methods equal in print are both marked; None for a single method."""
    values = [method.metrics[set_name][score.name] for method in methods if score.name in method.metrics[set_name]]
    if len(values) < 2:
        return None
    return score.format(max(values) if score.higher_is_better else min(values))


def interval(score: Score, method: MethodResult, set_name: str) -> str:
    """The interval of a score as the tables print it; empty where there is none."""
    bounds = method.intervals[set_name].get(score.name)
    return "" if bounds is None else f"{score.format(bounds[0])} … {score.format(bounds[1])}"


def taken(score: Score, methods: Sequence[MethodResult], set_name: str) -> bool:
    """Whether every one of the methods has the score."""
    return all(score.name in method.metrics[set_name] for method in methods)


def per_image(method: MethodResult, set_name: str, score: str) -> np.ndarray:
    """One score an image, in the order of the index, which is the same for every method."""
    table = method.images
    rows = np.asarray(table["set"].to_pylist()) == set_name
    values: np.ndarray = np.asarray(table[score].to_pylist(), np.float64)[rows]
    return values


def difference(first: MethodResult, second: MethodResult, set_name: str, score: str) -> Estimate:
    """The score of one method less that of another on the same images, with its interval over images."""
    if score.startswith("miou"):
        column = score.replace("miou", "confusion")
        return miou_difference(first.counts(set_name, column), second.counts(set_name, column))
    return paired_difference(per_image(first, set_name, score), per_image(second, set_name, score))


def miou_difference(first: npt.NDArray[np.int64], second: npt.NDArray[np.int64]) -> Estimate:
    """The same of mIoU, from (N, C, C) or (N, C, C + 1) counts of the same images in the same order."""
    columns = max(first.shape[2], second.shape[2])
    wide = [np.pad(counts, ((0, 0), (0, 0), (0, columns - counts.shape[2]))) for counts in (first, second)]
    return bootstrap_total(np.stack(wide, axis=1), miou_differences)


def _scaled(value: Any, unit: float, symbol: str) -> str:
    return "–" if value is None else f"{value / unit:.1f} {symbol}".strip()


def _plain(value: Any) -> str:
    return "–" if value is None else f"{value:,}"
