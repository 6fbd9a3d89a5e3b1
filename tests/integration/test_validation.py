from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny import CROP
from torch import Tensor, nn

from pipelines.data.evaluation_masks import load_evaluation_masks
from pipelines.data.shards.index import open_index
from pipelines.training.validation import Validator
from sgenet.batch import Prediction
from sgenet.label_space import LabelSpace

LABELS = LabelSpace(("left", "right", "square"))


class _Oracle(nn.Module):
    """Draws the truth, plus an error everywhere; calls every pixel class 1."""

    def __init__(self, error: float) -> None:
        super().__init__()
        self.error = error

    def forward(self, image: Tensor, hole_mask: Tensor) -> Prediction:
        logits = torch.zeros(image.shape[0], LABELS.num_classes, *image.shape[2:])
        logits[:, 1] = 1
        return Prediction((image + self.error,), (logits,))


def _validator(dataset: Path, num_samples: int) -> Validator:
    table = open_index(dataset / "shards").of_split("val")
    return Validator(table, load_evaluation_masks(dataset / "masks"), CROP, LABELS, num_samples)


@pytest.mark.parametrize(("error", "l1_hole"), [(0.0, 0.0), (2 / 255, 1 / 255)])
def test_only_the_hole_is_taken_from_the_generator(error: float, l1_hole: float, tiny_dataset: Path) -> None:
    scores = _validator(tiny_dataset, 0).validate(_Oracle(error), torch.device("cpu")).scores
    assert scores["l1_hole"] == pytest.approx(l1_hole, rel=1e-3)
    # The settings' 12×12 centre hole of a 32×32 crop.
    assert scores["hole_ratio"] == pytest.approx(144 / 1024)
    assert scores["l1"] == pytest.approx(l1_hole * 144 / 1024, rel=1e-3)


def test_sheet_has_a_row_a_sample_image(tiny_dataset: Path) -> None:
    two = _validator(tiny_dataset, 2).validate(_Oracle(0), torch.device("cpu")).sheet
    one = _validator(tiny_dataset, 1).validate(_Oracle(0), torch.device("cpu")).sheet
    assert one is not None
    assert two is not None
    assert two.shape[1] == one.shape[1]
    assert two.shape[0] > one.shape[0]
    assert _validator(tiny_dataset, 0).validate(_Oracle(0), torch.device("cpu")).sheet is None


def test_validating_leaves_the_training_s_random_stream_alone(tiny_dataset: Path) -> None:
    before = torch.get_rng_state()
    _validator(tiny_dataset, 2).validate(_Oracle(0), torch.device("cpu"))
    assert torch.equal(torch.get_rng_state(), before)
