"""Where an evaluation scores: on the device that filled, seen without a GPU."""

from __future__ import annotations

from unittest import mock

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipelines.data.shards.reader import RawBatch
from pipelines.evaluation.walk import FilledBatch, score_split
from sgenet.batch import Prediction
from sgenet.evaluation.evaluator import SCORE_NAMES

SIDE, COUNT, CLASSES = 32, 7, 8


class Holes:
    """The left half of every image."""

    def mask(self, set_name: str, key: str, /) -> npt.NDArray[np.uint8]:
        hole_mask = np.zeros((SIDE, SIDE), np.uint8)
        hole_mask[:, : SIDE // 2] = 1
        return hole_mask


def _fill_on_meta(image: Tensor, hole_mask: Tensor, label: Tensor) -> FilledBatch:
    image, label = image.to("meta"), label.to("meta")
    reliability = tuple(label[:, None, :: 2**scale, :: 2**scale].float() for scale in range(4))
    return FilledBatch(image, label.long(), label.float(), Prediction((), (), reliability))


def test_what_a_device_filled_is_scored_there_and_read_four_times_a_batch() -> None:
    """On the device ``meta`` any other look at a number raises."""
    read = []

    def stand_in(tensor: Tensor) -> npt.NDArray[np.float64]:
        read.append(tensor.shape)
        return np.zeros(tensor.shape)

    image, hole_mask = torch.zeros(COUNT, 3, SIDE, SIDE, dtype=torch.uint8), torch.zeros(0)
    batch = RawBatch(image, hole_mask, image[:, 0], tuple(str(number) for number in range(COUNT)))
    with (
        mock.patch.object(Tensor, "tolist", lambda tensor: stand_in(tensor).tolist()),
        mock.patch.object(Tensor, "cpu", lambda tensor: torch.from_numpy(stand_in(tensor))),
    ):
        scores = score_split(_fill_on_meta, [batch], Holes(), ("half",), CLASSES)["half"]
    # Scores, confusion matrices, confidence, and unreliable shares of all scales.
    assert read == [(COUNT, len(SCORE_NAMES)), (COUNT, 2, CLASSES, CLASSES), (COUNT,), (4, 2, COUNT)]
    assert len(scores.evaluator.scores) == len(scores.confidence) == len(scores.unreliable_hole[3]) == COUNT
