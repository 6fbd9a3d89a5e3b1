"""Parameters and multiply-accumulates of every method, a row for each recipe: `python benchmarks/methods_table.py`."""

from __future__ import annotations

import argparse
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

# Tensors of a size without content: nothing is computed, and large networks cost no memory.
from torch._subclasses import FakeTensorMode

from pipelines.settings.load import load
from pipelines.settings.params import Settings
from sgenet.errors import UserError
from sgenet.methods.build import build_generator, count_macs, count_parameters
from sgenet.methods.registry import METHODS

ROOT = Path(__file__).resolve().parents[1]
HEADER = """\
| recipe | crop | method | parameters (M) | MACs (G) | MACs against base_net |
| --- | --: | --- | --: | --: | --: |
"""


def main() -> int:
    """Print the table for the files that are named, or all that there are; 2 where one cannot be read."""
    parser = argparse.ArgumentParser(description=__doc__)
    every = [ROOT / "params.yaml", *sorted((ROOT / "configs").glob("*.yaml"))]
    parser.add_argument("file", type=Path, nargs="*", default=every, help="settings (default: params.yaml, configs/)")
    paths: list[Path] = parser.parse_args().file
    try:
        print(HEADER + "".join(rows(load(path)) for path in paths), end="")
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def rows(settings: Settings) -> str:
    """One a recipe and method: millions of parameters, and billions of MACs for one image of its crop."""
    lines = []
    for dataset, recipe in settings.recipes.items():
        data, smallest = settings.data[dataset], 0
        for name in METHODS:
            with _without_content(name):
                generator = build_generator(name, recipe, data.labels.num_classes)
                macs = count_macs(generator, data.crop)
            smallest = smallest or macs
            cells = (f"{count_parameters(generator) / 1e6:.2f}", f"{macs / 1e9:.2f}", f"× {macs / smallest:.2f}")
            lines.append(f"| {dataset} | {data.crop} | {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _without_content(name: str) -> AbstractContextManager[object]:
    # EdgeConnect draws its edges with NumPy, which needs the pixels.
    return nullcontext() if name == "edge_connect" else FakeTensorMode()


if __name__ == "__main__":
    sys.exit(main())
