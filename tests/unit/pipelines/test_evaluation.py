"""The walk over the evaluation split and the tables it leaves."""

from __future__ import annotations

import csv
import json
import pickle
from pathlib import Path
from unittest import mock

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor, nn
from torchmetrics import Metric

from pipelines.data.labels.opened import OpenSegmenter, SegmenterPlace
from pipelines.evaluation.blocks import joined
from pipelines.evaluation.examples import choose_examples
from pipelines.evaluation.files import EvaluationSummary, write_scores
from pipelines.evaluation.fills import Fill, ModelFill, baseline_fill, model_fill, without_holes
from pipelines.evaluation.networks import ScoringNetworks, check_weight_files
from pipelines.evaluation.scoring import SetScores, score_split
from pipelines.parallel.device import device_of_workers
from pipelines.settings.labels import LabelSettings
from pipelines.settings.params import DataSettings, EvaluationSettings, RunSettings
from pipelines.settings.sources import MixedScenesSource
from sgenet.batch import Prediction, Uint8Batch
from sgenet.errors import CheckpointError, SettingsError
from sgenet.evaluation.metrics import mean_iou
from sgenet.label_space import OUTDOOR_SCENES
from sgenet.losses.vgg import VGG
from sgenet.methods.recipe import Recipe
from sgenet.methods.release import Released

SIZE, COUNT, WORST = 32, 7, 2
EDGES = (0.01, 0.1, 0.2, 0.3)
KEYS = tuple(f"image-{number}" for number in range(COUNT))
SCENES = MixedScenesSource(adapter="mixed_scenes")
DATA = DataSettings(sources=(SCENES,), label_space="outdoor_scenes", shorter_side=SIZE, crop=SIZE)


class ConstantGenerator(nn.Module):
    """Paints mid-grey, is sure of class 3, doubts the upper half."""

    def forward(self, image: Tensor, hole_mask: Tensor) -> Prediction:
        batch, _, height, width = image.shape
        logits = torch.zeros(batch, 8, height, width)
        logits[:, 3] = 4.0
        reliability = torch.ones(batch, 1, height, width)
        reliability[:, :, : height // 2] = 0
        return Prediction((torch.zeros(batch, 3, height, width),), (logits,), (reliability,))


def _hole(set_name: str, key: str) -> npt.NDArray[np.uint8]:
    """A wide hole in the set ``wide``, a small one in ``small``, lower for later images."""
    hole_mask = np.zeros((SIZE, SIZE), np.uint8)
    top = 2 + int(key.rsplit("-", 1)[1])
    hole_mask[top : top + (16 if set_name == "wide" else 8), 8:24] = 1
    return hole_mask


def _wide_holes() -> Tensor:
    return torch.stack([torch.from_numpy(_hole("wide", key)) for key in KEYS])[:, None]


def _batches(batch_size: int) -> list[Uint8Batch]:
    rng = np.random.default_rng(4)
    images = torch.from_numpy(rng.integers(0, 256, (COUNT, 3, SIZE, SIZE)).astype(np.uint8))
    labels = torch.from_numpy(
        rng.integers(0, 8, (COUNT, SIZE // 8, SIZE // 8)).astype(np.uint8).repeat(8, 1).repeat(8, 2)
    )
    holes = torch.zeros(COUNT, 1, SIZE, SIZE, dtype=torch.uint8)
    parts = (slice(first, first + batch_size) for first in range(0, COUNT, batch_size))
    return [Uint8Batch(images[part], holes[part], labels[part], KEYS[part]) for part in parts]


def _fill() -> Fill:
    released = Released("sge_net", ConstantGenerator(), Recipe(), OUTDOOR_SCENES)
    return model_fill(released, torch.device("cpu"))


def _scores(batch_size: int = 3, fill: Fill | None = None) -> dict[str, SetScores]:
    examples = frozenset((KEYS[0], KEYS[-1]))
    return score_split(
        fill or _fill(), _batches(batch_size), _hole, ("wide", "small"), DATA.labels.num_classes, examples, WORST
    )


def _scores_of(batch: Uint8Batch, num_worst: int) -> SetScores:
    return score_split(_fill(), [batch], _hole, ("wide",), DATA.labels.num_classes, num_worst=num_worst)["wide"]


def _write(folder: Path, scores: dict[str, SetScores]) -> dict[str, dict[str, float]]:
    folder.mkdir()
    summary = EvaluationSummary("mixed", "sge_net", "val", "shards", "masks", "code", OUTDOOR_SCENES.names, KEYS[:2])
    return write_scores(folder, scores, EDGES, summary)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tables of the constant generator."""
    folder = tmp_path_factory.mktemp("evaluation") / "scores"
    _write(folder, _scores())
    return folder


def test_the_batch_size_changes_no_byte(written: Path, tmp_path: Path) -> None:
    _write(tmp_path / "five", _scores(batch_size=5))
    names = sorted(path.name for path in written.iterdir())
    assert names == ["evaluation.json", "images.parquet", "intervals.json", "metrics.json", "strata.csv"]
    for name in names:
        assert (written / name).read_bytes() == (tmp_path / "five" / name).read_bytes(), name


def test_the_parquet_table_and_the_means_agree(written: Path) -> None:
    metrics = json.loads((written / "metrics.json").read_text())
    table = pq.read_table(written / "images.parquet").to_pylist()
    assert [row["key"] for row in table if row["set"] == "small"] == list(KEYS)
    for set_name in ("wide", "small"):
        rows = [row for row in table if row["set"] == set_name]
        for score in ("psnr", "psnr_hole", "ssim", "l1_hole"):
            assert metrics[set_name][score] == pytest.approx(np.mean([row[score] for row in rows]), abs=1e-6)


def test_the_mean_iou_of_any_images_follows_from_the_table(written: Path) -> None:
    metrics = json.loads((written / "metrics.json").read_text())
    table = pq.read_table(written / "images.parquet").to_pylist()
    for column, score in (("confusion", "miou"), ("confusion_hole", "miou_hole")):
        counts = np.sum([row[column] for row in table if row["set"] == "wide"], axis=0).reshape(8, 8)
        assert mean_iou(torch.from_numpy(counts)) == pytest.approx(metrics["wide"][score], abs=1e-6)


def test_groups_partition_the_images(written: Path) -> None:
    with (written / "strata.csv").open() as file:
        rows = list(csv.DictReader(file))
    for grouping in ("stratum", "hole_ratio"):
        counted = [int(row["num_images"]) for row in rows if row["grouping"] == grouping and row["set"] == "wide"]
        assert sum(counted) == COUNT
    # 16 × 16 of 32 × 32 is a quarter, 8 × 16 an eighth.
    assert {row["group"] for row in rows if row["grouping"] == "hole_ratio"} == {"0.2–0.3", "0.1–0.2"}


def test_the_released_model_paints_only_the_hole() -> None:
    batch = _batches(COUNT)[0]
    hole_mask = _wide_holes()
    filled = _fill()(batch.image, hole_mask, batch.label)
    inside = hole_mask.expand_as(batch.image) > 0
    assert (filled.image[inside] == 128).all()
    assert (filled.image[~inside] == batch.image[~inside]).all()


def test_confidence_and_doubt_are_reported_by_hand() -> None:
    scores = _scores()["wide"]
    probability = np.exp(4) / (np.exp(4) + 7)
    assert scores.confidence == pytest.approx([probability] * COUNT)
    assert scores.unreliable[0] == [0.5] * COUNT
    # The hole of image n covers the rows 2 + n … 18 + n, of which those above 16 are doubted.
    assert scores.unreliable_hole[0] == pytest.approx([(14 - number) / 16 for number in range(COUNT)])


def test_a_baseline_has_no_segmentation_scores(tmp_path: Path) -> None:
    metrics = _write(tmp_path / "baseline", _scores(fill=baseline_fill("mean_colour")))
    assert not {"miou", "pixel_accuracy", "confidence_hole"} & metrics["wide"].keys()
    assert "miou" not in json.loads((tmp_path / "baseline" / "intervals.json").read_text())["wide"]
    table = pq.read_table(tmp_path / "baseline" / "images.parquet")
    assert table["confusion"].null_count == 2 * COUNT


def _darker_is_1(image: Tensor) -> Tensor:
    """A segmenter that knows two classes by how bright they are, and none where a pixel is black."""
    brightness = image.float().mean(dim=1)
    label = torch.where(brightness < 110, 1, 2)
    return torch.where(brightness == 0, 255, label).to(torch.uint8)


def test_what_was_filled_is_segmented_and_counted(tmp_path: Path) -> None:
    parts = [
        score_split(baseline_fill("mean_colour"), [batch], _hole, ("wide", "small"), 8, segment=_darker_is_1)
        for batch in _batches(batch_size=3)
    ]
    metrics = _write(tmp_path / "segmented", joined(parts))
    plain = _write(tmp_path / "plain", _scores(fill=baseline_fill("mean_colour")))
    added = {"miou_filled", "miou_filled_hole", "pixel_accuracy_filled", "pixel_accuracy_filled_hole"}
    assert metrics["wide"].keys() - plain["wide"].keys() == added
    intervals = json.loads((tmp_path / "segmented" / "intervals.json").read_text())["wide"]
    assert intervals["miou_filled"][0] <= metrics["wide"]["miou_filled"] <= intervals["miou_filled"][1]

    # By hand, from all images at once.
    batch = _batches(COUNT)[0]
    hole_mask = _wide_holes()
    predicted = _darker_is_1(baseline_fill("mean_colour")(batch.image, hole_mask, batch.label).image)
    for name, region in (("miou_filled", torch.ones_like(hole_mask)), ("miou_filled_hole", hole_mask)):
        ious = []
        counted = region[:, 0] > 0  # where none of the classes is predicted, that is wrong
        for label in range(8):
            ours, theirs = (predicted == label) & counted, (batch.label == label) & counted
            if (ours | theirs).any():
                ious.append(float((ours & theirs).sum() / (ours | theirs).sum()))
        assert metrics["wide"][name] == pytest.approx(np.mean(ious), abs=1e-6)

    table = pq.read_table(tmp_path / "segmented" / "images.parquet").to_pylist()
    counts = np.sum([row["confusion_filled_hole"] for row in table if row["set"] == "wide"], axis=0).reshape(8, 9)
    assert mean_iou(torch.from_numpy(counts)) == pytest.approx(metrics["wide"]["miou_filled_hole"], abs=1e-6)


def test_a_segmenter_sees_the_mean_of_what_is_known_in_a_holes_place() -> None:
    image = torch.full((2, 3, 4, 4), 200, dtype=torch.uint8)
    image[0, :, 0] = torch.tensor([10, 20, 31], dtype=torch.uint8)[:, None]
    hole_mask = torch.zeros(2, 1, 4, 4, dtype=torch.uint8)
    hole_mask[0, :, 2:] = 1
    hole_mask[1] = 1
    seen = without_holes(image, hole_mask)
    assert seen[0, :, 3, 3].tolist() == [105, 110, 116]  # halfway from (10, 20, 31) to 200, rounded to even
    assert torch.equal(seen[0, :, :2], image[0, :, :2])
    assert (seen[1] == 128).all()


class StartsFromLabels(ConstantGenerator):
    """Keeps the labels it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[Tensor] = []

    def forward(self, image: Tensor, hole_mask: Tensor, known_label: Tensor | None = None) -> Prediction:
        self.given += [] if known_label is None else [known_label]
        return super().forward(image, hole_mask)


@pytest.mark.parametrize("method", ["spg_net", "sge_net"])
def test_spg_net_starts_from_the_segmenters_labels_of_the_corrupted_image(method: str) -> None:
    generator = StartsFromLabels()
    released = Released(method, generator, Recipe(), OUTDOOR_SCENES)
    batch = _batches(COUNT)[0]
    hole_mask = _wide_holes()
    model_fill(released, torch.device("cpu"), segment=_darker_is_1)(batch.image, hole_mask, batch.label)
    expected = [_darker_is_1(without_holes(batch.image, hole_mask)).long()] if method == "spg_net" else []
    assert len(generator.given) == len(expected)
    assert all(torch.equal(given, label) for given, label in zip(generator.given, expected, strict=True))


class FewFeatures(nn.Module):
    """Twelve features in place of 2,048, whose covariances take seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 12, 5, stride=2)

    def forward(self, image: Tensor) -> tuple[Tensor]:
        return (self.convolution(image.float() / 64).relu().mean(dim=(2, 3)),)


class Difference(Metric):
    """In place of LPIPS."""

    def __init__(self) -> None:
        super().__init__()
        self.add_state("all_scores", [])

    def update(self, one: Tensor, other: Tensor) -> None:
        self.all_scores.append((one - other).abs().mean())

    def compute(self) -> Tensor:
        return torch.stack(self.all_scores)


@pytest.fixture(scope="module")
def networks() -> ScoringNetworks:
    """Networks without training, and another distance in place of LPIPS: what they see is no matter here."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        with mock.patch("sgenet.losses.vgg._WIDTHS", (4, 4, 8, 8, 8)):
            return ScoringNetworks(FewFeatures(), Difference(), VGG(16, "relu4_3", "random", "evaluation.vgg_weights"))


def _in_blocks(networks: ScoringNetworks, batch_size: int, block: int = 4) -> dict[str, SetScores]:
    """As workers hand it over: each block from a process of its own."""
    parts = []
    for first in range(0, COUNT, block):
        keys = KEYS[first : first + block]
        whole = _batches(COUNT)[0]
        batches = [
            Uint8Batch(*(tensor[first:][start : start + batch_size][: len(keys) - start] for tensor in tensors), names)
            for start in range(0, len(keys), batch_size)
            for tensors in [(whole.image, whole.hole_mask, whole.label)]
            for names in [keys[start : start + batch_size]]
        ]
        part = score_split(baseline_fill("mean_colour"), batches, _hole, ("wide", "small"), 8, networks=networks)
        parts.append(pickle.loads(pickle.dumps(part)))
    return joined(parts)


def test_fid_kid_and_distances_stand_beside_the_others_whatever_the_batch(
    tmp_path: Path, networks: ScoringNetworks
) -> None:
    metrics = _write(tmp_path / "one", _in_blocks(networks, batch_size=1))
    _write(tmp_path / "three", _in_blocks(networks, batch_size=3))
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "three" / path.name).read_bytes(), path.name
    plain = _write(tmp_path / "plain", _scores(fill=baseline_fill("mean_colour")))
    for name in ("wide", "small"):
        assert metrics[name].keys() - plain[name].keys() == {"fid", "kid", "lpips", "vgg_distance"}
        assert plain[name].items() <= metrics[name].items()
    assert metrics["wide"]["fid"] > metrics["small"]["fid"] > 0
    table = pq.read_table(tmp_path / "one" / "images.parquet").to_pylist()
    intervals = json.loads((tmp_path / "one" / "intervals.json").read_text())["wide"]
    with (tmp_path / "one" / "strata.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["set"] == "wide" and row["grouping"] == "stratum"]
    for distance in ("lpips", "vgg_distance"):
        assert metrics["wide"][distance] > metrics["small"][distance] > 0
        values = [row[distance] for row in table if row["set"] == "wide"]
        assert metrics["wide"][distance] == pytest.approx(np.mean(values), abs=1e-6)
        assert intervals[distance][0] < metrics["wide"][distance] < intervals[distance][1]
        assert distance not in pq.read_schema(tmp_path / "plain" / "images.parquet").names
        total = sum(float(row[distance]) * int(row["num_images"]) for row in rows)
        assert total / COUNT == pytest.approx(metrics["wide"][distance], abs=1e-5)


def test_a_wrong_weights_file_is_refused_before_any_image_is_scored(tmp_path: Path) -> None:
    path = tmp_path / "inception_v3_google-0cc3c7bd.pth"
    path.write_bytes(b"torchvision's own")
    with pytest.raises(CheckpointError, match=r"evaluation\.inception_weights: .*are not FID"):
        check_weight_files(EvaluationSettings(inception_weights=str(path)))
    with pytest.raises(CheckpointError, match=r"evaluation\.lpips_weights: .* cannot be read"):
        check_weight_files(EvaluationSettings(lpips_weights=str(tmp_path / "absent.pth")))
    with pytest.raises(CheckpointError, match=r"evaluation\.vgg_weights: .*are not VGG distance"):
        check_weight_files(EvaluationSettings(vgg_weights=str(path)))
    check_weight_files(EvaluationSettings())


def test_a_mean_lies_in_its_interval(written: Path) -> None:
    metrics = json.loads((written / "metrics.json").read_text())
    intervals = json.loads((written / "intervals.json").read_text())
    for name in ("psnr", "ssim_hole", "l1", "miou", "miou_hole"):
        low, high = intervals["wide"][name]
        assert low <= metrics["wide"][name] <= high


def test_every_stratum_is_shown_from_simple_to_complex_scenes() -> None:
    keys = [str(number) for number in range(12)]
    # One simple scene, seven moderate ones, three complex ones, and one without labels.
    num_classes = [3, 3, 6, 1, 4, 3, 9, 3, 3, 0, 5, 4]
    assert choose_examples(keys, num_classes, 4) == ["3", "0", "2", "9"]
    assert choose_examples(keys, num_classes, 8) == ["3", "0", "5", "11", "2", "6", "10", "9"]
    assert sorted(choose_examples(keys, num_classes, 99), key=int) == keys


@pytest.mark.parametrize("batch_size", [1, 3, COUNT])
def test_the_worst_are_those_with_the_lowest_psnr_in_the_hole(batch_size: int) -> None:
    for scores in _scores(batch_size).values():
        measured = {key: score.psnr_hole for key, score in zip(scores.keys, scores.evaluator.scores, strict=True)}
        assert [failure.key for failure in scores.worst] == sorted(measured, key=lambda key: measured[key])[:WORST]
        for failure in scores.worst:
            assert failure.example.key == failure.key
            assert failure.psnr_hole == measured[failure.key]


@pytest.mark.parametrize("num_worst", [2, 5])
def test_of_parts_the_worst_of_all_stay_though_one_has_fewer_images(num_worst: int) -> None:
    whole = _scores_of(_batches(COUNT)[0], num_worst)
    first, *others = (_scores_of(batch, num_worst) for batch in _batches(2))
    for part in others:
        first.extend(part)
    assert len(whole.worst) == num_worst
    assert [failure.key for failure in first.worst] == [failure.key for failure in whole.worst]
    assert first.keys == whole.keys


def test_on_a_cluster_the_gpu_is_looked_for_where_the_work_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run = RunSettings(use_gpu=True)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setenv("RAY_ADDRESS", "")
    with pytest.raises(SettingsError, match="PyTorch finds no GPU"):
        device_of_workers(run)
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    assert device_of_workers(run) == "cuda"
    with pytest.raises(SettingsError, match="PyTorch finds no GPU"):
        ModelFill(model=tmp_path, weights_sha256="weights", device="cuda")(None)
    place = SegmenterPlace(
        folder=tmp_path, sha256="", label_space=OUTDOOR_SCENES, settings=LabelSettings(), device="cuda"
    )
    with pytest.raises(SettingsError, match="PyTorch finds no GPU"):
        OpenSegmenter(nn.Identity(), place)


def test_examples_are_spread_over_the_split_and_the_same_every_time() -> None:
    keys = [str(number) for number in range(100)]
    assert choose_examples(keys, [4] * 100, 4) == ["0", "33", "66", "99"]
    assert choose_examples(keys[:2], [4, 4], 6) == ["0", "1"]
    assert [example.key for example in _scores()["small"].examples] == [KEYS[0], KEYS[-1]]
