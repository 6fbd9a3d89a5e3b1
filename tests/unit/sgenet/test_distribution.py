"""FID and KID against slow direct computations."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from sgenet.evaluation import distribution
from sgenet.evaluation.distribution import FeatureComparison


def _features(seed: int, num_images: int, num_features: int = 24, shift: float = 0.0) -> np.ndarray:
    """Correlated and not centred, as features are."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(num_features, num_features))
    return (np.abs(rng.normal(size=(num_images, num_features)) @ mixing) + shift).astype(np.float32)


def _scores(x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    comparison = FeatureComparison()
    comparison.update(x, y)
    return comparison.scores()


def test_the_frechet_distance_is_the_one_with_scipys_matrix_root() -> None:
    x, y = _features(0, 150), _features(1, 150, shift=0.3)
    one, two = (np.cov(z.astype(np.float64), rowvar=False) for z in (x, y))
    difference = x.astype(np.float64).mean(axis=0) - y.astype(np.float64).mean(axis=0)
    expected = difference @ difference + np.trace(one + two - 2 * sqrtm(one @ two).real)
    assert _scores(x, y)["fid"] == pytest.approx(expected, rel=1e-8)


def test_fewer_images_than_features_do_no_harm() -> None:
    """The covariances are singular. Tr √(Σ₁Σ₂) is the sum of the singular values of X₁ᵀX₂ of the centred features."""
    x, y = _features(0, 9).astype(np.float64), _features(1, 9, shift=0.3).astype(np.float64)
    a, b = ((z - z.mean(axis=0)) / math.sqrt(8) for z in (x, y))
    difference = x.mean(axis=0) - y.mean(axis=0)
    expected = difference @ difference + (a**2).sum() + (b**2).sum() - 2 * np.linalg.norm(a @ b.T, "nuc")
    assert _scores(x.astype(np.float32), y.astype(np.float32))["fid"] == pytest.approx(expected, abs=1e-4)


def test_the_same_images_are_no_distance_apart_and_one_image_has_none() -> None:
    same = _features(0, 60)
    assert _scores(same, same)["fid"] == pytest.approx(0, abs=1e-4)
    assert all(math.isnan(score) for score in _scores(same[:1], same[:1]).values())
    assert all(math.isnan(score) for score in FeatureComparison().scores().values())


def _slow_discrepancy(x: np.ndarray, y: np.ndarray) -> float:
    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return float((np.dot(a.astype(np.float64), b.astype(np.float64)) / len(a) + 1) ** 3)

    n = len(x)
    pairs = [(i, j) for i in range(n) for j in range(n) if i != j]
    within = sum(kernel(x[i], x[j]) + kernel(y[i], y[j]) for i, j in pairs) / len(pairs)
    return within - 2 * sum(kernel(a, b) for a in x for b in y) / n**2


def test_the_kernel_distance_is_the_sum_over_pairs() -> None:
    x, y = _features(0, 12), _features(1, 12, shift=0.2)
    assert _scores(x, y)["kid"] == pytest.approx(_slow_discrepancy(x, y), rel=1e-9)


def test_many_images_are_compared_by_subsets_that_the_seed_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = _features(0, 300) / 4, _features(1, 300, shift=2.0) / 4
    of_all = _scores(x, y)["kid"]
    monkeypatch.setattr(distribution, "SUBSET_IMAGES", 100)
    by_subsets = _scores(x, y)["kid"]
    torch.rand(3)  # whatever else draws random numbers
    assert by_subsets == _scores(x, y)["kid"] != of_all
    assert by_subsets == pytest.approx(of_all, rel=0.1)


def _compare(x: np.ndarray, y: np.ndarray, block: int, batch: int) -> FeatureComparison:
    """As an evaluation does: each block in batches somewhere else, then joined here."""
    joined: FeatureComparison | None = None
    for first in range(0, len(x), block):
        part = FeatureComparison()
        for start in range(first, min(first + block, len(x)), batch):
            rows = slice(start, min(start + batch, first + block))
            part.update(x[rows], y[rows])
        part = pickle.loads(pickle.dumps(part))
        if joined is None:
            joined = part
        else:
            joined.extend(part)
    assert joined is not None
    return joined


def test_batches_change_no_bit_and_blocks_nothing_that_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distribution, "KEPT_IMAGES", 40)  # fewer than there are: some are drawn
    x, y = _features(0, 90), _features(1, 90, shift=0.2)
    scores = _compare(x, y, block=16, batch=3).scores()
    assert scores == _compare(x, y, block=16, batch=16).scores()
    assert scores["fid"] == pytest.approx(_compare(x, y, block=90, batch=8).scores()["fid"], rel=1e-9)
    assert scores["kid"] == _compare(x, y, block=90, batch=8).scores()["kid"]


def test_every_image_has_the_same_chance_to_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distribution, "KEPT_IMAGES", 500)
    numbers = np.arange(4000, dtype=np.float32)[:, None]
    comparison = _compare(numbers, -numbers, block=64, batch=64)
    comparison.scores()
    kept, partners = (np.array(side)[:, 0] for side in zip(*comparison._kept, strict=True))
    assert len(set(kept.tolist())) == 500
    assert np.array_equal(kept, -partners)  # pairs stay pairs
    counted = np.histogram(kept, bins=8, range=(0, 4000))[0]
    assert counted == pytest.approx(np.full(8, 62.5), abs=4 * math.sqrt(62.5))
