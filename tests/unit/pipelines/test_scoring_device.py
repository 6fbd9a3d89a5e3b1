"""Where an evaluation scores and how it computes: on the device that filled, seen without a GPU; in which precision."""

from __future__ import annotations

import json
from pathlib import Path
from unittest import mock

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from pipelines.evaluation import fills, run
from pipelines.evaluation.fills import FilledBatch, model_fill
from pipelines.evaluation.run import EvaluationData, evaluate_model
from pipelines.evaluation.scoring import score_split
from pipelines.registry.gate import evidence
from pipelines.settings.load import load
from pipelines.settings.params import EvaluationSettings
from sgenet.batch import Prediction, Uint8Batch
from sgenet.evaluation.evaluator import SCORE_NAMES
from sgenet.label_space import OUTDOOR_SCENES
from sgenet.methods.recipe import Recipe
from sgenet.methods.release import Released
from sgenet.settings import Precision

SIDE, COUNT, CLASSES = 32, 7, 8
SHAPES = ((3, SIDE, SIDE), (SIDE, SIDE))
CPU = torch.device("cpu")
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")


def _left_half(set_name: str, key: str) -> npt.NDArray[np.uint8]:
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
    batch = Uint8Batch(image, hole_mask, image[:, 0], tuple(str(number) for number in range(COUNT)))
    with (
        mock.patch.object(Tensor, "tolist", lambda tensor: stand_in(tensor).tolist()),
        mock.patch.object(Tensor, "cpu", lambda tensor: torch.from_numpy(stand_in(tensor))),
    ):
        scores = score_split(_fill_on_meta, [batch], _left_half, ("half",), CLASSES)["half"]
    # Scores, confusion matrices, confidence, and unreliable shares of all scales.
    assert read == [(COUNT, len(SCORE_NAMES)), (COUNT, 2, CLASSES, CLASSES), (COUNT,), (4, 2, COUNT)]
    assert len(scores.evaluator.scores) == len(scores.confidence) == len(scores.unreliable_hole[3]) == COUNT


class Convolution(nn.Module):
    """Draws and labels what one convolution gives, and remembers in which type that was."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(1)
            self.convolution = nn.Conv2d(4, 3, 3, padding=1)
        self.types: list[torch.dtype] = []

    def forward(self, image: Tensor, hole_mask: Tensor) -> Prediction:
        drawn = self.convolution(torch.cat((image, hole_mask), dim=1))
        self.types.append(drawn.dtype)
        return Prediction((drawn,), (drawn,))


def _batch() -> Uint8Batch:
    rng = np.random.default_rng(1)
    image, label = (torch.from_numpy(rng.integers(0, 256, (COUNT, *rest)).astype(np.uint8)) for rest in SHAPES)
    return Uint8Batch(image, torch.zeros(0), label % CLASSES, tuple(str(number) for number in range(COUNT)))


def test_only_the_network_computes_in_the_precision_that_is_asked_for() -> None:
    network, found = Convolution(), {}
    for precision in PRECISIONS:
        fill = model_fill(Released("lama", network, Recipe(), OUTDOOR_SCENES), CPU, precision=precision)
        filled = fill(_batch().image, torch.ones(COUNT, 1, SIDE, SIDE, dtype=torch.uint8), _batch().label)
        assert filled.confidence is not None
        assert filled.confidence.dtype == torch.float32
        found[precision] = filled.image.int()
    assert network.types == [torch.float32, torch.bfloat16]
    assert 0 < int((found["float32"] - found["bfloat16"]).abs().max()) < 4


def test_the_settings_say_in_which_precision_a_model_fills(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = []
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    network = Convolution()
    settings = load(Path(__file__).parents[3] / "params.yaml")
    settings = settings.model_copy(update={"evaluation": EvaluationSettings(precision="bfloat16")})
    released = Released("lama", network, Recipe(), settings.data["mixed_scenes"].labels)
    monkeypatch.setattr(run, "load_released", lambda folder: released)
    monkeypatch.setattr(run, "evaluate", lambda data, make_fill, *_: asked.append(make_fill(None)))
    monkeypatch.setattr(fills, "_released", lambda *_: released)
    data = EvaluationData(settings, "mixed_scenes", tmp_path, tmp_path)
    evaluate_model(data, tmp_path, "lama", tmp_path)
    asked[0](_batch().image, torch.ones(COUNT, 1, SIDE, SIDE, dtype=torch.uint8), _batch().label)
    assert network.types == [torch.bfloat16]


def test_models_that_filled_in_different_precisions_are_not_compared(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(evidence, "read_images", lambda path: None)
    summary = {"method": "lama", "weights_sha256": "weights"}
    summary |= dict.fromkeys(("dataset", "split", "shards_digest", "masks_digest", "code_digest"), "same")
    found = []
    for said in ({}, {"precision": "float32"}, {"precision": "bfloat16"}):
        (tmp_path / "evaluation.json").write_text(json.dumps(summary | said), encoding="utf-8")
        found.append(evidence.read_evidence(tmp_path))
    assert evidence.differences(found[0], found[1]) == []
    assert evidence.differences(found[1], found[2]) == ["precision"]
