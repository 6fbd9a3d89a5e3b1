"""Everything the report shows of one dataset, read from its run folders. What is absent stays absent."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.evaluation.baselines import UNDAMAGED
from pipelines.evaluation.files import BREAKDOWN, EXEMPLAR, IMAGES, INTERVALS, METRICS, SUMMARY, UPPER_BOUND
from pipelines.evaluation.images import WORST
from pipelines.settings.layout import DatasetPaths, RunPaths
from pipelines.settings.params import Settings
from pipelines.settings.titles import TITLES
from sgenet.errors import DataError
from sgenet.methods.files import DESCRIPTION

Curve = tuple[list[int], list[float]]
"""Steps of a training, and a value at each."""


@dataclass(frozen=True)
class Group:
    """The scores of some of the images, grouped by ``stratum`` or ``hole_ratio``; only those the method has."""

    set_name: str
    grouping: str
    name: str
    num_images: int
    scores: Mapping[str, float]


@dataclass(frozen=True)
class Training:
    """How a method was trained: ``training.json``, its recipe, and the curves of its losses and validation scores."""

    facts: Mapping[str, Any]
    recipe: Mapping[str, Any]
    losses: Mapping[str, Curve]
    validation: Mapping[str, Curve]

    @property
    def perceptual_network(self) -> str:
        """Which weights the VGG of the perceptual loss had; ``none`` where there was none."""
        return str(self.facts.get("perceptual_weights", "–"))


@dataclass(frozen=True)
class MethodResult:
    """One method evaluated on one dataset.

    Attributes:
        name, title: in files and in tables.
        metrics: ``{set: {score: mean}}``.
        intervals: ``{set: {score: (low, high)}}``.
        summary: ``evaluation.json``.
        images: ``images.parquet`` without the confusion counts, which are most of it.
        training: None for a baseline.
        worst: ``worst.json``.
        copies_texture: whether the texture is copied from known pixels: a trained method's second row.
    """

    name: str
    title: str
    folder: Path
    metrics: Mapping[str, Mapping[str, float]]
    intervals: Mapping[str, Mapping[str, tuple[float, float]]]
    groups: Sequence[Group]
    summary: Mapping[str, Any]
    images: pa.Table
    training: Training | None
    worst: Mapping[str, Sequence[Mapping[str, Any]]]
    copies_texture: bool = False

    def counts(self, set_name: str, column: str) -> npt.NDArray[np.int64]:
        """The confusion counts of every image with one set of holes, in the order of the index.

        (N, C, C), or (N, C, C + 1) where a segmenter may say *none of them*.

        Args:
            column: of ``images.parquet``, read again each time: the counts of a large evaluation are most of it.
        """
        table = pq.read_table(self.folder / IMAGES, columns=[column], filters=[("set", "=", set_name)])
        cells = table[column].combine_chunks().flatten().to_numpy()
        classes = math.isqrt(len(cells) // len(table))
        counts: npt.NDArray[np.int64] = cells.reshape(len(table), classes, -1)
        return counts


@dataclass(frozen=True)
class DatasetResults:
    """The methods evaluated on one dataset, baselines first, all on the same images and holes.

    Attributes:
        missing: methods of the settings that have not been evaluated.
        upper_bounds: of these methods, those that are given the true labels.
        models_of: the dataset that the methods were trained on; another one for a dataset of ``transfer``.
        undamaged: the images before there were holes, where a segmenter has looked at them.
    """

    name: str
    methods: Sequence[MethodResult]
    missing: Sequence[str]
    upper_bounds: Sequence[MethodResult]
    models_of: str
    undamaged: MethodResult | None = None

    @property
    def trained(self) -> list[MethodResult]:
        """The methods that were trained, each once."""
        return [method for method in self.methods if method.training is not None and not method.copies_texture]

    @property
    def sets(self) -> list[str]:
        """Names of the evaluation mask sets."""
        return list(self.methods[0].metrics)

    @property
    def summary(self) -> Mapping[str, Any]:
        """What every method was evaluated on."""
        return self.methods[0].summary

    def strata(self) -> dict[str, str]:
        """The complexity of each image's scene, by the image's key; the same whatever its hole."""
        keys, strata = (self.methods[0].images[name].to_pylist() for name in ("key", "stratum"))
        return dict(zip(keys, strata, strict=True))

    def method(self, name: str) -> MethodResult | None:
        """One of the methods, or None where it was not evaluated."""
        return next((method for method in self.methods if method.name == name), None)


def collect(settings: Settings) -> list[DatasetResults]:
    """Read the results of every dataset that has any.

    Raises:
        DataError: nothing was evaluated, or methods of a dataset were evaluated on different data.
    """
    datasets = []
    for name in settings.evaluated:
        results = collect_dataset(settings, name)
        if results.methods:
            datasets.append(results)
    if not datasets:
        raise DataError(
            f"no method has been evaluated on {', '.join(settings.evaluated)}; run the evaluate stage first"
        )
    return datasets


def collect_dataset(settings: Settings, dataset: str) -> DatasetResults:
    """Read the results of one dataset, which may have none.

    Raises:
        DataError: methods were evaluated on different data.
    """
    baselines, models_of = DatasetPaths(dataset).baselines, settings.models_of(dataset)
    methods = [
        read_method(name, baselines / name, None)
        for name in settings.evaluation.baselines
        if _is_complete(baselines / name)
    ]
    missing, upper_bounds = [], []
    for name in settings.methods:
        paths = RunPaths(dataset, name)
        if _is_complete(paths.evaluation):
            model = RunPaths(models_of, name).model
            methods.append(read_method(name, paths.evaluation, model))
            if _is_complete(paths.evaluation / EXEMPLAR):
                methods.append(read_method(f"{name}_exemplar", paths.evaluation / EXEMPLAR, model, copies_texture=True))
            if _is_complete(paths.evaluation / UPPER_BOUND):
                upper_bounds.append(read_method(name, paths.evaluation / UPPER_BOUND, model))
        else:
            missing.append(name)
    undamaged = read_method(UNDAMAGED, baselines / UNDAMAGED, None) if _is_complete(baselines / UNDAMAGED) else None
    results = DatasetResults(dataset, methods, missing, upper_bounds, models_of, undamaged)
    if methods:
        check_comparable(results)
    return results


def _is_complete(folder: Path) -> bool:
    return (folder / METRICS).exists()


def read_method(name: str, folder: Path, model: Path | None, copies_texture: bool = False) -> MethodResult:
    """One evaluation and, where there is a released model, how it was trained.

    Raises:
        DataError: a file is missing or damaged.
    """
    try:
        return MethodResult(
            name=name,
            title=TITLES.get(name, name),
            folder=folder,
            metrics=_read_json(folder / METRICS),
            intervals=_read_json(folder / INTERVALS),
            groups=_read_groups(folder / BREAKDOWN),
            summary=_read_json(folder / SUMMARY),
            images=_read_images(folder / IMAGES),
            training=None if model is None else _read_training(model),
            worst=_read_json(folder / WORST),
            copies_texture=copies_texture,
        )
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"the evaluation in {folder} is damaged ({error}); run its stage again") from None


def _read_images(path: Path) -> pa.Table:
    columns = [name for name in pq.read_schema(path).names if not name.startswith("confusion")]
    return pq.read_table(path, columns=columns)


def _read_training(model: Path) -> Training:
    facts = _read_json(model / "training.json") if (model / "training.json").exists() else {}
    recipe = _read_json(model / DESCRIPTION)["recipe"] if (model / DESCRIPTION).exists() else {}
    losses, validation = (_read_curves(model / f"{name}.csv") for name in ("losses", "validation"))
    return Training(facts, recipe, losses, validation)


def _read_groups(path: Path) -> list[Group]:
    groups = []
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            names = ("set", "grouping", "group", "num_images")
            scores = {name: float(text) for name, text in row.items() if name not in names and text}
            groups.append(Group(row["set"], row["grouping"], row["group"], int(row["num_images"]), scores))
    return groups


def _read_curves(path: Path) -> dict[str, Curve]:
    """The columns of a table whose first is ``step``; none where there is no such file."""
    curves: dict[str, Curve] = {}
    if not path.exists():
        return curves
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            step = int(row.pop("step"))
            for name, text in row.items():
                if text and math.isfinite(float(text)):
                    steps, values = curves.setdefault(name, ([], []))
                    steps.append(step)
                    values.append(float(text))
    return curves


def _read_json(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} holds no JSON object")
    return content


def check_comparable(results: DatasetResults, *, same_code: bool = True) -> None:
    """Scores may only be in one table when the same code took them on the same images with the same holes.

    Args:
        results: of one dataset.
        same_code: False for kept scores of earlier commits, whose metrics tests hold to be the same.

    Raises:
        DataError: they were not.
    """
    same = {"shards_digest": "images", "masks_digest": "holes", "split": "splits", "segmenter_sha256": "segmenters"}
    if same_code:
        same["code_digest"] = "versions of the metrics"
    undamaged = [] if results.undamaged is None else [results.undamaged]
    everything = (*results.methods, *results.upper_bounds, *undamaged)
    for method in everything:
        for key, what in same.items():
            _check_same(method, results.methods[0], key, what)
    trained = [method for method in everything if method.training is not None]
    for method in trained:
        _check_same(method, trained[0], "precision", "precisions")


def _check_same(method: MethodResult, other: MethodResult, key: str, what: str) -> None:
    if method.summary.get(key) != other.summary.get(key):
        raise DataError(
            f"{method.folder} and {other.folder} were evaluated with different {what}, so their scores cannot be "
            "compared; run the evaluate and baselines stages again"
        )
