"""What tracking, Ray and a second worker cost: `python benchmarks/training_layers.py [--steps N] [--rounds N]`.

The same training of SGE-Net, by the shipped model's recipe on drawn landscapes, one core a worker, in four ways:
``fit`` alone with the loader, ``python -m pipelines train`` in one process with MLflow, the same on one Ray worker, and
on two. Each is a process of its own; the time of a step is taken between two logged steps, so that it holds what hooks,
tracking and relaying cost and leaves out the start. So is the processors' time of all its processes, Ray's own among
them, which hardly depends on what else the machine does; the layers cost no more than that. Then the time to store a
checkpoint, in a folder and on a loopback S3 server, against the steps between two of them.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil
import yaml
from servers import loopback_s3

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ROOT / "pipelines" / "registry" / "shipped" / "params.yaml"
DATASET, METHOD = "landscapes", "sge_net"
WAYS = {"fit alone": None, "MLflow": 0, "MLflow + Ray, 1 worker": 1, "MLflow + Ray, 2 workers": 2}
LOG_EVERY = 10
BUCKET = "benchmark"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--rounds", type=int, default=2, help="each way is timed this often, in turn")
    parser.add_argument("--bare", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare is not None:
        fit_alone(options.bare)
        return
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_settings(root, options.steps, 0)
        for stage in ("index", "shards", "masks"):
            run([sys.executable, "-m", "pipelines", stage, "--params", "params.yaml", "--dataset", DATASET], root)
        times: dict[str, list[Step]] = {way: [] for way in WAYS}
        for number in range(options.rounds):
            for way, workers in WAYS.items():
                times[way].append(step_of(root, options.steps, workers, seed=number + 1))
                wall, busy = times[way][-1]
                print(f"round {number + 1}, {way}: {wall:.3f} s a step, processors {busy:.3f} s", file=sys.stderr)
        report(times, options)
        report_checkpoints(root, statistics.median(wall for wall, _ in times["fit alone"]))


def write_settings(root: Path, steps: int, workers: int, seed: int = 1) -> None:
    """The recipe of the shipped model, from random weights, on drawn landscapes alone; one core a worker."""
    shipped = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    data, recipe = shipped["data"]["small_photos"], shipped["recipes"]["small_photos"]
    landscapes = {"adapter": "mixed_scenes", "train": 256, "val": 8, "size": [192, 160], "seed": 2020}
    training = {
        "batch_size": 8,
        "steps": steps,
        "seed": seed,
        # Decoding stays in the training process, so that a worker is one core and nothing else.
        "loader_processes": 0,
        "log_every": LOG_EVERY,
        "checkpoint_every": 0,
        "validate_every": 0,
    }
    settings = {
        "datasets": [DATASET],
        "methods": [METHOD],
        "data": {DATASET: data | {"sources": [landscapes]}},
        "masks": {DATASET: shipped["masks"]["small_photos"]},
        "recipes": {DATASET: {"preset": recipe["preset"], "network": recipe["network"], "training": training}},
        "evaluation": shipped["evaluation"],
    }
    settings["run"] = {"workers": workers, "cpus_per_worker": 1}
    # Another storage for every run: none may continue another.
    settings["storage"] = str(root / f"storage-{workers}-{seed}")
    (root / "params.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")


class Step(NamedTuple):
    """What one step takes: wall time, and the time of all processors together, in seconds."""

    wall: float
    busy: float


def step_of(root: Path, steps: int, workers: int | None, seed: int) -> Step:
    """The time between the first logged step and the last, divided by the steps between."""
    write_settings(root, steps, workers or 0, seed)
    if workers is None:
        command = [sys.executable, str(Path(__file__).resolve()), "--bare", str(root / "params.yaml")]
    else:
        command = [sys.executable, "-m", "pipelines", "train", "--params", "params.yaml"]
        command += ["--dataset", DATASET, "--method", METHOD]
    seen: list[tuple[int, float, float]] = []
    process = subprocess.Popen(command, cwd=root, env=environment(), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        found = re.search(r"step (\d+)/", line)
        if found:
            seen.append((int(found[1]), time.perf_counter(), busy_seconds(process.pid)))
    if process.wait() or len(seen) < 3:
        raise SystemExit(f"{' '.join(command)} failed")
    # The last line comes when processes have begun to end.
    (first, started, before), (last, ended, after) = seen[0], seen[-2]
    return Step((ended - started) / (last - first), (after - before) / (last - first))


def busy_seconds(pid: int) -> float:
    """Processor time so far of a process and all below it."""
    root = psutil.Process(pid)
    total = 0.0
    for process in [root, *root.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def fit_alone(params: Path) -> None:
    """The loader and ``fit``, nothing else; a line for each step that the others would log."""
    import torch

    from pipelines.data.shards.index import open_index
    from pipelines.data.shards.loader import training_batches
    from pipelines.data.shards.reader import ShardDataset
    from pipelines.data.shards.sampler import training_order
    from pipelines.settings.layout import DatasetPaths
    from pipelines.settings.load import load
    from sgenet.masks import HoleDrawer
    from sgenet.methods.build import build_method
    from sgenet.training.determinism import make_deterministic
    from sgenet.training.loop import StepMetrics, fit
    from sgenet.training.state import TrainingState
    from sgenet.transforms import TrainingTransform

    class Printer:
        def after_step(self, state: TrainingState, metrics: StepMetrics) -> None:
            if metrics.step % LOG_EVERY == 0:
                metrics.values()
                print(f"step {metrics.step}/{steps}", flush=True)

    torch.set_num_threads(1)
    make_deterministic(torch.device("cpu"))
    settings = load(params)
    recipe, data = settings.recipes[DATASET], settings.data[DATASET]
    steps = recipe.training.steps
    state = TrainingState(build_method(METHOD, recipe, data.labels.num_classes), recipe)
    table = open_index(DatasetPaths(DATASET).shards).of_split("train")
    holes = HoleDrawer(settings.masks[DATASET].training, data.crop, data.crop)
    dataset = ShardDataset(table, TrainingTransform(data.crop, recipe.augmentation), holes)
    training = recipe.training
    sampler = training_order(table, training.batch_size, training.seed, training.window_gigabytes)
    batches = training_batches(dataset, sampler, rank=0, world=1, start=0, processes=0, crop=data.crop)
    fit(state, batches, [Printer()], until_step=steps)


def report(times: dict[str, list[Step]], options: argparse.Namespace) -> None:
    """A row for each way; ratios are of the same round, so that the machine's drift cancels."""
    import torch

    print(f"SGE-Net of the shipped model, batch 8, {options.steps} steps, {options.rounds} rounds, one core a worker;")
    print(f"PyTorch {torch.__version__} on {platform.processor() or platform.machine()}, {os.cpu_count()} cores\n")
    print("| way | step (median) | against `fit` alone | processors' time | against `fit` alone |")
    print("| --- | --: | --: | --: | --: |")
    base = times["fit alone"]
    for way, steps in times.items():
        wall, busy = (statistics.median(step[kind] for step in steps) * 1000 for kind in (0, 1))
        wall_ratio, busy_ratio = (
            statistics.median(step[kind] / first[kind] for step, first in zip(steps, base, strict=True))
            for kind in (0, 1)
        )
        print(f"| {way} | {wall:.0f} ms | × {wall_ratio:.3f} | {busy:.0f} ms | × {busy_ratio:.3f} |")
    one, two = times["MLflow + Ray, 1 worker"], times["MLflow + Ray, 2 workers"]
    efficiency = statistics.median(first.wall / second.wall / 2 for first, second in zip(one, two, strict=True))
    print(f"\nScaling efficiency from 1 to 2 workers: {efficiency:.0%}\n")


def report_checkpoints(root: Path, step_seconds: float) -> None:
    """Time to store a checkpoint as a share of the training between two, every 1,000 steps as by default."""
    os.chdir(root)
    from pipelines.settings.load import load
    from pipelines.training.checkpoints import CheckpointStore
    from sgenet.methods.build import build_method
    from sgenet.settings import TrainingSettings
    from sgenet.training.state import TrainingState

    settings = load(root / "params.yaml")
    recipe = settings.recipes[DATASET]
    state = TrainingState(build_method(METHOD, recipe, settings.data[DATASET].labels.num_classes), recipe)
    every = TrainingSettings().checkpoint_every
    print(f"| checkpoint to | time | share of training, one every {every:,} steps |")
    print("| --- | --- | --- |")
    with loopback_s3(BUCKET):
        for name, address in (
            ("a folder", str(root / "checkpoints")),
            ("S3 on loopback", f"s3://{BUCKET}/checkpoints"),
        ):
            store = CheckpointStore(address, keep=3)
            seconds = []
            for step in range(1, 6):
                state.step = step
                started = time.perf_counter()
                store.save(state)
                seconds.append(time.perf_counter() - started)
            spent = statistics.median(seconds)
            print(f"| {name} | {spent * 1000:.0f} ms | {spent / (every * step_seconds):.2%} |")


def run(command: list[str], folder: Path) -> None:
    subprocess.run(command, cwd=folder, env=environment(), check=True, stdout=subprocess.DEVNULL)


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


if __name__ == "__main__":
    main()
