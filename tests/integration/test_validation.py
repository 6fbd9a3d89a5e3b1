from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from tiny import CROP
from torch import Tensor, nn
from two_ranks import TwoRanks

from pipelines.data.evaluation_masks import load_evaluation_masks
from pipelines.data.shards.index import open_index
from pipelines.training import validation
from pipelines.training.ranks import ALONE, Ranks, all_ranks
from pipelines.training.validation import InpaintingValidator, SegmenterValidator, Validation, Validator
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


def _validators(dataset: Path, num_samples: int, ranks: Ranks = ALONE) -> list[Validator]:
    """Of inpainting and of a segmenter."""
    table = open_index(dataset / "shards").of_split("val")
    masks = load_evaluation_masks(dataset / "masks")
    return [
        InpaintingValidator(masks, table, CROP, LABELS, num_samples, ranks=ranks),
        SegmenterValidator(table.labelled(), CROP, LABELS, num_samples, ranks=ranks),
    ]


def _validate(dataset: Path, num_samples: int, network: nn.Module) -> Validation:
    return _validators(dataset, num_samples)[0].validate(network, torch.device("cpu"))


@pytest.mark.parametrize(("error", "l1_hole"), [(0.0, 0.0), (2 / 255, 1 / 255)])
def test_only_the_hole_is_taken_from_the_generator(error: float, l1_hole: float, tiny_dataset: Path) -> None:
    scores = _validate(tiny_dataset, 0, _Oracle(error)).scores
    assert scores["l1_hole"] == pytest.approx(l1_hole, rel=1e-3)
    # The settings' 12×12 centre hole of a 32×32 crop.
    assert scores["hole_ratio"] == pytest.approx(144 / 1024)
    assert scores["l1"] == pytest.approx(l1_hole * 144 / 1024, rel=1e-3)


def test_sheet_has_a_row_a_sample_image(tiny_dataset: Path) -> None:
    two, one = (_validate(tiny_dataset, count, _Oracle(0)).sheet for count in (2, 1))
    assert one is not None
    assert two is not None
    assert two.shape[1] == one.shape[1]
    assert two.shape[0] > one.shape[0]
    assert _validate(tiny_dataset, 0, _Oracle(0)).sheet is None


def test_validating_leaves_the_training_s_random_stream_alone(tiny_dataset: Path) -> None:
    before = torch.get_rng_state()
    _validate(tiny_dataset, 2, _Oracle(0))
    assert torch.equal(torch.get_rng_state(), before)


class _Typed(nn.Module):
    """Predicts what a convolution gives, and remembers in which type that was."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 3, 1)
        self.types: list[torch.dtype] = []

    def forward(self, image: Tensor, hole_mask: Tensor) -> Prediction:
        drawn = self.convolution(image)
        self.types.append(drawn.dtype)
        return Prediction((drawn,), (drawn,))


def test_the_network_alone_computes_in_the_precision_that_is_asked_for(tiny_dataset: Path) -> None:
    for validator in _validators(tiny_dataset, 1):
        for precision, expected in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
            network = _Typed()
            validator.validate(network, torch.device("cpu"), precision)
            assert set(network.types) == {expected}


class _Uneven(nn.Module):
    """Errs more where an image is darker, and takes its brightness for its classes."""

    def forward(self, image: Tensor, hole_mask: Tensor) -> Prediction:
        logits = torch.stack([image.mean(1) * factor for factor in (-1, 0.1, 1)], dim=1)
        return Prediction((image * 0.9,), (logits,))


def _validations(dataset: Path, batch_size: int, ranks: Ranks = ALONE) -> list[Validation]:
    validation.BATCH_SIZE = batch_size
    return [each.validate(_Uneven(), torch.device("cpu")) for each in _validators(dataset, 2, ranks)]


def _rank(rank: int, dataset: Path, batch_size: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder / 'meeting'}", rank=rank, world_size=2)
    ranks = all_ranks(rank, 2)
    found = _validations(dataset, batch_size, ranks)
    torch.save([(each.scores, torch.from_numpy(each.sheet)) for each in found], folder / f"{rank}.pt")
    seen = len(ranks.part(open_index(dataset / "shards").of_split("val"), batch_size))
    (folder / f"{rank}.txt").write_text(str(seen), encoding="utf-8")
    dist.destroy_process_group()


@pytest.mark.slow
# In batches of eight there is one, and nothing for the second rank.
@pytest.mark.parametrize("batch_size", [1, 8])
def test_two_ranks_share_the_images_and_find_the_scores_of_one(
    two_ranks: TwoRanks, tiny_dataset: Path, tmp_path: Path, batch_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validation, "BATCH_SIZE", batch_size)
    two_ranks.run(_rank, tiny_dataset, batch_size, tmp_path)
    seen = [int((tmp_path / f"{rank}.txt").read_text(encoding="utf-8")) for rank in range(2)]
    alone = _validations(tiny_dataset, batch_size)
    assert sum(seen) == len(open_index(tiny_dataset / "shards").of_split("val")) > 1
    assert (min(seen) > 0) == (batch_size == 1)
    for rank in range(2):
        for (scores, sheet), expected in zip(torch.load(tmp_path / f"{rank}.pt"), alone, strict=True):
            assert scores == expected.scores
            assert np.array_equal(sheet.numpy(), expected.sheet)
