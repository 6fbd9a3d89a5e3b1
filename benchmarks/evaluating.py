"""What scoring takes beside filling: `python benchmarks/evaluating.py [--images 8] [--size 256] [--batch 4]`.

The evaluation's own walk over drawn landscapes with centre holes and one thread, as a worker of an evaluation
does it. SGE-Net has the default widths, and as many parameters as LaMa-Fourier; it is not trained, which takes as long.
Filling is timed apart. The rest is scoring: PSNR, SSIM by two protocols, L1, at the border too, confusion counts,
confidence and unreliable shares. FID, KID and LPIPS are not among it: they need weights of their own.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from limits import DEFAULT, LIKE_LAMA, OURS, OURS_DEFAULT
from mixed_scenes import processor

from pipelines.evaluation.fills import FilledBatch, model_fill
from pipelines.evaluation.scoring import score_split
from pipelines.landscapes import render_scene
from sgenet.batch import Uint8Batch
from sgenet.label_space import OUTDOOR_SCENES
from sgenet.masks import centre_hole
from sgenet.methods.build import build_generator
from sgenet.methods.recipe import Recipe
from sgenet.methods.release import Released
from sgenet.training.determinism import one_thread


def main() -> None:
    """Print a row for each network."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=4)
    options = parser.parse_args()
    batches = [draw(first, options.batch, options.size) for first in range(0, options.images, options.batch)]
    print(f"{options.size}×{options.size}, float32, one thread; {processor()}, PyTorch {torch.__version__}\n")
    print("| network | filling, ms an image | scoring, ms an image | scoring to filling |")
    print("| --- | --: | --: | --: |")
    for name, recipe in ((OURS_DEFAULT, DEFAULT), (OURS, LIKE_LAMA)):
        with one_thread():
            filling, scoring = measure(recipe, batches, options.size)
        print(f"| {name} | {filling * 1e3:.0f} | {scoring * 1e3:.1f} | {scoring / filling:.1%} |", flush=True)


def draw(first: int, count: int, size: int) -> Uint8Batch:
    """A batch of landscapes with their labels."""
    scenes = [render_scene(first + number, size, size) for number in range(count)]
    image = torch.from_numpy(np.stack([scene.image for scene in scenes])).permute(0, 3, 1, 2).contiguous()
    label = torch.from_numpy(np.stack([scene.label for scene in scenes]))
    keys = tuple(f"{first + number}" for number in range(count))
    return Uint8Batch(image, torch.zeros(count, 1, size, size, dtype=torch.uint8), label, keys)


def measure(recipe: Recipe, batches: list[Uint8Batch], size: int) -> tuple[float, float]:
    """Seconds an image for filling, and for everything else; the first batch warms up."""
    generator = build_generator("sge_net", recipe, OUTDOOR_SCENES.num_classes).eval()
    fill = model_fill(Released("sge_net", generator, recipe, OUTDOOR_SCENES), torch.device("cpu"))
    filling = 0.0

    def timed_fill(image: torch.Tensor, hole_mask: torch.Tensor, label: torch.Tensor) -> FilledBatch:
        nonlocal filling
        begin = time.perf_counter()
        filled = fill(image, hole_mask, label)
        filling += time.perf_counter() - begin
        return filled

    hole = centre_hole(size, size, size // 2)

    def walk(part: list[Uint8Batch]) -> None:
        score_split(timed_fill, part, lambda name, key: hole, ["centre"], OUTDOOR_SCENES.num_classes)

    walk(batches[:1])
    filling, begin = 0.0, time.perf_counter()
    walk(batches)
    total, images = time.perf_counter() - begin, sum(len(batch.keys) for batch in batches)
    return filling / images, (total - filling) / images


if __name__ == "__main__":
    main()
