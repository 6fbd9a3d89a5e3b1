"""Scores of fixed inputs against values kept from before, so that no change of a library or of ours moves them."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor
from torch_fidelity import FeatureExtractorInceptionV3

from sgenet.errors import CheckpointError
from sgenet.evaluation import networks
from sgenet.evaluation.confidence import correlate
from sgenet.evaluation.metrics import miou_differences, mious_of_counts
from sgenet.evaluation.networks import PublishedWeights, image_distances, image_features, load_inception, load_lpips
from sgenet.evaluation.statistics import (
    Estimate,
    bootstrap_total,
    mean_estimate,
    paired_difference,
    paired_test,
    paired_total_test,
)

KEPT = json.loads((Path(__file__).parent / "kept" / "scores.json").read_text(encoding="utf-8"))


def _flat(estimate: Estimate) -> list[float]:
    return [estimate.value, estimate.low, estimate.high, estimate.num_images]


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


def _take_for(weights: PublishedWeights, path: Path) -> PublishedWeights:
    return replace(weights, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.fixture
def inception_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    with torch.device("meta"), monkeypatch.context() as patched:
        patched.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        patched.setattr(torch, "load", lambda *_, **__: None)
        shapes = FeatureExtractorInceptionV3("any", ["2048"], "none").state_dict()
    state = {
        name: torch.zeros(value.shape) if name.startswith("fc.") else _set_by_name(name, value)
        for name, value in shapes.items()
        if "num_batches" not in name
    }
    torch.save(state, tmp_path / "inception")
    monkeypatch.setattr(networks, "INCEPTION", _take_for(networks.INCEPTION, tmp_path / "inception"))
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
    monkeypatch.setattr(networks, "ALEXNET", _take_for(networks.ALEXNET, tmp_path / "alexnet"))
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
    return {
        "paired": paired_test(first, second),
        "unlike images": paired_test(second, first[::-1]),
        "miou": paired_total_test(ours, theirs, mious_of_counts),
    }


def test_values_and_intervals_are_as_kept() -> None:
    for name, found in _estimates().items():
        assert found == pytest.approx(KEPT["estimates"][name], rel=1e-9), name


def test_p_values_are_as_kept() -> None:
    assert _p_values() == pytest.approx(KEPT["p"], rel=1e-9)


@pytest.mark.slow
def test_features_of_inception_are_as_kept_whatever_the_batch(inception_file: Path) -> None:
    network = load_inception(inception_file, "weights")
    features = image_features(network, _images(5))
    assert features.shape == (2, 2048)
    assert features[:, ::256].ravel().tolist() == pytest.approx(KEPT["inception"], rel=1e-4)
    assert np.array_equal(features[1:], image_features(network, _images(5)[1:]))


def test_distances_of_lpips_are_as_kept_whatever_the_batch(alexnet_file: Path) -> None:
    lpips = load_lpips(alexnet_file, "weights")
    one, other = _images(5), _images(6)
    distances = image_distances(lpips, one, other)
    assert distances == pytest.approx(KEPT["lpips"], rel=1e-5)
    assert image_distances(lpips, one[1:], other[1:]) == distances[1:]
    assert image_distances(lpips, one, one) == [0.0, 0.0]


@pytest.mark.parametrize(("load", "score"), [(load_inception, "FID"), (load_lpips, "LPIPS")])
def test_no_other_weights_give_a_score_its_name(
    load: Callable[[Path, str], object], score: str, tmp_path: Path
) -> None:
    (tmp_path / "other.pth").write_bytes(b"other weights")
    with pytest.raises(CheckpointError, match=f"are not {score}; give that file, or 'none'"):
        load(tmp_path / "other.pth", "evaluation.weights")
    with pytest.raises(CheckpointError, match=r"evaluation\.weights: .*absent cannot be read"):
        load(tmp_path / "absent", "evaluation.weights")
