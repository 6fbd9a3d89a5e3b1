"""How fast the embedded scenes are drawn, on one core; and a contact sheet to look at.

python benchmarks/mixed_scenes.py [--size 256] [--count 100] [--sheet sheet.png]
"""

from __future__ import annotations

import argparse
import platform
import time
from pathlib import Path

import numpy as np
from PIL import Image

from pipelines.landscapes import Scene, render_scene
from sgenet.label_space import OUTDOOR_SCENES

REQUIRED_IMAGES_PER_SECOND = 20.0


def main() -> None:
    arguments = _parse()
    render_scene(0, arguments.size, arguments.size)
    start = time.process_time()
    scenes = [render_scene(arguments.seed + n, arguments.size, arguments.size) for n in range(arguments.count)]
    seconds = time.process_time() - start
    rate = arguments.count / seconds
    print(f"{rate:.1f} images/s a core at {arguments.size}×{arguments.size} ({arguments.count} images)")
    print(f"machine: {processor()}, numpy {np.__version__}, Python {platform.python_version()}")
    if arguments.sheet:
        sheet(scenes, arguments.columns).save(arguments.sheet)
        print(f"contact sheet: {arguments.sheet}")
    if arguments.size == 256 and rate < REQUIRED_IMAGES_PER_SECOND:
        raise SystemExit(f"slower than the {REQUIRED_IMAGES_PER_SECOND:.0f} images/s that are promised")


def sheet(scenes: list[Scene], columns: int) -> Image.Image:
    """Each image with its label map below it, ``columns`` a row."""
    cells = [np.concatenate([scene.image, OUTDOOR_SCENES.colourise(scene.label)]) for scene in scenes]
    cells += [np.zeros_like(cells[0])] * (-len(cells) % columns)
    rows = [np.concatenate(cells[start : start + columns], axis=1) for start in range(0, len(cells), columns)]
    return Image.fromarray(np.concatenate(rows))


def processor() -> str:
    """The processor's name as Linux knows it, or the architecture."""
    names = [
        line.split(":", 1)[1].strip()
        for path in [Path("/proc/cpuinfo")]
        if path.exists()
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    ]
    return names[0] if names else platform.machine()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--size", type=int, default=256, help="side of the images in pixels")
    parser.add_argument("--count", type=int, default=100, help="how many images")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first image")
    parser.add_argument("--columns", type=int, default=8, help="images in a row of the sheet")
    parser.add_argument("--sheet", type=Path, help="where to save a contact sheet (PNG)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
