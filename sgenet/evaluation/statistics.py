"""How sure a mean over pictures is: percentile bootstrap intervals (Efron & Tibshirani 1993), seeded."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

RESAMPLES = 1000
LEVEL = 0.95
_SEED = 20200823


@dataclass(frozen=True)
class Estimate:
    """A statistic of the pictures at hand, and where it would lie on other pictures of the same kind.

    Attributes:
        value: the statistic of all pictures.
        low, high: bounds of its two-sided bootstrap interval at :data:`LEVEL`.
        num_pictures: how many pictures it rests on.
    """

    value: float
    low: float
    high: float
    num_pictures: int


def bootstrap(
    samples: npt.NDArray[np.float64] | npt.NDArray[np.int64],
    statistic: Callable[[npt.NDArray], float],
    resamples: int = RESAMPLES,
    seed: int = _SEED,
) -> Estimate:
    """Estimate a statistic with its percentile interval by drawing pictures with replacement.

    The draws depend on the seed and the number of pictures alone.

    Args:
        samples: (N, …), one entry a picture.
        statistic: from (N, …) to a number; NaN results of a resample are left out.

    Returns:
        NaN value and bounds where there is no picture, or the statistic is NaN.
    """
    num_pictures = len(samples)
    value = statistic(samples) if num_pictures else math.nan
    if math.isnan(value):
        return Estimate(math.nan, math.nan, math.nan, num_pictures)
    rng = np.random.default_rng(seed)
    drawn = [statistic(samples[rng.integers(0, num_pictures, num_pictures)]) for _ in range(resamples)]
    finite = [result for result in drawn if not math.isnan(result)]
    bounds = _interval(np.array(finite)) if finite else (math.nan, math.nan)
    return Estimate(value, *bounds, num_pictures)


def bootstrap_total(
    samples: npt.NDArray[np.int64],
    statistic: Callable[[npt.NDArray[np.int64]], npt.NDArray[np.float64]],
    resamples: int = RESAMPLES,
    seed: int = _SEED,
) -> Estimate:
    """As :func:`bootstrap` for a statistic of the pictures' sum, all resamples at once.

    Args:
        samples: (N, …) counts, one entry a picture.
        statistic: from many sums (R, …) to (R,) numbers; NaN results of a resample are left out.
    """
    num_pictures = len(samples)
    value = float(statistic(samples.sum(axis=0, keepdims=True))[0]) if num_pictures else math.nan
    if math.isnan(value):
        return Estimate(math.nan, math.nan, math.nan, num_pictures)
    draws = np.random.default_rng(seed).integers(0, num_pictures, (resamples, num_pictures))
    row = np.arange(resamples)[:, None] * num_pictures
    times = np.bincount((draws + row).ravel(), minlength=draws.size).reshape(draws.shape)
    # In float64, where the product is a fast one: sums of counts are exact below 2**53.
    totals = times.astype(np.float64) @ samples.reshape(num_pictures, -1).astype(np.float64)
    drawn = statistic(totals.astype(np.int64).reshape(resamples, *samples.shape[1:]))
    finite = drawn[~np.isnan(drawn)]
    bounds = _interval(finite) if len(finite) else (math.nan, math.nan)
    return Estimate(value, *bounds, num_pictures)


def mean_estimate(values: npt.ArrayLike, resamples: int = RESAMPLES, seed: int = _SEED) -> Estimate:
    """Mean of one number a picture; NaNs are pictures that the number does not exist for, and left out."""
    samples = np.asarray(values, np.float64)
    samples = samples[~np.isnan(samples)]
    if not len(samples):
        return Estimate(math.nan, math.nan, math.nan, 0)
    # As bootstrap() with the mean, all resamples at once.
    draws = np.random.default_rng(seed).integers(0, len(samples), (resamples, len(samples)))
    return Estimate(float(samples.mean()), *_interval(samples[draws].mean(axis=1)), len(samples))


def paired_difference(
    first: npt.ArrayLike, second: npt.ArrayLike, resamples: int = RESAMPLES, seed: int = _SEED
) -> Estimate:
    """Mean of ``first - second`` over the same pictures in the same order.

    Far tighter than the difference of two means, since a hard picture is hard for both.

    Raises:
        ValueError: when the two have different lengths.
    """
    minuend, subtrahend = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if minuend.shape != subtrahend.shape:
        raise ValueError(f"paired values need equal lengths, found {minuend.shape} and {subtrahend.shape}")
    return mean_estimate(minuend - subtrahend, resamples, seed)


def pearson(pairs: npt.NDArray[np.float64]) -> float:
    """Linear correlation of the two columns of (N, 2); NaN where one of them does not vary."""
    if len(pairs) < 2:
        return math.nan
    centred = pairs - pairs.mean(axis=0)
    norms = np.sqrt((centred**2).sum(axis=0))
    if not norms.all():
        return math.nan
    return float((centred[:, 0] @ centred[:, 1]) / (norms[0] * norms[1]))


def spearman(pairs: npt.NDArray[np.float64]) -> float:
    """Rank correlation of the two columns of (N, 2); equal values share their mean rank."""
    if len(pairs) < 2:
        return math.nan
    return pearson(np.stack([_mean_ranks(pairs[:, 0]), _mean_ranks(pairs[:, 1])], axis=1))


def _interval(results: npt.NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.quantile(results, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _mean_ranks(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    last_rank = np.cumsum(sizes)
    return (last_rank - (sizes - 1) / 2.0)[group]
