"""``python -m pipelines inpaint``: fill the hole of one picture with a released model."""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from sgenet.errors import UserError

if TYPE_CHECKING:
    from sgenet.inpainter import Inpainted

HELP = "Fill the hole of a photograph."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The photo, its hole, the model and the outputs."""
    parser.add_argument("photo", type=Path)
    parser.add_argument("--hole", type=Path, required=True, help="mask of the photo's size, white = missing")
    parser.add_argument("--model", type=Path, required=True, help="folder with model.json and model.safetensors")
    parser.add_argument("-o", "--output", type=Path, required=True, help="picture to write (PNG)")
    parser.add_argument("--save-segmentation", type=Path, help="also write the predicted segmentation (PNG)")


def execute(options: argparse.Namespace) -> None:
    """See :func:`run`."""
    run(options.photo, options.hole, options.model, options.output, options.save_segmentation)


def run(photo: Path, hole: Path, model: Path, output: Path, save_segmentation: Path | None = None) -> None:
    """Fill the white part of ``hole`` in ``photo`` and say how sure the model is.

    Args:
        photo: any common picture format.
        hole: a mask of the photo's size, white = missing.
        model: folder of a released model.
        output: PNG to write; known pixels are the photo's, bit for bit.
        save_segmentation: palette PNG to write, whose indices are the class ids.

    Raises:
        UserError: a file cannot be used, or the output's name does not end in .png.
    """
    from pipelines.files import write_atomically
    from pipelines.pictures import encode_label, encode_png, read_picture
    from sgenet.inpainter import Inpainter

    for path in filter(None, (output, save_segmentation)):
        if path.suffix.lower() != ".png":
            raise UserError(f"the output {path} must be a .png file, which keeps every known pixel as it was")
    picture, mask = read_picture(photo, "photo"), read_picture(hole, "hole mask")
    inpainter = Inpainter.load(model)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        inpainted = inpainter(picture, mask)
    for warning in caught:
        print(f"warning: {warning.message}", file=sys.stderr)
    if save_segmentation is not None:
        if inpainted.label is None:
            raise UserError(f"the model in {model} predicts no segmentation; leave out the segmentation's file")
        write_atomically(save_segmentation, encode_label(inpainted.label, inpainter.label_space))
    write_atomically(output, encode_png(inpainted.image))
    print(f"{output}: {_summary(inpainted)}")


def _summary(inpainted: Inpainted) -> str:
    if not inpainted.hole.any():
        return "the mask marks nothing as missing, so the picture is unchanged"
    filled = f"filled {inpainted.hole.mean():.1%} of the picture"
    confidence = inpainted.hole_confidence
    return filled if confidence is None else f"{filled}, mean confidence in the hole {confidence:.2f}"
