"""How close SGE-Net is to what this machine can do, and to LaMa-Fourier doing the same:
`python benchmarks/limits.py [--size 256] [--batch 4] [--precision auto] [--threads N] [--steps 3]
[--sides 256 512 1024] [--part step|inference|all]`.

The limit is the rate of one convolution that suits any processor: 3×3, 128 → 128 channels, 64×64, batch 8, channels
last; the fastest of several runs, forward alone and with its backward. Against it stand

- a full training step (generator, discriminator, losses with VGG-16, optimizers, moving average) of an SGE-Net with
  about as many parameters as LaMa-Fourier, and LaMa-Fourier's own, the median of the steps after a warm-up;
- one image through the generators, that of the default widths among them, the median of the runs after a warm-up.

FLOPs are those of convolutions and matrix products, counted in a real step or run, two for a multiply-accumulate:
a share of the peak is therefore also the share of the time that the same convolutions would take at the peak's rate.
Fourier transforms are not counted, which only LaMa has here, nor is anything else that is no convolution or
product; LaMa's true rate is a little above what stands here. Every case runs in a process of its own on the CPU: its
memory is the peak of the step or run less what was resident before it, thus without weights, and for a step with
gradients, moments, and what allocator and kernels keep. Measure on an idle machine: with another program on one of the
cores, threads wait for each other, and a case takes up to ten times as long; it is named on standard error then.
Images are filled in bfloat16, too, where the processor has it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from memory import forget_peak, memory
from mixed_scenes import processor
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from training_step import random_batch

from sgenet.label_space import OUTDOOR_SCENES
from sgenet.methods.build import build_generator, build_method, count_parameters
from sgenet.methods.lama.network import LamaGenerator
from sgenet.methods.lama.settings import LamaSettings
from sgenet.methods.recipe import Recipe
from sgenet.precision import autocast, has_bfloat16, resolve_precision, round_weights
from sgenet.settings import LossSettings, NetworkSettings, Precision
from sgenet.training.state import TrainingState
from sgenet.training.step import training_step

CPU = torch.device("cpu")
NUM_CLASSES = OUTDOOR_SCENES.num_classes

DEFAULT = Recipe()
"""The paper names no widths. These are its nearest relatives', and those of `outdoor_scenes` in params.yaml: 82 M
parameters."""

LIKE_LAMA = Recipe(
    network=NetworkSettings(widths=(32, 64, 128, 288, 288)),
    losses=LossSettings(perceptual_weights="random"),
    lama=LamaSettings(perceptual_weights="random"),
)
"""Narrower, otherwise the defaults: all five scales, VGG-16, a discriminator of three scales; and LaMa as published."""

OURS_DEFAULT, OURS, LAMA = "SGE-Net, default widths", "SGE-Net", "LaMa-Fourier"
GENERATORS: dict[str, Callable[[], nn.Module]] = {
    OURS_DEFAULT: partial(build_generator, "sge_net", DEFAULT, NUM_CLASSES),
    OURS: partial(build_generator, "sge_net", LIKE_LAMA, NUM_CLASSES),
    LAMA: partial(build_generator, "lama", LIKE_LAMA, NUM_CLASSES),
}
TRAINED = {OURS: "sge_net", LAMA: "lama"}
PUBLISHED_PARAMETERS = 27_000_000
"""Of LaMa-Fourier."""

PEAK_RUNS, PEAK_CHANNELS, PEAK_SIDE, PEAK_BATCH = 12, 128, 64, 8
PEAK_FLOPS = 2 * 9 * PEAK_CHANNELS**2 * PEAK_SIDE**2 * PEAK_BATCH
FORWARD_RUNS = 5
LONG_SECONDS = 10.0
"""A forward pass that takes longer is run once after its warm-up."""

TOLERANCE = 0.03
"""How far our LaMa-Fourier's parameters may be from the published number."""

DISTURBED = 0.03
"""A case is named where other programs take a larger share of the cores' time."""


class Peak(NamedTuple):
    """Seconds of the convolution's forward pass, and of forward and backward."""

    forward: float
    both: float

    @property
    def forward_rate(self) -> float:
        """FLOP/s."""
        return PEAK_FLOPS / self.forward

    @property
    def both_rate(self) -> float:
        """FLOP/s: a backward is two more convolutions, of what came in and of the weights."""
        return 3 * PEAK_FLOPS / self.both


class Cost(NamedTuple):
    """What one step or forward pass takes."""

    parameters: int
    seconds: float
    flops: int
    peak_bytes: int


def main() -> None:
    """Print the tables as Markdown, with the machine above them."""
    options = _parse()
    torch.set_num_threads(options.threads)
    if options.case is not None:
        print(json.dumps(run_case(options.case)))
        return
    precision = resolve_precision(options.precision, CPU)
    print(f"{processor()}; PyTorch {torch.__version__}, {options.threads} threads, {precision}\n")
    used: tuple[Precision, ...] = ("float32", "bfloat16") if has_bfloat16(CPU) else ("float32",)
    measured = {"step": {precision}, "inference": {*used}, "all": {precision, *used}}[options.part]
    peaks = {name: Peak(**run(options, kind="peak", precision=name)) for name in sorted(measured, reverse=True)}
    print_peaks(peaks)
    if options.part in ("step", "all"):
        print_steps(options, precision, peaks[precision])
    if options.part in ("inference", "all"):
        print_forwards(options, {name: peaks[name] for name in used})


def print_peaks(peaks: dict[Precision, Peak]) -> None:
    """The rates that all others are compared with."""
    print("| convolution | precision | ms | GFLOP/s |\n| --- | --- | --: | --: |")
    for name, peak in peaks.items():
        print(f"| forward | {name} | {peak.forward * 1e3:.1f} | {peak.forward_rate / 1e9:.1f} |")
        print(f"| forward and backward | {name} | {peak.both * 1e3:.1f} | {peak.both_rate / 1e9:.1f} |")


def print_steps(options: argparse.Namespace, precision: Precision, peak: Peak) -> None:
    """A training step of each network; the last two columns are to the last row's."""
    print(f"\nTraining step, {options.size}×{options.size}, batch {options.batch}, {precision}\n")
    print("| network | parameters | ms | images/s | GFLOP | GFLOP/s | of the peak | memory | time to LaMa | memory |")
    print(f"| --- |{' --: |' * 9}", flush=True)
    shape = {"size": options.size, "batch": options.batch, "steps": options.steps}
    costs = {name: Cost(**run(options, kind="step", network=name, precision=precision, **shape)) for name in TRAINED}
    for name, cost in costs.items():
        cells = [name, f"{cost.parameters / 1e6:.1f} M", f"{cost.seconds * 1e3:,.0f}"]
        cells += [f"{options.batch / cost.seconds:.2f}", *rates(cost, peak.both_rate), *ratios(cost, costs[LAMA])]
        print(f"| {' | '.join(cells)} |", flush=True)


def print_forwards(options: argparse.Namespace, peaks: dict[Precision, Peak]) -> None:
    """One image through each network; ratios are to LaMa-Fourier of the same size and precision."""
    print("\nOne image through the generator\n")
    print("| image | precision | network | parameters | seconds | GFLOP | GFLOP/s | of the peak | memory | ", end="")
    print(f"time to LaMa | memory |\n| --- | --- | --- |{' --: |' * 8}", flush=True)
    for side in options.sides:
        for precision, peak in peaks.items():
            case = {"kind": "forward", "precision": precision, "side": side}
            costs = {name: Cost(**run(options, **case, network=name)) for name in GENERATORS}
            for name, cost in costs.items():
                cells = [f"{side}²", precision, name, f"{cost.parameters / 1e6:.1f} M", f"{cost.seconds:.2f}"]
                cells += [*rates(cost, peak.forward_rate), *ratios(cost, costs[LAMA])]
                print(f"| {' | '.join(cells)} |", flush=True)


def rates(cost: Cost, peak: float) -> list[str]:
    """Cells: GFLOP, GFLOP/s, its share of the peak, MiB."""
    rate = cost.flops / cost.seconds
    memory = f"{cost.peak_bytes / 2**20:,.0f} MiB"
    return [f"{cost.flops / 1e9:,.0f}", f"{rate / 1e9:.1f}", f"{rate / peak:.0%}", memory]


def ratios(cost: Cost, to: Cost) -> list[str]:
    """Cells: time and memory against those of another network."""
    return [f"{cost.seconds / to.seconds:.2f}", f"{cost.peak_bytes / to.peak_bytes:.2f}"]


def run(options: argparse.Namespace, **case: Any) -> dict[str, Any]:
    """Measure one case in a process of its own, and watch what others do meanwhile."""
    command = [sys.executable, __file__, "--case", json.dumps(case), "--threads", str(options.threads)]
    environment = os.environ | {"OMP_NUM_THREADS": str(options.threads)}
    began, elsewhere = time.perf_counter(), busy_elsewhere()
    finished = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    share = (busy_elsewhere() - elsewhere) / (time.perf_counter() - began) / (os.cpu_count() or 1)
    if share > DISTURBED:
        print(f"{json.dumps(case)}: disturbed, others took {share:.0%} of the cores' time", file=sys.stderr)
    result: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
    return result


def run_case(case: dict[str, Any]) -> dict[str, Any]:
    """Here: the peak, a training step or a forward pass."""
    match case.pop("kind"):
        case "peak":
            return measure_peak(**case)._asdict()
        case "step":
            return measure_step(**case)._asdict()
        case _:
            return measure_forward(**case)._asdict()


def measure_peak(precision: Precision) -> Peak:
    """The fastest of several runs, as it is for a limit."""
    layer = nn.Conv2d(PEAK_CHANNELS, PEAK_CHANNELS, 3, padding=1, bias=False)
    layer.to(memory_format=torch.channels_last)
    x = torch.randn(PEAK_BATCH, PEAK_CHANNELS, PEAK_SIDE, PEAK_SIDE)
    x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
    if precision == "bfloat16":
        layer, x = layer.bfloat16(), x.detach().bfloat16().requires_grad_()
    gradient = torch.ones_like(x)

    def forward() -> None:
        with torch.no_grad():
            layer(x)

    def both() -> None:
        layer.weight.grad = x.grad = None
        layer(x).backward(gradient)

    return Peak(*(min(timed(pass_, PEAK_RUNS + 1)[1:]) for pass_ in (forward, both)))


def measure_step(network: str, precision: Precision, size: int, batch: int, steps: int) -> Cost:
    """Steps on random images."""
    images = random_batch(batch, size, NUM_CLASSES, "cpu")
    recipe = replace(LIKE_LAMA, training=replace(LIKE_LAMA.training, precision=precision, batch_size=batch))
    method = build_method(TRAINED[network], recipe, NUM_CLASSES)
    step = partial(training_step, TrainingState(method, recipe), images)
    generator = method.generator
    generator.train()
    return measure(generator, step, lambda _: steps)


@torch.inference_mode()
def measure_forward(network: str, precision: Precision, side: int) -> Cost:
    """As `sgenet.inpainter` runs a generator: channels last, and bfloat16 by autocast with weights that have it."""
    generator = GENERATORS[network]().eval()
    round_weights(generator, precision)
    generator.to(memory_format=torch.channels_last)
    batch = random_batch(1, side, NUM_CLASSES, "cpu")

    def forward() -> None:
        with autocast(CPU, precision):
            generator(batch.image, batch.hole_mask)

    return measure(generator, forward, lambda seconds: 1 if seconds > LONG_SECONDS else FORWARD_RUNS)


def measure(generator: nn.Module, work: Callable[[], object], runs: Callable[[float], int]) -> Cost:
    """A run that warms up, as many as its seconds ask for, of which the median is taken, and one that is counted."""
    parameters = count_parameters(generator)
    before = forget_peak()
    if isinstance(generator, LamaGenerator):
        assert abs(parameters / PUBLISHED_PARAMETERS - 1) < TOLERANCE, f"LaMa has {parameters:,} parameters"
    (warm_up,) = timed(work, 1)
    seconds = statistics.median(timed(work, runs(warm_up)))
    peak = memory("VmHWM")
    # Counting keeps what was computed alive for longer: it comes last.
    with FlopCounterMode(display=False) as counter:
        work()
    return Cost(parameters, seconds, int(counter.get_total_flops()), peak - before)


def timed(work: Callable[[], object], runs: int) -> list[float]:
    """Seconds of each run."""
    seconds = []
    for _ in range(runs):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return seconds


def busy_elsewhere() -> float:
    """Seconds that the machine's cores were busy, but not with this process and its finished children."""
    user, nice, system, _, _, *interrupts = map(int, Path("/proc/stat").read_text(encoding="ascii").split()[1:9])
    own = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    busy = (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")
    return busy - sum(usage.ru_utime + usage.ru_stime for usage in own)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256, help="side of the training images")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto", help="of the step")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--sides", type=int, nargs="+", default=[256, 512, 1024], help="of the images filled")
    parser.add_argument("--part", choices=("step", "inference", "all"), default="all")
    parser.add_argument("--case", type=json.loads, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
