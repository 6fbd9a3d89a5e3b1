"""Trainings on the real photographs that are compared, and the tables of docs/results.md and docs/tables.md:
`python benchmarks/comparison.py run FOLDER [outdoor_mix/sge_net-1 …] [--at-once 2]`, then
`python benchmarks/comparison.py tables [--of outdoor_mix]`.

What is compared is in `comparisons.py`. Two at a time, with a core each, use two cores best. Everything is resumable:
an interrupted training resumes when `run` is called again with the same folder, and a kept one is not repeated.

What is kept, below `benchmarks/results/comparison`, are scores, never images or weights: the tables can be drawn
from them anywhere, with intervals over images and tests between methods.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from comparisons import COMPARISONS, Training

from pipelines.evaluation.files import BREAKDOWN, EXEMPLAR, IMAGES, INTERVALS, METRICS, SUMMARY, UPPER_BOUND
from pipelines.evaluation.images import WORST
from pipelines.report.collect import DatasetResults, MethodResult, check_comparable, read_method
from pipelines.report.formats import to_markdown
from pipelines.report.pairs import pairs
from pipelines.report.tables import Table, costs, headline, true_labels
from pipelines.storage.files import publish_folder

REPOSITORY = Path(__file__).resolve().parents[1]
KEPT = REPOSITORY / "benchmarks" / "results" / "comparison"

BASELINES = ("mean_colour", "telea", "membrane", "patchmatch")
EVALUATION = {
    "baselines": list(BASELINES),
    "vgg_weights": "../shared/data/weights/vgg16_photographs.pth",
}
"""Besides what the file says of it: PatchMatch and the VGG distance."""

_SCORES = (METRICS, INTERVALS, IMAGES, BREAKDOWN, SUMMARY, WORST)
_FACTS = ("model.json", "training.json", "losses.csv", "validation.csv")


def main() -> None:
    """Train what is missing, or print the tables of what is there."""
    options = _parse()
    if options.command == "tables":
        for name in [options.of] if options.of else COMPARISONS:
            print("\n".join(tables(name)))
        return
    known = {
        f"{name}/{training.name}": (name, training)
        for name, comparison in COMPARISONS.items()
        for training in comparison.trainings
    }
    asked = []
    for wanted in options.trainings or COMPARISONS:
        found = [pair for name, pair in known.items() if wanted in (name, pair[0])]
        if not found:
            sys.exit(f"there is no training {wanted}; there are {', '.join(known)}")
        asked += found
    for name in dict.fromkeys(name for name, _ in asked):
        prepare(options.folder, name)
    missing = [(name, training) for name, training in asked if not _kept(name, training).exists()]
    with ThreadPoolExecutor(options.at_once) as pool:
        for done in pool.map(lambda pair: run(options.folder, *pair), missing):
            print(f"kept {done}", flush=True)


def prepare(folder: Path, name: str) -> None:
    """Shards, holes and baselines of a comparison, once for all its trainings."""
    dataset = COMPARISONS[name].dataset
    place = _place(folder, name, COMPARISONS[name].trainings[0])
    outputs = {
        "index": "sources.parquet",
        "shards": "shards",
        "fit_segmenter": "segmenter",
        "label": "labels",
        "masks": "masks",
    }
    for stage, output in outputs.items():
        if not (folder / name / "data" / dataset / output).exists():
            _stage(place, stage, dataset)
    missing = [baseline for baseline in BASELINES if not (KEPT / name / baseline).exists()]
    if missing:
        _stage(place, "baselines", dataset)
    for baseline in missing:
        with publish_folder(KEPT / name / baseline) as folder:
            _copy(place / "runs" / dataset / "baselines" / baseline, folder, _SCORES)


def run(folder: Path, name: str, training: Training) -> str:
    """Train, evaluate and keep the scores; what was interrupted resumes."""
    dataset = COMPARISONS[name].dataset
    place = _place(folder, name, training)
    for stage in ("train", "evaluate"):
        _stage(place, stage, dataset, training.method)
    done = place / "runs" / dataset / training.method
    # Published whole: what is there at all counts as done.
    with publish_folder(_kept(name, training)) as kept:
        _copy(done / "model", kept / "model", _FACTS)
        _copy(done / "evaluation", kept / "evaluation", _SCORES)
        for part in (EXEMPLAR, UPPER_BOUND):
            if (done / "evaluation" / part).exists():
                _copy(done / "evaluation" / part, kept / part, _SCORES)
    return f"{name}/{training.name}"


def tables(comparison: str) -> Iterator[str]:
    """Scores, differences between the methods, the response to true labels and costs, as Markdown."""
    methods = [
        read_method(baseline, KEPT / comparison / baseline, None)
        for baseline in BASELINES
        if (KEPT / comparison / baseline).exists()
    ]
    bounds: list[MethodResult] = []
    for training in COMPARISONS[comparison].trainings:
        kept = _kept(comparison, training)
        if not kept.exists():
            yield f"{training.name} has not been trained.\n"
            continue
        # Every row is a method of its own: the tables tell methods apart by their names.
        for name, rows in (("evaluation", methods), (EXEMPLAR, methods), (UPPER_BOUND, bounds)):
            if (kept / name).exists():
                copies = name == EXEMPLAR
                method = f"{training.method}_exemplar" if copies else training.method
                found = read_method(method, kept / name, kept / "model", copies_texture=copies)
                row = f"{training.name}_exemplar" if copies else training.name
                rows.append(replace(found, name=row, title=found.title + training.remark))
    if not methods:
        return
    results = DatasetResults(comparison, methods, (), bounds, comparison)
    check_comparable(results, same_code=False)
    yield f"### {comparison}\n"
    for set_name in results.sets:
        differences = _of_sge_net(pairs(results, set_name))
        drawn = (headline(results, set_name), differences, true_labels(results, set_name))
        yield from (to_markdown(table) for table in drawn if table is not None)
    if cost_table := costs(results):
        yield to_markdown(cost_table)


def _of_sge_net(table: Table | None) -> Table | None:
    """The pairs that SGE-Net is one of: of eleven rows there are 55."""
    if table is None:
        return None
    rows = [row for row in table.rows if "SGE-Net" in row[0].text.split(" − ")]
    return replace(table, rows=rows) if rows else None


def _place(folder: Path, name: str, training: Training) -> Path:
    """A folder to run stages in: the settings of this training, and the data that all share."""
    comparison = COMPARISONS[name]
    dataset = comparison.dataset
    place = folder / name / training.name
    place.mkdir(parents=True, exist_ok=True)
    (folder / name / "data").mkdir(exist_ok=True)
    if not (place / "data").exists():
        (place / "data").symlink_to("../data")
    settings = yaml.safe_load((REPOSITORY / "configs" / comparison.config).read_text(encoding="utf-8"))
    methods = {"sge_net"} | {each.method for each in comparison.trainings}
    settings |= {"datasets": [dataset], "transfer": [], "methods": sorted(methods)}
    settings["run"] = {"workers": 0, "cpus_per_worker": 1}
    settings["evaluation"] |= EVALUATION | {"texture": list(comparison.texture)}
    for more in (
        {"recipes": {dataset: {"training": {**comparison.budget, "seed": training.seed}}}},
        comparison.settings,
        {"recipes": {dataset: training.recipe}},
    ):
        settings = _merged(settings, more)
    text = yaml.safe_dump(_with_absolute_paths(settings), sort_keys=False)
    (place / f"{dataset}.yaml").write_text(text, encoding="utf-8")
    return place


def _merged(settings: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """The settings, with others in place of theirs or beside them, section by section."""
    merged = dict(settings)
    for name, value in more.items():
        both_sections = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
        merged[name] = _merged(merged[name], value) if both_sections else value
    return merged


def _with_absolute_paths(settings: Any) -> Any:
    """The settings with every path that leaves the repository counted from there."""
    match settings:
        case dict():
            return {name: _with_absolute_paths(value) for name, value in settings.items()}
        case list():
            return [_with_absolute_paths(value) for value in settings]
        case str() if settings.startswith("../"):
            return str((REPOSITORY / settings).resolve())
        case _:
            return settings


def _stage(place: Path, stage: str, dataset: str, method: str | None = None) -> None:
    command = [sys.executable, "-m", "pipelines", stage, "--params", f"{dataset}.yaml", "--dataset", dataset]
    command += ["--method", method] if method else []
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    with (place / f"{dataset}.log").open("a") as log:
        subprocess.run(command, cwd=place, env=environment, check=True, stdout=log, stderr=subprocess.STDOUT)


def _kept(name: str, training: Training) -> Path:
    return KEPT / name / training.name


def _copy(source: Path, target: Path, names: Sequence[str]) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for name in names:
        shutil.copyfile(source / name, target / name)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("run", help="train and evaluate what is not kept yet")
    training.add_argument("folder", type=Path, help="for data, checkpoints and models")
    training.add_argument("trainings", nargs="*", help="such as camvid/sge_net-1 or camvid; all by default")
    training.add_argument("--at-once", type=int, default=2, help="trainings at a time, a core each")
    shown = commands.add_parser("tables", help="print what is kept")
    shown.add_argument("--of", choices=COMPARISONS, help="one comparison; all of them by default")
    options = parser.parse_args()
    if options.command == "run":
        options.folder = options.folder.resolve()
    return options


if __name__ == "__main__":
    main()
