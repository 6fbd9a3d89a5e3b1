"""``python -m pipelines example``: a photograph and a hole to try the other commands on."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "Write an example photograph and a hole to fill in it."
FOLDER = Path("example")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The folder."""
    parser.add_argument("folder", type=Path, nargs="?", default=FOLDER, help="where to (default: %(default)s)")


def execute(options: argparse.Namespace) -> None:
    """Write ``photo.png`` and ``hole.png``.

    Raises:
        UserError: the folder cannot be written.
    """
    import numpy as np

    from pipelines.inference.images import encode_png
    from pipelines.inference.page.examples import HEIGHT, WIDTH, example_image
    from pipelines.settings.program import program
    from pipelines.storage.files import write_atomically

    hole = np.zeros((HEIGHT, WIDTH), np.uint8)
    hole[HEIGHT // 3 : 2 * HEIGHT // 3, WIDTH // 3 : WIDTH // 2] = 255
    folder: Path = options.folder
    write_atomically(folder / "photo.png", encode_png(example_image(0)))
    write_atomically(folder / "hole.png", encode_png(hole))
    print(f"{program()} inpaint {folder}/photo.png --mask {folder}/hole.png -o {folder}/filled.png")
