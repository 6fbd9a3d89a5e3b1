"""What a training may take on GPUs: hours and money by estimate, before any is rented.

Nothing here is measured. Peaks and memory are of the makers' data sheets. Prices are on-demand list prices of
:data:`PRICES_OF`, rounded, of whichever large cloud is cheaper; spot machines cost a third to a half. Each line shows
its hourly price, so that another one can be put in its place. Shares of the peak are what someone who trains on such
machines expects of these networks, by counting operations and memory traffic (2026).
``benchmarks/gpu_hour.py`` measures.
"""

from __future__ import annotations

from dataclasses import dataclass

from sgenet.settings import Precision, TrainingSettings

SMALLEST_SHARE = 8
"""Images a GPU and step: with fewer, launching kernels and exchanging gradients take longer than computing."""

_RESERVE = 1.25
"""What a GPU needs for the memory of the tensors: algorithms' workspaces, the allocator's reserve, CUDA itself."""


@dataclass(frozen=True)
class GpuKind:
    """A GPU that can be rented.

    Attributes:
        teraflops: of dense products in bfloat16, by the data sheet.
        gigabytes: of memory.
        dollars: an hour.
    """

    name: str
    teraflops: float
    gigabytes: float
    dollars: float


PRICES_OF = 2025
"""The year."""

KINDS = (
    GpuKind("A10G", 70, 24, 1.2),
    GpuKind("L4", 121, 24, 0.8),
    GpuKind("A100 80 GB", 312, 80, 2.5),
    GpuKind("H100", 989, 80, 3.0),
    GpuKind("H200", 989, 141, 3.5),
)

_COMPILED, _EAGER, _DETERMINISTIC = (0.20, 0.30), (0.13, 0.19), (0.07, 0.11)
_FLOAT32 = 0.5
"""A share of the speed in bfloat16, with products in TF32 and twice the traffic."""


def cost_lines(
    training: TrainingSettings, workers: int, flops: float, memory: float, precision: Precision
) -> list[str]:
    """Images a second, hours, price and memory on each kind of GPU, a line each.

    Args:
        workers: one GPU each.
        flops: of one image in one step, both networks, forward and backward.
        memory: bytes that the tensors of a worker hold at most.
        precision: of the step.
    """
    shares = _DETERMINISTIC if training.deterministic else _COMPILED if training.compile else _EAGER
    kinds = f"{workers} × " if workers > 1 else ""
    lines = [
        f"on GPUs         estimated, not measured, at list prices of {PRICES_OF}; "
        f"{flops / 1e9:,.0f} GFLOP an image and step:"
    ]
    for kind in KINDS:
        rates = [workers * share * kind.teraflops * 1e12 / flops for share in shares]
        if precision == "float32":
            rates = [rate * _FLOAT32 for rate in rates]
        wanted = _RESERVE * memory / 1e9
        if wanted > kind.gigabytes:
            said = f"needs about {wanted:.0f} GB a GPU and has {kind.gigabytes:g}; use more workers or a smaller batch"
        else:
            if training.budget == "steps":
                hours = [training.steps * training.batch_size / rate / 3600 for rate in reversed(rates)]
            else:
                hours = [training.seconds / 3600] * 2
            dollars = [workers * kind.dollars * count for count in hours]
            price = f"{_range(dollars)} USD at {kind.dollars:g} per GPU-hour"
            said = f"{_range(rates)} images/s, {_range(hours)} hours, {price}"
        lines.append(f"  {kinds + kind.name:<15} {said}")
    return lines


def share_warning(training: TrainingSettings, workers: int) -> str | None:
    """A sentence where the batch leaves a GPU less than it can be kept busy with."""
    share = training.batch_size // workers
    if share >= SMALLEST_SHARE:
        return None
    return (
        f"training.batch_size ({training.batch_size}) is {share} images a step for each of {workers} GPUs, too few to "
        f"keep it busy; use fewer GPUs, or a batch of {SMALLEST_SHARE * workers} and a larger learning rate"
    )


def _range(values: list[float]) -> str:
    """Two figures of each: there is no more to an estimate."""
    low, high = (float(f"{value:.2g}") for value in values)
    return f"{low:,g}" if low == high else f"{low:,g} to {high:,g}"
