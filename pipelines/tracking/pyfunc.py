"""The released model as an MLflow pyfunc: pictures as base64 in, pictures as base64 out, and no pickles."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from mlflow.types import ColSpec, Schema
from PIL import Image

from pipelines.pictures import decode_picture, encode_png
from sgenet.errors import DataError, UserError
from sgenet.inpainter import Inpainted, Inpainter

ARTIFACT = "released"
"""The artifact that holds the released folder."""

Answer = dict[str, str | float | None]

SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec("string", "image"), ColSpec("string", "hole_mask")]),
    outputs=Schema(
        [
            ColSpec("string", "inpainted"),
            ColSpec("string", "segmentation", required=False),
            ColSpec("double", "confidence", required=False),
        ]
    ),
)
"""One row a picture.

In: ``image``, a base64 PNG or JPEG; ``hole_mask``, a base64 PNG of its size, white = missing.
Out: ``inpainted``, a base64 PNG; ``segmentation``, a base64 PNG of class ids, or null for a method
without; ``confidence``, the mean in the hole from 0 to 1, or null without a hole or a segmentation.
"""


class SGEModel(PythonModel):
    """Serves an :class:`~sgenet.inpainter.Inpainter`.

    ``mlflow.pyfunc.load_model(uri, model_config={"device": "cuda"})`` puts it on a GPU; the default is the CPU.
    """

    def load_context(self, context: PythonModelContext) -> None:
        """Load the weights: called by MLflow once, before the first prediction."""
        device = (context.model_config or {}).get("device", "cpu")
        self._inpainter = Inpainter.load(Path(context.artifacts[ARTIFACT]), device)

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Fill every row's picture; see :data:`SIGNATURE`.

        Raises:
            MlflowException: (answered as 400 by a server) naming the row and what is wrong with it.
        """
        try:
            filled = [self._fill(row, number) for number, (_, row) in enumerate(model_input.iterrows())]
        except UserError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error
        # dtype=object: a missing confidence must stay null; in a float column it becomes NaN, which is not JSON.
        return pd.DataFrame(filled, columns=SIGNATURE.outputs.input_names(), dtype=object)

    def _fill(self, row: pd.Series[str], number: int) -> Answer:
        try:
            return answer(self._inpainter(*read_row(row)))
        except UserError as error:
            raise UserError(f"row {number}: {error}") from error


def read_row(row: pd.Series[str]) -> tuple[Image.Image, Image.Image]:
    """The picture and the hole mask of one row of the input.

    Raises:
        DataError: when one of them is not a picture in base64.
    """
    return _decode(row["image"], "the image"), _decode(row["hole_mask"], "the hole mask")


def answer(inpainted: Inpainted) -> Answer:
    """One row of the output, as :data:`SIGNATURE` says it."""
    return {
        "inpainted": _encode(inpainted.image),
        "segmentation": None if inpainted.label is None else _encode(inpainted.label),
        "confidence": inpainted.hole_confidence,
    }


def example_input(side: int) -> pd.DataFrame:
    """A sky over a hill with its middle missing: one row that shows what the model takes.

    Args:
        side: height and width in pixels.
    """
    y, x = np.mgrid[0:side, 0:side] / side
    hill = y > 0.6 + 0.15 * np.sin(4 * x)
    sky = np.stack([90 + 100 * y, 140 + 80 * y, 230 - 10 * y], axis=-1)
    ground = np.stack([60 + 40 * x, 110 + 30 * np.sin(40 * x * y), 50 + 0 * x], axis=-1)
    image = np.where(hill[..., None], ground, sky).round().astype(np.uint8)
    hole = (np.abs(y - 0.5) < 0.25) & (np.abs(x - 0.5) < 0.25)
    return pd.DataFrame([{"image": _encode(image), "hole_mask": _encode(hole.astype(np.uint8) * 255)}])


def _encode(pixels: np.ndarray) -> str:
    return base64.b64encode(encode_png(pixels)).decode("ascii")


def _decode(text: str, where: str) -> Image.Image:
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError) as error:
        raise DataError(f"{where} is not base64 ({error}); send the picture file's bytes in base64") from error
    return decode_picture(content, where)
