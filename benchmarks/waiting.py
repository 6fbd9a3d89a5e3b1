"""What a user waits for besides the work itself: `python benchmarks/waiting.py`.

Times the commands that people type, each in a fresh process: the help, filling 640 × 480 from the shell, a training of
one step, scoring 48 images, a stage with nothing to do, and `dvc repro` from nothing with six methods of 30 steps. They
run in a clone of this repository, in a temporary folder, on the embedded landscapes. About six minutes.

The machine must be otherwise idle.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
METHODS = ("base_net", "sg_net", "sge_net", "gated_conv", "edge_connect", "spg_net")
STEPS = 30
HEIGHT, WIDTH = 480, 640


def main() -> int:
    """Print a Markdown table; the exit status is 1 where a command takes longer than it may."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "sgenet"
        subprocess.run(
            ["git", "-c", "advice.detachedHead=false", "clone", "--quiet", str(ROOT), str(project)], check=True
        )
        prepare_photo(project)
        rows = [
            ("`sgenet --help`", 0.5, median_seconds(project, "sgenet", "--help")),
            ("`sgenet inpaint --help`", 0.5, median_seconds(project, "sgenet", "inpaint", "--help")),
            (
                f"`sgenet inpaint`, {WIDTH} × {HEIGHT}",
                5.0,
                median_seconds(project, *["sgenet", "inpaint", "photo.png", "--mask", "mask.png", "-o", "filled.png"]),
            ),
        ]
        for stage in ("index", "shards", "fit_segmenter", "label", "masks", "baselines"):
            seconds(project, "sgenet", stage, "--dataset", "mixed_scenes")
        rows.append(
            (
                "`label`, with nothing to do",
                2.0,
                median_seconds(project, "sgenet", "label", "--dataset", "mixed_scenes"),
            )
        )
        change_settings(project, methods=["sge_net"], steps=1)
        rows.append(
            (
                "`train`, one step",
                15.0,
                seconds(project, *["sgenet", "train", "--dataset", "mixed_scenes", "--method", "sge_net"]),
            )
        )
        rows.append(
            (
                "`evaluate`, 48 images",
                10.0,
                seconds(project, *["sgenet", "evaluate", "--dataset", "mixed_scenes", "--method", "sge_net"]),
            )
        )
        change_settings(project, methods=list(METHODS), steps=STEPS)
        rows.append(
            (
                f"`dvc repro` from nothing, {len(METHODS)} methods of {STEPS} steps",
                240.0,
                seconds(project, "dvc", "repro"),
            )
        )
        rows.append(("`dvc repro` again", None, seconds(project, "dvc", "repro")))
    print(f"{os.cpu_count()} cores\n")
    print("| command | seconds | asked for |\n| --- | --: | --: |")
    for name, allowed, taken in rows:
        print(f"| {name} | {taken:.2f} | {'' if allowed is None else f'{allowed:g}'} |")
    return int(any(allowed is not None and taken > allowed for _, allowed, taken in rows))


def prepare_photo(project: Path) -> None:
    """A photo and its mask, as a user has them."""
    with Image.open(ROOT / "pipelines/inference/page/photos/rocky_path.jpg") as photo:
        photo.resize((WIDTH, HEIGHT)).save(project / "photo.png")
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[160:320, 240:400] = 255
    Image.fromarray(mask).save(project / "mask.png")


def change_settings(project: Path, methods: list[str], steps: int) -> None:
    """Let the clone's settings train these methods on the landscapes for so many steps."""
    path = project / "params.yaml"
    params = yaml.safe_load(path.read_text())
    params["methods"] = methods
    params["recipes"]["mixed_scenes"]["training"] = {"steps": steps}
    path.write_text(yaml.safe_dump(params, sort_keys=False))


def seconds(project: Path, *command: str) -> float:
    """How long one command takes, from its start to its end."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "MLFLOW_", "RAY_"))
    }
    environment["PATH"] = f"{BIN}{os.pathsep}{environment['PATH']}"
    began = time.monotonic()
    finished = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True)
    taken = time.monotonic() - began
    if finished.returncode:
        raise SystemExit(
            f"{' '.join(command)}: exit status {finished.returncode}\n{finished.stdout}\n{finished.stderr}"
        )
    print(f"{taken:7.2f} s  {' '.join(command)}", file=sys.stderr)
    return taken


def median_seconds(project: Path, *command: str) -> float:
    """The median of three, after one that brings the files from the disk into memory."""
    return statistics.median([seconds(project, *command) for _ in range(4)][1:])


if __name__ == "__main__":
    sys.exit(main())
