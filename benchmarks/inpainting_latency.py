"""How long filling takes and how much memory: `python benchmarks/inpainting_latency.py [--model FOLDER]`.

The model, with texture of its own and copied, against PatchMatch (up to a megapixel) and two classical methods of
OpenCV, on the same images of an embedded scene with the same holes: a spot of 64 × 64 pixels, and the middle half in
height and width. Every case runs in a process of its own, so that its peak memory (resident, with Python and the
libraries) is its own; the time is the median over the repeats, after one run that is not counted, and leaves out
loading.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

SIZES = {
    "256²": (256, 256),
    "640×480": (480, 640),
    "512²": (512, 512),
    "1024²": (1024, 1024),
    "2048²": (2048, 2048),
    "4K": (2160, 3840),
}
HOLES = ("spot", "centre")
METHODS = ("model", "model, bfloat16", "model, copied texture", "PatchMatch", "Telea", "Navier-Stokes")
LARGEST_FOR_PATCHMATCH = 1_000_000
RADIUS = 3
SPOT = 64
SCENE_SEED = 2020_11

Fill = Callable[[np.ndarray, np.ndarray], np.ndarray]


def main() -> None:
    """Print one Markdown table with the machine above it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, default=Path("pipelines/registry/shipped"))
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--holes", nargs="+", choices=HOLES, default=list(HOLES))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--case", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case is not None:
        print(json.dumps(run_case(options)))
        return
    print(f"{options.model}, {options.repeats} repeats, {options.threads} threads, {describe_machine()}\n")
    print("| image | hole | method | seconds | to Telea | peak memory | PSNR in the hole |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for size in options.sizes:
            image = Path(folder) / f"{size}.png"
            draw_scene(image, *SIZES[size])
            for hole in options.holes:
                print_rows(options, image, size, hole)


def print_rows(options: argparse.Namespace, image: Path, size: str, hole: str) -> None:
    """Measure every method on one image and hole; ratios are to Telea of the same image and hole."""
    small = SIZES[size][0] * SIZES[size][1] <= LARGEST_FOR_PATCHMATCH
    methods = [method for method in options.methods if small or method != "PatchMatch"]
    results = {method: measure(options, image, hole, method) for method in methods}
    for method, result in results.items():
        ratio = f"{result['seconds'] / results['Telea']['seconds']:.2f}" if "Telea" in results else "–"
        print(
            f"| {size} | {hole} | {method} | {result['seconds']:.3f} | {ratio} | "
            f"{result['peak_bytes'] / 2**20:.0f} MiB | {result['psnr']:.1f} dB |",
            flush=True,
        )


def draw_scene(path: Path, height: int, width: int) -> None:
    """Draw the embedded scene here, so that the measured processes only read it."""
    from pipelines.landscapes import render_scene

    Image.fromarray(render_scene(SCENE_SEED, height, width).image).save(path)


def measure(options: argparse.Namespace, image: Path, hole: str, method: str) -> dict[str, float]:
    """Run one case in a process of its own."""
    case = json.dumps({"image": str(image), "hole": hole, "method": method})
    command = [sys.executable, __file__, "--case", case, "--model", str(options.model)]
    command += ["--repeats", str(options.repeats), "--threads", str(options.threads)]
    environment = os.environ | {"OMP_NUM_THREADS": str(options.threads)}
    finished = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, float] = json.loads(finished.stdout.splitlines()[-1])
    return result


def run_case(options: argparse.Namespace) -> dict[str, float]:
    """Median seconds, the process's peak memory in bytes, and the PSNR in the hole."""
    case = options.case
    with Image.open(case["image"]) as opened:
        image = np.asarray(opened.convert("RGB"))
    hole = draw_hole(case["hole"], *image.shape[:2])
    fill = build_fill(case["method"], options)
    seconds = []
    for _ in range(options.repeats + 1):
        started = time.perf_counter()
        filled = fill(image, hole)
        seconds.append(time.perf_counter() - started)
    error = np.mean((filled[hole].astype(np.float64) - image[hole]) ** 2)
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "seconds": statistics.median(seconds[1:]),
        "peak_bytes": kilobytes * 1024,
        "psnr": float(10 * np.log10(255**2 / max(error, 1e-10))),
    }


def draw_hole(kind: str, height: int, width: int) -> np.ndarray:
    """(H, W) bool, True = missing."""
    rows, columns = (SPOT, SPOT) if kind == "spot" else (height // 2, width // 2)
    top, left = (height - rows) // 2, (width - columns) // 2
    hole = np.zeros((height, width), bool)
    hole[top : top + rows, left : left + columns] = True
    return hole


def build_fill(method: str, options: argparse.Namespace) -> Fill:
    """A function from image and hole to the filled image; each method imports only its own libraries."""
    if method.startswith("model"):
        import torch

        from sgenet.inpainter import Inpainter
        from sgenet.inpainter.inpainter import Texture

        warnings.simplefilter("ignore")
        torch.set_num_threads(options.threads)
        inpainter = Inpainter.load(options.model, precision="bfloat16" if "bfloat16" in method else "float32")
        texture: Texture = "exemplar" if "texture" in method else "network"
        return lambda image, hole: inpainter(image, hole, texture=texture).image
    if method == "PatchMatch":
        from pipelines.evaluation.baselines import patchmatch

        return patchmatch
    import cv2

    cv2.setNumThreads(options.threads)
    flag = cv2.INPAINT_TELEA if method == "Telea" else cv2.INPAINT_NS
    return lambda image, hole: cv2.inpaint(image, hole.astype(np.uint8) * 255, RADIUS, flag)


def describe_machine() -> str:
    """The processor, its cores, and the versions that matter."""
    from importlib.metadata import version

    from mixed_scenes import processor

    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "opencv-python-headless"))
    return f"{processor()}, {os.cpu_count()} cores; {packages}"


if __name__ == "__main__":
    main()
