"""What one GPU does in twelve minutes, for whoever is about to pay for many:
`python benchmarks/gpu_hour.py [--output FILE] [--minutes N]`; `--device cpu --tiny` tries the script itself in seconds.

Speed of a training step eager, compiled and deterministic; memory against batch, beside the dry run's estimate; the
loop with images from the host; the loader by itself, whose images a second must exceed those of the steps; how long a
checkpoint stops the training; filling and scoring; agreement with the CPU. A table is printed as it grows, and a JSON
with the machine's name is written at the end. Images are noise, and the embedded landscapes for the loader.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from peer_readers import Reading, measure
from reading import ours, store
from torch import Tensor
from training_step import random_batch

from pipelines.parallel.cpus import usable_cpus
from pipelines.settings.presets import with_presets
from pipelines.storage.files import write_atomically
from pipelines.training.gpu_costs import KINDS
from pipelines.training.memory import step_memory
from sgenet.batch import Uint8Batch, to_uint8
from sgenet.evaluation.evaluator import Evaluator
from sgenet.methods.build import build_method
from sgenet.methods.recipe import Recipe
from sgenet.precision import autocast, resolve_precision
from sgenet.settings import DiscriminatorSettings, LossSettings, NetworkSettings, OptimizerSettings, TrainingSettings
from sgenet.training.checkpoint import on_host, write_checkpoint
from sgenet.training.determinism import choose_kernels
from sgenet.training.loop import fit
from sgenet.training.state import TrainingState
from sgenet.training.step import training_step

NUM_CLASSES = 9
PRESET = "photographs_256"
_TINY = NetworkSettings(
    widths=(8, 8, 8, 8, 8),
    context_blocks=1,
    encoder_blocks=(0, 0, 0, 0, 1),
    decoder_blocks=(1, 0, 0, 0),
    modulation_width=4,
    reliability_width=3,
    image_size=32,
    start="membrane",
)


@dataclass
class Machine:
    """Where and at what sizes is measured."""

    device: torch.device
    recipe: Recipe
    side: int
    steps: int
    batches: tuple[int, ...]
    results: dict[str, Any] = field(default_factory=dict)

    def wait(self) -> None:
        """Until the device has done what it was told."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def seconds(self, work: Callable[[], object], times: int = 1) -> float:
        """Median time of some work, the device's included."""
        taken = []
        for _ in range(times):
            self.wait()
            started = time.perf_counter()
            work()
            self.wait()
            taken.append(time.perf_counter() - started)
        return statistics.median(taken)

    def state(self, batch: int, **training: Any) -> TrainingState:
        """A training of SGE-Net before its first step."""
        settings = replace(self.recipe.training, batch_size=batch, **training)
        recipe = replace(self.recipe, training=settings)
        state = TrainingState(build_method("sge_net", recipe, NUM_CLASSES), recipe, str(self.device))
        state.method.generator.train()
        return state

    def say(self, section: str, what: str, value: float | str, unit: str = "") -> None:
        """Print a row of the table, and keep it."""
        self.results.setdefault(section, {})[what] = value
        shown = f"{value:,.3g}" if isinstance(value, float) else value
        print(f"| {section:<12} | {what:<34} | {shown} {unit} |", flush=True)


def step_speed(machine: Machine) -> None:
    """Images a second of a training step, in three ways, and the share of the peak that they are."""
    batch = machine.batches[-1] if len(machine.batches) < 3 else machine.batches[-2]
    data = random_batch(batch, machine.side, NUM_CLASSES, str(machine.device))
    flops = _flops(machine, batch)
    machine.say("step", "operations an image", flops / 1e9, "GFLOP")
    peak = next((kind.teraflops for kind in KINDS if kind.name.split()[0] in machine.results["machine"]), None)
    ways: dict[str, dict[str, bool]] = {"eager": {}, "deterministic": {"deterministic": True}}
    if machine.device.type == "cuda":
        ways["compiled"] = {"compile": True}
    for way, settings in ways.items():
        choose_kernels(machine.device, deterministic=settings.get("deterministic", False))
        state = machine.state(batch, **({"compile": False} | settings))
        for _ in range(3):
            training_step(state, data)
        rate = batch / machine.seconds(lambda: training_step(state, data), machine.steps)  # noqa: B023
        machine.say("step", f"{way}, batch {batch}", rate, "images/s")
        if peak is not None:
            machine.say("step", f"{way}, of the peak", rate * flops / (peak * 1e12))
    choose_kernels(machine.device, deterministic=False)


def memory(machine: Machine) -> None:
    """Memory of a step against the batch, measured on CUDA, and what the dry run says."""
    for batch in machine.batches:
        state = machine.state(batch, compile=False)
        data = random_batch(batch, machine.side, NUM_CLASSES, "cpu")
        weights = sum(weight.nbytes for weight in state.method.generator.parameters())
        method = build_method("sge_net", state.recipe, NUM_CLASSES)
        said = step_memory(method, data, state.precision).peak
        machine.say("memory", f"batch {batch}, tensors of a step", said / 2**30, "GiB by shapes")
        if machine.device.type != "cuda":
            continue
        torch.cuda.reset_peak_memory_stats(machine.device)
        on_device = random_batch(batch, machine.side, NUM_CLASSES, str(machine.device))
        for _ in range(2):
            training_step(state, on_device)
        found = torch.cuda.max_memory_allocated(machine.device)
        machine.say("memory", f"batch {batch}, allocated in all", found / 2**30, "GiB")
        machine.say("memory", f"batch {batch}, weights of these", weights / 2**30, "GiB")


def loop(machine: Machine) -> None:
    """The whole loop: bytes from the host, its checks and its clock."""
    batch = machine.batches[0]
    state = machine.state(batch, compile=False, steps=10_000)

    def batches() -> Iterator[Uint8Batch]:
        rng = torch.Generator().manual_seed(0)
        label = torch.randint(0, NUM_CLASSES, (batch, machine.side, machine.side), generator=rng, dtype=torch.uint8)
        hole_mask = torch.zeros(batch, 1, machine.side, machine.side, dtype=torch.uint8)
        hole_mask[..., machine.side // 4 : machine.side // 2, machine.side // 4 : machine.side // 2] = 1
        shape = (batch, 3, machine.side, machine.side)
        while True:
            yield Uint8Batch(torch.randint(0, 256, shape, generator=rng, dtype=torch.uint8), hole_mask, label)

    data = batches()
    fit(state, data, until_step=2)
    started = time.perf_counter()
    fit(state, data, until_step=2 + machine.steps)
    seconds = time.perf_counter() - started
    machine.say("loop", f"batch {batch}, from the host", machine.steps * batch / seconds, "images/s")


def loader(machine: Machine) -> None:
    """What loader processes read, decode and draw holes for, as many as the presets have; from the page cache."""
    processes = min(machine.recipe.training.loader_processes, usable_cpus())
    threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        store(Path(folder), 32 * machine.steps, machine.side, machine.side)
        reading = Reading(Path(folder), machine.side, machine.batches[0], processes, seconds=float(machine.steps))
        first, rate = measure(ours(reading, holes=True), reading)
    torch.set_num_threads(threads)  # of which a reader leaves one
    machine.say("loader", f"{processes} processes", rate, "images/s")
    machine.say("loader", "first batch", first, "s")


def checkpoint(machine: Machine) -> None:
    """How long a checkpoint stops the training, and how long its writing takes beside it."""
    batch = machine.batches[0]
    state = machine.state(batch, compile=False)
    training_step(state, random_batch(batch, machine.side, NUM_CLASSES, str(machine.device)))
    on_host(state.state_dict())  # the first one makes the pinned memory
    content: list[dict[str, Any]] = []
    machine.say("checkpoint", "pause", machine.seconds(lambda: content.append(on_host(state.state_dict()))), "s")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.pt"
        machine.say(
            "checkpoint", "writing and hashing", machine.seconds(lambda: write_checkpoint(content[0], path)), "s"
        )
        machine.say("checkpoint", "size", path.stat().st_size / 1e9, "GB")


def use(machine: Machine) -> None:
    """Filling with the averaged generator, and scoring as the validation does."""
    batch = machine.batches[0]
    state = machine.state(batch, compile=False)
    data = random_batch(batch, machine.side, NUM_CLASSES, str(machine.device))

    def fill() -> Tensor:
        with torch.inference_mode(), autocast(machine.device, state.precision):
            drawn: Tensor = state.ema.network(data.image, data.hole_mask).image
            return to_uint8(drawn)

    def score() -> None:
        evaluator = Evaluator(NUM_CLASSES)
        evaluator.update(fill(), to_uint8(data.image), data.hole_mask.to(torch.uint8))

    score()  # the first one chooses kernels
    machine.say("use", f"filling, batch {batch}", batch / machine.seconds(fill, machine.steps), "images/s")
    machine.say("use", "filling and scoring, one process", batch / machine.seconds(score, machine.steps), "images/s")


def agreement(machine: Machine) -> None:
    """The first losses in float32, here and on the CPU, of a small network: largest relative difference."""
    small = replace(machine, recipe=replace(machine.recipe, network=_TINY), side=32)
    found = []
    for device in ("cpu", str(machine.device)):
        there = replace(small, device=torch.device(device))
        state = there.state(2, precision="float32", compile=False)
        found.append([training_step(state, random_batch(2, 32, NUM_CLASSES, device)) for _ in range(2)])
    pairs = zip(*found, strict=True)
    largest = max(
        abs(float(here[name]) - float(there[name])) / max(abs(float(here[name])), 1e-3)
        for here, there in pairs
        for name in here
    )
    machine.say("agreement", "losses of two steps with the CPU's", largest, "relative")
    if largest > 0.02:
        machine.say("agreement", "verdict", "FAILED: more than 0.02")


SECTIONS = (agreement, step_speed, memory, loop, loader, checkpoint, use)


def main() -> int:
    """Measure until the time is used up; 1 where a section failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--minutes", type=float, default=12.0)
    parser.add_argument("--tiny", action="store_true", help="sizes at which a CPU takes seconds")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    device = torch.device(options.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    machine = _machine(device, options.tiny)
    machine.results |= {
        "machine": name,
        "torch": torch.__version__,
        "cuda": torch.version.cuda if device.type == "cuda" else None,
        "precision": resolve_precision(machine.recipe.training.precision, device),
        "sizes": "tiny" if options.tiny else PRESET,
    }
    print(f"{name}, PyTorch {torch.__version__}, {machine.results['precision']}, {machine.results['sizes']}\n")
    print("| section | what | found |\n| --- | --- | --- |")
    started, failed = time.monotonic(), False
    for section in SECTIONS:
        if time.monotonic() - started > options.minutes * 60:
            machine.say(section.__name__, "not measured", "the time was used up")
            continue
        try:
            section(machine)
        # What one section meets, such as too little memory, says something of the machine too; the others go on.
        except Exception as error:
            failed = True
            machine.say(section.__name__, "FAILED", " ".join(f"{type(error).__name__}: {error}".split())[:200])
        if device.type == "cuda":
            torch.cuda.empty_cache()
    machine.results["seconds"] = round(time.monotonic() - started, 1)
    if options.output is not None:
        write_atomically(options.output, (json.dumps(machine.results, indent=2) + "\n").encode())
    return int(failed or "verdict" in machine.results.get("agreement", {}))


def _machine(device: torch.device, tiny: bool) -> Machine:
    if tiny:
        recipe = Recipe(
            network=_TINY,
            discriminator=DiscriminatorSettings(width=4, num_layers=1),
            losses=LossSettings(perceptual=0.0, hole_weight=1.0),
            training=TrainingSettings(steps=100, precision="float32"),
        )
        return Machine(device, recipe, side=32, steps=2, batches=(2, 4))
    raw, _ = with_presets({"recipes": {"it": {"preset": PRESET}}}, PRESET)
    given = raw["recipes"]["it"]
    # Random weights of VGG-16 take as long as trained ones, and no download.
    losses = given["losses"] | {"perceptual_weights": "random"}
    recipe = Recipe(
        network=NetworkSettings(**given["network"]),
        losses=LossSettings(**{key: tuple(v) if isinstance(v, list) else v for key, v in losses.items()}),
        optimizer=OptimizerSettings(**given["optimizer"]),
        training=TrainingSettings(**given["training"]),
    )
    return Machine(device, recipe, side=256, steps=10, batches=(8, 16, 32, 64))


def _flops(machine: Machine, batch: int) -> float:
    """Of an image in a step."""
    method = build_method("sge_net", machine.recipe, NUM_CLASSES)
    data = random_batch(batch, machine.side, NUM_CLASSES, "cpu")
    return step_memory(method, data, "float32").flops / batch


if __name__ == "__main__":
    raise SystemExit(main())
