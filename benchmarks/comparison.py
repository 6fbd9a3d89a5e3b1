"""Every method trained for the same time on the real photographs, and the tables that docs/results.md holds:
`python benchmarks/comparison.py run FOLDER [outdoor_mix/sge_net-1 …] [--at-once 2]`, then
`python benchmarks/comparison.py tables [--dataset outdoor_mix]`.

A training is a method, a seed and a dataset of params.yaml, whose recipe it has but for its budget, which is time on
one core (`BUDGET`). Two at a time, with a core each, use two cores best. Everything is resumable: an
interrupted training resumes when `run` is called again with the same folder, and a kept one is not repeated.

What is kept, below `benchmarks/results/comparison`, are scores, never images or weights: the tables can be drawn
from them anywhere, with intervals over images and tests between methods.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from pipelines.evaluation.files import BREAKDOWN, EXEMPLAR, IMAGES, INTERVALS, METRICS, SUMMARY, UPPER_BOUND
from pipelines.evaluation.images import WORST
from pipelines.report.collect import DatasetResults, MethodResult, check_comparable, read_method
from pipelines.report.formats import to_markdown
from pipelines.report.pairs import pairs
from pipelines.report.tables import Table, costs, headline, true_labels
from pipelines.storage.files import publish_folder
from sgenet.methods.registry import METHODS

REPOSITORY = Path(__file__).resolve().parents[1]
KEPT = REPOSITORY / "benchmarks" / "results" / "comparison"

BUDGET = {"budget": "wall_clock", "seconds": 2100.0, "validate_every": 250, "precision": "float32"}
"""What a training has: 35 minutes of a core. In float32 everywhere, so that processors with and without bfloat16 do the
same arithmetic."""

BASELINES = ("mean_colour", "telea", "membrane", "patchmatch")
EVALUATION = {
    "baselines": list(BASELINES),
    "texture": ["network", "exemplar"],
    "vgg_weights": "../shared/data/weights/vgg16_photographs.pth",
}
"""Besides what params.yaml says of it: PatchMatch, copied texture and the VGG distance."""

_SCORES = (METRICS, INTERVALS, IMAGES, BREAKDOWN, SUMMARY, WORST)
_FACTS = ("model.json", "training.json", "losses.csv", "validation.csv")


@dataclass(frozen=True)
class Training:
    """One training of a comparison.

    Attributes:
        method: its name.
        seed: of weights, order and holes.
    """

    method: str
    seed: int = 1

    @property
    def name(self) -> str:
        """In folders and on the command line."""
        return f"{self.method}-{self.seed}"

    @property
    def remark(self) -> str:
        """What its row says beside the method's title."""
        return f", seed {self.seed}" if self.seed > 1 else ""


_TWICE = ("sg_net", "sge_net")
TRAININGS = {
    "outdoor_mix": [Training(name, seed) for name in METHODS for seed in ((1, 2) if name in _TWICE else (1,))],
    "camvid": [Training("sg_net"), Training("sge_net"), Training("gated_conv"), Training("edge_connect")],
}
"""By dataset, in the order of the tables."""

CONFIGS = {"outdoor_mix": "outdoor_photos.yaml", "camvid": "camvid.yaml"}


def main() -> None:
    """Train what is missing, or print the tables of what is there."""
    options = _parse()
    if options.command == "tables":
        for dataset in [options.dataset] if options.dataset else TRAININGS:
            print("\n".join(tables(dataset)))
        return
    asked = [(dataset, training) for dataset in TRAININGS for training in TRAININGS[dataset]]
    if options.trainings:
        known = {f"{dataset}/{training.name}": (dataset, training) for dataset, training in asked}
        if unknown := [name for name in options.trainings if name not in known]:
            sys.exit(f"there is no training {', '.join(unknown)}; there are {', '.join(known)}")
        asked = [known[name] for name in options.trainings]
    for dataset in dict.fromkeys(dataset for dataset, _ in asked):
        prepare(options.folder, dataset)
    missing = [(dataset, training) for dataset, training in asked if not _kept(dataset, training).exists()]
    with ThreadPoolExecutor(options.at_once) as pool:
        for name in pool.map(lambda pair: run(options.folder, *pair), missing):
            print(f"kept {name}", flush=True)


def prepare(folder: Path, dataset: str) -> None:
    """Shards, holes and baselines of a dataset, once for all its trainings."""
    place = _place(folder, dataset, Training("sge_net"))
    for stage, output in (("index", "sources.parquet"), ("shards", "shards"), ("masks", "masks")):
        if not (folder / "data" / dataset / output).exists():
            _stage(place, stage, dataset)
    missing = [baseline for baseline in BASELINES if not (KEPT / dataset / baseline).exists()]
    if missing:
        _stage(place, "baselines", dataset)
    for baseline in missing:
        with publish_folder(KEPT / dataset / baseline) as folder:
            _copy(place / "runs" / dataset / "baselines" / baseline, folder, _SCORES)


def run(folder: Path, dataset: str, training: Training) -> str:
    """Train, evaluate and keep the scores; what was interrupted resumes."""
    place = _place(folder, dataset, training)
    for stage in ("train", "evaluate"):
        _stage(place, stage, dataset, training.method)
    keep(place, dataset, training)
    return f"{dataset}/{training.name}"


def keep(place: Path, dataset: str, training: Training) -> None:
    """Copy the scores and facts of a finished training from where it ran."""
    done = place / "runs" / dataset / training.method
    # Published whole: what is there at all counts as done.
    with publish_folder(_kept(dataset, training)) as folder:
        _copy(done / "model", folder / "model", _FACTS)
        _copy(done / "evaluation", folder / "evaluation", _SCORES)
        for name in (EXEMPLAR, UPPER_BOUND):
            if (done / "evaluation" / name).exists():
                _copy(done / "evaluation" / name, folder / name, _SCORES)


def tables(dataset: str) -> Iterator[str]:
    """Scores, differences between the methods, the response to true labels and costs, as Markdown."""
    methods = [
        read_method(baseline, KEPT / dataset / baseline, None)
        for baseline in BASELINES
        if (KEPT / dataset / baseline).exists()
    ]
    bounds: list[MethodResult] = []
    for training in TRAININGS[dataset]:
        kept = _kept(dataset, training)
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
    results = DatasetResults(dataset, methods, (), bounds, dataset)
    check_comparable(results)
    yield f"### {dataset}\n"
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


def _place(folder: Path, dataset: str, training: Training) -> Path:
    """A folder to run stages in: the settings of this training, and the data that all share."""
    place = folder / training.name
    place.mkdir(parents=True, exist_ok=True)
    (folder / "data").mkdir(exist_ok=True)
    if not (place / "data").exists():
        (place / "data").symlink_to("../data")
    settings = yaml.safe_load((REPOSITORY / "configs" / CONFIGS[dataset]).read_text(encoding="utf-8"))
    settings |= {"datasets": [dataset], "transfer": [], "methods": list(METHODS)}
    settings["run"] = {"workers": 0, "cpus_per_worker": 1}
    settings["evaluation"] |= EVALUATION
    settings = _with_absolute_paths(settings)
    recipe = settings["recipes"][dataset]
    recipe["training"] = recipe.get("training", {}) | BUDGET | {"seed": training.seed}
    (place / f"{dataset}.yaml").write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    return place


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


def _kept(dataset: str, training: Training) -> Path:
    return KEPT / dataset / training.name


def _copy(source: Path, target: Path, names: Sequence[str]) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for name in names:
        shutil.copyfile(source / name, target / name)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("run", help="train and evaluate what is not kept yet")
    training.add_argument("folder", type=Path, help="for data, checkpoints and models")
    training.add_argument("trainings", nargs="*", help="such as outdoor_mix/sge_net-1; all of them by default")
    training.add_argument("--at-once", type=int, default=2, help="trainings at a time, a core each")
    shown = commands.add_parser("tables", help="print what is kept")
    shown.add_argument("--dataset", choices=TRAININGS)
    options = parser.parse_args()
    if options.command == "run":
        options.folder = options.folder.resolve()
    return options


if __name__ == "__main__":
    main()
