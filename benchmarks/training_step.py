"""How fast a full training step is, and what a whole training takes and costs:
`python benchmarks/training_step.py [--params FILE] [--dataset NAME] [--steps N] [--threads N] [--price PER_HOUR]`.

Generator, discriminator, optimizers and moving average, on random images of the dataset's crop and
batch size, for each method with the dataset's recipe in ``--params``. The last columns are the recipe's steps at
this rate on one such machine, and at its price; more workers divide the time, by a little less than their number.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from pathlib import Path

import torch

from pipelines.settings.load import load
from sgenet.batch import InpaintingBatch
from sgenet.methods.build import build_method, count_macs, count_parameters
from sgenet.methods.recipe import Recipe
from sgenet.methods.registry import METHODS
from sgenet.precision import resolve_precision
from sgenet.settings import TrainingSettings
from sgenet.training.state import TrainingState
from sgenet.training.step import training_step


def main() -> None:
    """Print a table: parameters, multiply-accumulates, median step time, images/s, ratio to the first method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", type=Path, default=Path("configs/outdoor_photos.yaml"))
    parser.add_argument("--dataset", default="outdoor_mix")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--price", type=float, help="of this machine for an hour, in any currency")
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    settings = load(options.params)
    recipe, data = settings.recipes[options.dataset], settings.data[options.dataset]
    name = torch.cuda.get_device_name() if options.device == "cuda" else platform.processor() or platform.machine()
    precision = resolve_precision(recipe.training.precision, torch.device(options.device))
    print(
        f"{options.dataset}: {data.crop}×{data.crop}, batch {recipe.training.batch_size}, {precision}; "
        f"PyTorch {torch.__version__} on {name}, {options.threads} threads"
    )
    columns = ["method", "parameters", "GMAC an image", "step (median)", "images/s", "to the first"]
    columns += ["whole training", *(["price"] if options.price is not None else [])]
    print(f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}")
    first = None
    for method in options.methods:
        parameters, macs, seconds = measure(method, recipe, data.labels.num_classes, data.crop, options)
        rate = recipe.training.batch_size / seconds
        first = first or rate
        hours = training_seconds(recipe.training, seconds) / 3600
        cells = [method, f"{parameters / 1e6:.2f} M", f"{macs / 1e9:.2f}", f"{seconds * 1000:.0f} ms", f"{rate:.1f}"]
        cells += [f"{rate / first:.2f}", f"{hours:,.1f} h"]
        cells += [f"{hours * options.price:,.2f}"] if options.price is not None else []
        print(f"| {' | '.join(cells)} |", flush=True)


def training_seconds(training: TrainingSettings, step_seconds: float) -> float:
    """What the steps of a recipe take, or the time that it has; validation, checkpoints and data come on top."""
    return training.seconds if training.budget == "wall_clock" else training.steps * step_seconds


def measure(
    name: str, recipe: Recipe, num_classes: int, side: int, options: argparse.Namespace
) -> tuple[int, int, float]:
    """Parameters, multiply-accumulates of a forward pass, and the median seconds of a step after a warm-up."""
    method = build_method(name, recipe, num_classes)
    parameters, macs = count_parameters(method.generator), count_macs(method.generator, side)
    state = TrainingState(method, recipe, options.device)
    method.generator.train()
    batch = random_batch(recipe.training.batch_size, side, num_classes, options.device)
    seconds = []
    for _ in range(options.steps + 2):
        started = time.perf_counter()
        training_step(state, batch)
        if options.device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    return parameters, macs, statistics.median(seconds[2:])


def random_batch(batch_size: int, side: int, num_classes: int, device: str) -> InpaintingBatch:
    """Noise with a centre hole: the work of a step does not depend on what the images show."""
    random = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (batch_size, 3, side, side), generator=random, dtype=torch.uint8)
    label = torch.randint(0, num_classes, (batch_size, side, side), generator=random, dtype=torch.uint8)
    hole_mask = torch.zeros(batch_size, 1, side, side, dtype=torch.uint8)
    hole_mask[..., side // 4 : -side // 4, side // 4 : -side // 4] = 1
    return InpaintingBatch.from_uint8(image.to(device), hole_mask.to(device), label.to(device))


if __name__ == "__main__":
    main()
