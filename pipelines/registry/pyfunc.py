"""The released model as an MLflow pyfunc: images as base64 in, images as base64 out, and no pickles."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from mlflow.types import ColSpec, Schema

from pipelines.inference.server.limits import ServingLimits
from pipelines.inference.server.pairs import Answer, PhotoWithHole, answer, decode_rows, to_base64
from pipelines.inference.server.refusal import Refusal
from pipelines.parallel.torch_thread import in_torch_thread
from sgenet.inpainter import Inpainted, Inpainter

NO_LIMITS = ServingLimits(pixels=sys.maxsize, side=1 << 20, rows=sys.maxsize)
"""Pillow's own limit for an image remains. Requests over the network are bounded by a reverse proxy."""

_ROWS_AT_ONCE = 8

ARTIFACT = "released"
"""The artifact that holds the released folder."""

MODEL_CONFIG = {"device": "cpu"}
"""What may be chosen when the model is loaded: MLflow passes on only what a model was logged with."""

SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec("string", "image"), ColSpec("string", "hole_mask")]),
    outputs=Schema(
        [
            ColSpec("string", "inpainted"),
            ColSpec("string", "segmentation", required=False),
            ColSpec("double", "confidence", required=False),
            ColSpec("string", "warning", required=False),
        ]
    ),
)
"""One row an image.

In: ``image``, a base64 PNG or JPEG; ``hole_mask``, a base64 PNG of its size, white = missing.
Out: ``inpainted``, a base64 PNG; ``segmentation``, a base64 PNG of class ids, or null for a method
without; ``confidence``, the mean in the hole from 0 to 1, or null without a hole or a segmentation; ``warning``, what
looks wrong with what was sent, or null.
"""


class SGEModel(PythonModel):
    """Serves an :class:`~sgenet.inpainter.Inpainter`.

    ``mlflow.pyfunc.load_model(uri, model_config={"device": "cuda"})`` puts it on a GPU; the default is the CPU.
    """

    def load_context(self, context: PythonModelContext) -> None:
        """Load the weights: called by MLflow once, before the first prediction."""
        device = (MODEL_CONFIG | (context.model_config or {}))["device"]
        self._inpainter = in_torch_thread(Inpainter.load, Path(context.artifacts[ARTIFACT]), device)

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Fill every row's image; see :data:`SIGNATURE`.

        Raises:
            MlflowException: (answered as 4xx by a server) naming the row and what is wrong with it.
        """
        records = model_input.to_dict("records")
        answers: list[Answer] = []
        for start in range(0, len(records), _ROWS_AT_ONCE):
            try:
                pairs = decode_rows(records[start : start + _ROWS_AT_ONCE], NO_LIMITS, start)
            except Refusal as refusal:
                raise MlflowException.invalid_parameter_value(str(refusal)) from refusal
            # One request at a time: an image uses every core.
            filled = in_torch_thread(self._fill, pairs)
            answers += map(answer, pairs, filled)
        # dtype=object: a missing confidence must stay null; in a float column it becomes NaN, which is not JSON.
        return pd.DataFrame(answers, columns=SIGNATURE.outputs.input_names(), dtype=object)

    def _fill(self, pairs: Sequence[PhotoWithHole]) -> list[Inpainted]:
        images, holes = [pair.photo.pixels for pair in pairs], [pair.hole for pair in pairs]
        return self._inpainter.fill_many(images, holes, texture="exemplar")


def read_row(row: Mapping[str, Any]) -> PhotoWithHole:
    """The photograph and the hole of one row of the input.

    Raises:
        Refusal: one of them is not an image in base64, or they do not fit together.
    """
    (pair,) = decode_rows([dict(row)], NO_LIMITS)
    return pair


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
    return pd.DataFrame([{"image": to_base64(image), "hole_mask": to_base64(hole.astype(np.uint8) * 255)}])
