"""The tables of segmentation: after inpainting (Table 4), of automatic labels, and what these cost (Table 5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.report.collect import SEGMENTER_TITLES, DatasetResults, MethodResult
from pipelines.report.pairs import miou_difference
from pipelines.report.tables import SCORES, Cell, Table, interval, per_picture
from sgenet.evaluation.statistics import paired_difference

_SPLITS = {"train": "training pictures", "val": "held-out pictures"}
_SOURCES = {"human": "people's labels", "auto": "automatic labels", "fill": "people's labels, filled up"}
_REGIONS = ("whole", "hole")
_COMPARED = [score for score in SCORES if score.name in ("psnr", "psnr_hole", "ssim", "l1_hole", "miou")]
_QUALITY = {
    "miou": "mIoU",
    "pixel_accuracy": "pixel accuracy",
    "calibration_error": "calibration error",
    "trusted_share": "share labelled",
    "trusted_miou": "mIoU of it",
    "trusted_pixel_accuracy": "pixel accuracy of it",
}


@dataclass(frozen=True)
class _Segmentation:
    """A way to a segmentation of a picture with a hole."""

    title: str
    method: MethodResult
    filled: bool  # by a segmenter that sees the filled picture, and not by the method itself

    def text(self, set_name: str, region: str) -> str:
        return f"{self.method.metrics[set_name][self.name(region)]:.3f}"

    def interval(self, set_name: str, region: str) -> str:
        low, high = self.method.intervals[set_name][self.name(region)]
        return f"{low:.3f} … {high:.3f}"

    def name(self, region: str) -> str:
        return f"miou{'_filled' if self.filled else ''}{'_hole' if region == 'hole' else ''}"


def after_inpainting(
    results: DatasetResults, set_name: str, against: str, published: Mapping[str, float] | None = None
) -> Table | None:
    """Segmenting what was filled, against methods that segment and fill together (Table 4).

    Args:
        results: of one dataset.
        set_name: of the holes.
        against: the method whose own segmentation the others are compared with, picture by picture.
        published: the paper's mIoU by method, for a column of its own.
    """
    segmenter = results.summary.get("segmenter")
    if segmenter is None:
        return None
    tool = SEGMENTER_TITLES[segmenter]
    filled = [_Segmentation(f"{method.title} + {tool}", method, True) for method in results.methods]
    own = [
        _Segmentation(f"{method.title}, its own", method, False)
        for method in results.methods
        if "miou" in method.metrics[set_name]
    ]
    reference = next((way for way in own if way.method.name == against), None)
    best = {region: max(way.text(set_name, region) for way in (*filled, *own)) for region in _REGIONS}
    ways = [*filled, *own]
    if results.undamaged is not None:
        ways.append(_Segmentation(f"{results.undamaged.title} + {tool}", results.undamaged, True))
    rows = []
    for way in ways:
        cells = [Cell(way.title)]
        for region in _REGIONS:
            text = way.text(set_name, region)
            competes = way.method is not results.undamaged
            cells.append(Cell(text, way.interval(set_name, region), competes and text == best[region]))
        if reference is not None:
            cells += [_difference(way, reference, set_name, region) for region in _REGIONS]
        cells.append(Cell(str(int(way.method.metrics[set_name]["num_pictures"]))))
        if published:
            # The paper has SGE-Net's own, and those of others' fillings.
            theirs = published.get(way.method.name) if way.filled == (way.method.name != "sge_net") else None
            cells.append(Cell("–" if theirs is None else f"{theirs:.2f}"))
        rows.append(cells)
    columns = ["method", "mIoU ↑", "mIoU hole ↑"]
    if reference is not None:
        columns += [f"Δ to {reference.title}", "Δ in the hole"]
    columns += ["N", *(["paper: mIoU"] if published else [])]
    note = (
        "mIoU from one confusion matrix over all pixels, with 95 % bootstrap intervals over pictures; differences over "
        "the same pictures. Undamaged pictures: what the segmenter makes of the originals."
    )
    title = f"Segmentation after inpainting, holes: {set_name}"
    return Table(title, columns, rows, note, name=f"segmentation-{set_name}")


def label_quality(results: DatasetResults) -> Table | None:
    """How well the automatic labels that were trained with agree with people's."""
    made = next((labels for method in results.methods if (labels := _automatic_labels(method)) is not None), None)
    if made is None:
        return None
    rows = []
    for split, scores in made["agreement"].items():
        cells = [Cell(_SPLITS.get(split, split)), Cell(str(scores["pictures"]))]
        cells += [Cell("–" if scores[name] is None else f"{scores[name]:.3f}") for name in _QUALITY]
        rows.append(cells)
    note = (
        f"{SEGMENTER_TITLES[made['segmenter']]} against people's labels, where there are any; a pixel is labelled "
        f"where the most probable class has at least {made['threshold']:g}. A segmenter fitted to these training "
        "pictures knows them better than any others."
    )
    return Table("Automatic labels", ["labels of", "N", *_QUALITY.values()], rows, note, name="labels")


def label_sources(
    datasets: Sequence[DatasetResults], published: Callable[[str, str], Mapping[str, float]]
) -> list[Table]:
    """The same methods trained with people's and with automatic labels (Table 5).

    Datasets are put beside each other where they are the same pictures with the same holes, and only where labels come
    from differs.

    Args:
        datasets: of the whole report.
        published: from dataset and mask set to the paper's PSNR of SGE-Net by label source.
    """
    note = (
        "Trained with different labels, scored by people's. Means over pictures with their 95 % bootstrap intervals; "
        "differences to the first source over the same pictures."
    )
    tables = []
    for group in _same_pictures(datasets):
        names = ", ".join(results.name for results in group)
        for set_name in group[0].sets:
            theirs = published(group[0].name, set_name)
            rows = [row for method in group[0].methods for row in _source_rows(method.name, group, set_name, theirs)]
            if not rows:
                continue
            columns = ["method", *(score.title for score in _COMPARED), "Δ PSNR", "N"]
            columns += ["paper: PSNR"] if theirs else []
            title = f"People's and automatic labels ({names}), holes: {set_name}"
            tables.append(Table(title, columns, rows, note, name=f"label-sources-{group[0].name}-{set_name}"))
    return tables


def _source_rows(
    name: str, group: Sequence[DatasetResults], set_name: str, published: Mapping[str, float]
) -> list[list[Cell]]:
    trained = [method for results in group if (method := results.method(name)) and method.training is not None]
    sources = [_source(method) for method in trained]
    if len(set(sources)) < 2:
        return []
    order = sorted(range(len(trained)), key=lambda index: list(_SOURCES).index(sources[index]))
    first = trained[order[0]]
    rows = []
    for index in order:
        method = trained[index]
        cells = [Cell(f"{method.title}, {_told(method)}")]
        for score in _COMPARED:
            cells.append(
                Cell(score.format(method.metrics[set_name].get(score.name)), interval(score, method, set_name))
            )
        if method is first:
            cells.append(Cell("–"))
        else:
            difference = paired_difference(per_picture(method, set_name, "psnr"), per_picture(first, set_name, "psnr"))
            cells.append(Cell(f"{difference.value:+z.2f}", f"{difference.low:+z.2f} … {difference.high:+z.2f}"))
        cells.append(Cell(str(int(method.metrics[set_name]["num_pictures"]))))
        if published:
            of_paper = published.get(sources[index]) if name == "sge_net" else None
            cells.append(Cell("–" if of_paper is None else f"{of_paper:.2f}"))
        rows.append(cells)
    return rows


def _same_pictures(datasets: Sequence[DatasetResults]) -> list[list[DatasetResults]]:
    groups: dict[tuple[str, ...], list[DatasetResults]] = {}
    for results in datasets:
        key = tuple(str(results.summary[name]) for name in ("shards_digest", "masks_digest", "split"))
        groups.setdefault(key, []).append(results)
    return [group for group in groups.values() if len(group) > 1]


def _source(method: MethodResult) -> str:
    return "human" if method.training is None else str(method.training.facts.get("labels", "human"))


def _told(method: MethodResult) -> str:
    made = _automatic_labels(method)
    tool = "" if made is None else f" of {SEGMENTER_TITLES[made['segmenter']]}"
    return f"{_SOURCES[_source(method)]}{tool}"


def _automatic_labels(method: MethodResult) -> Mapping[str, Any] | None:
    return None if method.training is None else method.training.facts.get("automatic_labels")


def _difference(way: _Segmentation, reference: _Segmentation, set_name: str, region: str) -> Cell:
    if way is reference:
        return Cell("–")
    ours, theirs = (
        each.method.counts(set_name, each.name(region).replace("miou", "confusion")) for each in (way, reference)
    )
    estimate = miou_difference(ours, theirs)
    return Cell(f"{estimate.value:+z.3f}", f"{estimate.low:+z.3f} … {estimate.high:+z.3f}")
