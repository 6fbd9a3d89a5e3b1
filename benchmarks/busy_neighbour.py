"""How long filling takes beside a process that uses a core: `python benchmarks/busy_neighbour.py [--fills N]`.

Fills a hole of an embedded scene of 640 × 480 with the shipped model on two cores: alone, and beside one process
that computes without a break. Each case runs in a process of its own; the time is the median over the fills, after
one that is not counted. Exits with 1 where the neighbour costs more than the factor of 3 that is allowed: with two
threads on what is left of two cores, twice the time is to be expected. The last row lets OpenMP's threads spin, as
they do by default.

The machine must be otherwise idle.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

HEIGHT, WIDTH = 480, 640
SCENE_SEED = 2020_11
LIMIT = 3.0
SPINNING = {"OMP_WAIT_POLICY": "ACTIVE"}


def main() -> int:
    """Print a Markdown table; the exit status is 1 where the limit is exceeded."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--fills", type=int, default=5)
    parser.add_argument("--case", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(fill_repeatedly(options.fills)))
        return 0
    cores = sorted(os.sched_getaffinity(0))[:2]
    os.sched_setaffinity(0, cores)
    alone = measure(options.fills, {})
    with busy_process():
        beside = measure(options.fills, {})
        spinning = measure(1, SPINNING)
    print(f"{len(cores)} cores, {WIDTH} × {HEIGHT}\n")
    print("| case | seconds | to alone |\n| --- | --- | --- |")
    for case, seconds in (("alone", alone), ("one busy process", beside), ("one busy process, threads spin", spinning)):
        print(f"| {case} | {seconds:.2f} | {seconds / alone:.1f} |")
    return int(beside > LIMIT * alone)


def measure(fills: int, changes: dict[str, str]) -> float:
    """The median of the seconds that a fill takes in a process of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_", "KMP_"))}
    command = [sys.executable, __file__, "--case", "--fills", str(fills)]
    finished = subprocess.run(command, env=kept | changes, stdout=subprocess.PIPE, text=True, check=True)
    return statistics.median(json.loads(finished.stdout))


def fill_repeatedly(fills: int) -> list[float]:
    """The seconds of each fill but the first."""
    # First of all, as every command does: it says how threads wait before PyTorch is imported.
    from pipelines.landscapes import render_scene
    from pipelines.tracking.model_source import shipped_model
    from sgenet.inpainter import Inpainter

    photo = render_scene(SCENE_SEED, HEIGHT, WIDTH).image
    hole = photo[..., 0] < 0
    hole[HEIGHT // 4 : HEIGHT // 2, WIDTH // 4 : WIDTH // 2] = True
    inpainter = Inpainter.load(shipped_model().folder)
    seconds = []
    for _ in range(fills + 1):
        begun = time.perf_counter()
        inpainter(photo, hole)
        seconds.append(time.perf_counter() - begun)
    return seconds[1:]


@contextmanager
def busy_process() -> Iterator[None]:
    """A process that computes until the block ends."""
    neighbour = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        neighbour.kill()
        neighbour.wait()


if __name__ == "__main__":
    sys.exit(main())
