"""Scores of fixed inputs against values kept from before, so that no change of a library or of ours moves them."""

from __future__ import annotations

import hashlib
import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor

from sgenet.evaluation import inception, lpips
from sgenet.evaluation.confidence import correlate
from sgenet.evaluation.distribution import FeatureComparison
from sgenet.evaluation.inception import InceptionV3, load_inception, picture_features
from sgenet.evaluation.lpips import load_lpips, picture_distances
from sgenet.evaluation.metrics import miou_differences, mious_of_counts
from sgenet.evaluation.statistics import (
    Estimate,
    bootstrap_total,
    mean_estimate,
    paired_difference,
    paired_tests,
    paired_total_test,
)

KEPT = json.loads((Path(__file__).parent / "kept" / "scores.json").read_text(encoding="utf-8"))


def _flat(estimate: Estimate) -> list[float]:
    return [estimate.value, estimate.low, estimate.high, estimate.num_pictures]


def _scores() -> tuple[np.ndarray, np.ndarray]:
    """PSNRs of two methods on 150 images, one image without a score."""
    rng = np.random.default_rng(20)
    hard = rng.normal(22, 4, 150)
    first, second = hard + rng.normal(0.15, 1, 150), hard + rng.normal(0, 1, 150)
    first[7] = np.nan
    return first, second


def _counts() -> tuple[np.ndarray, np.ndarray]:
    """Confusion matrices (60, 4, 4) of two methods: the second is right less often."""
    rng = np.random.default_rng(21)
    first = rng.integers(0, 900, (60, 4, 4)) + 2500 * np.eye(4, dtype=np.int64)
    return first, rng.integers(0, 950, (60, 4, 4)) + 2500 * np.eye(4, dtype=np.int64)


def _features(seed: int, num_pictures: int, shift: float) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(32, 32)) / 8
    return (np.abs(rng.normal(size=(num_pictures, 32)) @ mixing) + shift).astype(np.float32)


def _set_by_name(name: str, value: Tensor) -> Tensor:
    """Weights that depend on their name and shape alone, of a scale that keeps signals alive."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("running_var"):
        return torch.from_numpy(rng.uniform(0.5, 1.5, value.shape).astype(np.float32))
    if value.ndim < 2:
        centre = 1.0 if name.endswith("bn.weight") else 0.0
        return torch.from_numpy(rng.uniform(centre - 0.1, centre + 0.1, value.shape).astype(np.float32))
    scale = (2 / value[0].numel()) ** 0.5
    return torch.from_numpy(rng.normal(0, scale, tuple(value.shape)).astype(np.float32))


def _images(seed: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (2, 3, 72, 88)).astype(np.uint8))


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def inception_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shapes = {name: value for name, value in InceptionV3().state_dict().items() if "num_batches" not in name}
    state = {name: _set_by_name(name, value) for name, value in shapes.items()}
    torch.save(state | {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}, tmp_path / "inception")
    monkeypatch.setattr(inception, "INCEPTION_SHA256", _sha256(tmp_path / "inception"))
    return tmp_path / "inception"


@pytest.fixture
def alexnet_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    with torch.device("meta"):
        shapes = torchvision.models.alexnet(weights=None).state_dict()
    state = {
        # LPIPS takes nothing of the classifier, whose 230 MB are left out of the file.
        name: _set_by_name(name, value) if name.startswith("features") else torch.zeros(1).expand(value.shape)
        for name, value in shapes.items()
    }
    torch.save(state, tmp_path / "alexnet")
    monkeypatch.setattr(lpips, "ALEXNET_SHA256", _sha256(tmp_path / "alexnet"))
    return tmp_path / "alexnet"


def _estimates() -> dict[str, list[float]]:
    first, second = _scores()
    ours, theirs = _counts()
    correlation = correlate(first.tolist(), (60 - 1.5 * second).tolist())
    return {
        "mean": _flat(mean_estimate(first)),
        "paired difference": _flat(paired_difference(first, second)),
        "miou": _flat(bootstrap_total(ours, mious_of_counts)),
        "miou difference": _flat(bootstrap_total(np.stack([ours, theirs], axis=1), miou_differences)),
        "pearson": _flat(correlation.pearson),
        "spearman": _flat(correlation.spearman),
    }


def _p_values() -> dict[str, float]:
    first, second = _scores()
    ours, theirs = _counts()
    differences = np.stack([first - second, second - first[::-1]], axis=1)
    one, other = paired_tests(differences)
    return {"paired": one, "unlike images": other, "miou": paired_total_test(ours, theirs, mious_of_counts)}


def _distances(num_pictures: int) -> dict[str, float]:
    comparison = FeatureComparison()
    comparison.update(_features(1, num_pictures, 0.0), _features(2, num_pictures, 0.05))
    return comparison.scores()


def test_values_and_intervals_are_as_kept() -> None:
    for name, found in _estimates().items():
        assert found == pytest.approx(KEPT["estimates"][name], rel=1e-9), name


def test_p_values_are_as_kept_but_for_the_draws() -> None:
    """Of 10,000 swaps: four standard errors of a share."""
    for name, found in _p_values().items():
        kept = KEPT["p"][name]
        assert found == pytest.approx(kept, abs=4 * (2 * kept * (1 - kept) / 10_000) ** 0.5), name


def test_fid_and_kid_are_as_kept() -> None:
    assert _distances(80) == pytest.approx(KEPT["distances"], rel=1e-6)


def test_features_of_inception_are_as_kept(inception_file: Path) -> None:
    features = picture_features(load_inception(inception_file, "weights"), _images(5))
    assert features.shape == (2, 2048)
    assert features[:, ::256].ravel().tolist() == pytest.approx(KEPT["inception"], rel=1e-4)


def test_distances_of_lpips_are_as_kept(alexnet_file: Path) -> None:
    distances = picture_distances(load_lpips(alexnet_file, "weights"), _images(5), _images(6))
    assert distances == pytest.approx(KEPT["lpips"], rel=1e-5)
