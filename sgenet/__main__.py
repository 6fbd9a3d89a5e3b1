"""``python -m sgenet``: fill the hole of one photograph, with the method's packages alone.

``pip install sgenet[platform]`` installs the command ``sgenet``, which also fills folders, serves and trains.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sgenet.console import run_command
from sgenet.errors import UserError

if TYPE_CHECKING:
    from PIL import Image


def main(arguments: list[str] | None = None) -> int:
    """Fill one photograph and return the exit status: 0, or 2 for what the user can fix."""
    parser = argparse.ArgumentParser(prog="python -m sgenet", description="Fill the hole of a photograph.")
    parser.add_argument("photo", type=Path)
    parser.add_argument("--mask", type=Path, required=True, help="an image of the photo's size, white = missing")
    parser.add_argument("-o", "--output", type=Path, required=True, help="a .png file")
    parser.add_argument("--model", help="folder with model.json and model.safetensors (default: the one shipped)")
    parser.add_argument("--texture", choices=("exemplar", "network"), default="exemplar")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, or auto (default: cpu)")
    options = parser.parse_args(arguments)
    if options.output.suffix.lower() != ".png":
        parser.error(f"the output {options.output} must be a .png file, which keeps every known pixel as it was")
    for given in (options.photo, options.mask):
        if options.output.resolve() == given.resolve():
            parser.error(f"the output {options.output} would overwrite {given}; give it another name")
    # After the help and the mistakes in the usage: PyTorch takes seconds to import.
    import torch
    from PIL import Image

    from sgenet.inpainter.inpainter import SHIPPED, Inpainter

    try:
        device = options.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        inpainter = Inpainter.load(options.model or SHIPPED, device)
        with Image.open(options.photo) as photo, Image.open(options.mask) as mask:
            filled = inpainter(photo, mask, texture=options.texture)
        _save(Image.fromarray(filled.image), options.output)
    except (UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _save(image: Image.Image, path: Path) -> None:
    """Write a PNG that appears whole or not at all.

    Raises:
        UserError: it cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        image.save(partial, "PNG")
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise UserError(f"{path} cannot be written ({error.strerror}); check the folder and the disk") from None


if __name__ == "__main__":
    sys.exit(run_command(main))
