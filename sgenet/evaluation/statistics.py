"""How sure a mean over pictures is: percentile bootstrap intervals (Efron & Tibshirani 1993) and permutation tests of
two methods on the same pictures, all seeded."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

RESAMPLES = 1000
SWAPS = 10_000
LEVEL = 0.95
_SEED = 20200823

_DRAWS_AT_ONCE = 2**21  # pictures drawn over all resamples: 16 MiB, where all resamples of 36,500 take 290
_PICTURES_AT_ONCE = 4096
_SAME = 1e-9


class CountsByPicture(Protocol):
    """(N, …) counts, one entry a picture: an array, or something that makes one of neighbouring pictures."""

    def __len__(self) -> int:
        """N."""

    def __getitem__(self, pictures: slice, /) -> npt.NDArray[np.int64]:
        """The counts of neighbouring pictures."""


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
    samples: CountsByPicture,
    statistic: Callable[[npt.NDArray[np.int64]], npt.NDArray[np.float64]],
    resamples: int = RESAMPLES,
    seed: int = _SEED,
) -> Estimate:
    """As :func:`bootstrap` for a statistic of the pictures' sum, many resamples at once.

    Args:
        samples: (N, …) counts, one entry a picture.
        statistic: from many sums (R, …) to (R,) numbers; NaN results of a resample are left out.
    """
    num_pictures = len(samples)
    everything = _totals(np.ones((1, num_pictures), np.int64), samples)
    value = float(statistic(everything)[0]) if num_pictures else math.nan
    if math.isnan(value):
        return Estimate(math.nan, math.nan, math.nan, num_pictures)
    drawn = np.concatenate(
        [statistic(_totals(_times_drawn(draws), samples)) for draws in _resamples(num_pictures, resamples, seed)]
    )
    finite = drawn[~np.isnan(drawn)]
    bounds = _interval(finite) if len(finite) else (math.nan, math.nan)
    return Estimate(value, *bounds, num_pictures)


def mean_estimate(values: npt.ArrayLike, resamples: int = RESAMPLES, seed: int = _SEED) -> Estimate:
    """Mean of one number a picture; NaNs are pictures that the number does not exist for, and left out."""
    samples = np.asarray(values, np.float64)
    samples = samples[~np.isnan(samples)]
    if not len(samples):
        return Estimate(math.nan, math.nan, math.nan, 0)
    # As bootstrap() with the mean, many resamples at once.
    drawn = [samples[draws].mean(axis=1) for draws in _resamples(len(samples), resamples, seed)]
    return Estimate(float(samples.mean()), *_interval(np.concatenate(drawn)), len(samples))


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


def paired_test(first: npt.ArrayLike, second: npt.ArrayLike, swaps: int = SWAPS, seed: int = _SEED) -> float:
    """How likely a difference of two means as large as this one is, were the two methods alike.

    A permutation test (Fisher 1935): alike methods may swap their scores of any picture, which turns the sign of its
    difference round. It assumes nothing of how scores are distributed.

    Args:
        first, second: a score of the same pictures in the same order; pictures with a NaN are left out.

    Returns:
        The two-sided p-value, at least 1 / (``swaps`` + 1); NaN without a picture.

    Raises:
        ValueError: when the two have different lengths.
    """
    minuend, subtrahend = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if minuend.shape != subtrahend.shape:
        raise ValueError(f"paired values need equal lengths, found {minuend.shape} and {subtrahend.shape}")
    return paired_tests((minuend - subtrahend)[:, None], swaps, seed)[0]


def paired_tests(differences: npt.NDArray[np.float64], swaps: int = SWAPS, seed: int = _SEED) -> list[float]:
    """:func:`paired_test` of many pairs of methods on the same pictures at once, all with the same swaps.

    Args:
        differences: (N, P), of every picture and pair; NaN where one of the two has no score.
    """
    if not len(differences):
        return [math.nan] * differences.shape[1]
    # A picture without a score adds nothing, whichever way round.
    counted = np.nan_to_num(differences)
    drawn = np.concatenate([np.abs((1.0 - 2.0 * swapped) @ counted) for swapped in _swaps(len(counted), swaps, seed)])
    observed = np.abs(counted.sum(axis=0))
    return [
        math.nan if np.isnan(differences[:, pair]).all() else _p_value(float(observed[pair]), drawn[:, pair])
        for pair in range(len(observed))
    ]


def paired_total_test(
    first: npt.NDArray[np.int64],
    second: npt.NDArray[np.int64],
    statistic: Callable[[npt.NDArray[np.int64]], npt.NDArray[np.float64]],
    swaps: int = SWAPS,
    seed: int = _SEED,
) -> float:
    """As :func:`paired_test` for a statistic of the pictures' sum, such as mIoU.

    Args:
        first, second: (N, …) counts of the same pictures in the same order.
        statistic: from many sums (R, …) to (R,) numbers.
    """
    if first.shape != second.shape:
        raise ValueError(f"paired counts need equal shapes, found {first.shape} and {second.shape}")
    if not len(first):
        return math.nan
    moved = first - second
    rest, both = second.sum(axis=0), first.sum(axis=0) + second.sum(axis=0)

    def difference(kept: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """From (R, N), 1 where a picture's counts stay where they are, to (R,)."""
        ours = rest + _totals(kept, moved)
        return np.abs(statistic(ours) - statistic(both - ours))

    observed = difference(np.ones((1, len(first)), np.int64))[0]
    if math.isnan(observed):
        return math.nan
    return _p_value(observed, np.concatenate([difference(kept) for kept in _swaps(len(first), swaps, seed)]))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values of a family of tests, raised so that one true hypothesis or more falls as rarely as in a single test.

    Holm (1979): the k-th smallest of m counts m − k + 1 times, and none less than a smaller one. NaNs stay what they
    are and are no tests.
    """
    adjusted = list(p_values)
    order = sorted((p, index) for index, p in enumerate(p_values) if not math.isnan(p))
    highest = 0.0
    for position, (p, index) in enumerate(order):
        highest = max(highest, min(1.0, p * (len(order) - position)))
        adjusted[index] = highest
    return adjusted


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


def _resamples(num_pictures: int, resamples: int, seed: int) -> Iterator[npt.NDArray[np.int64]]:
    """Positions of the pictures of each resample, (R, N), in parts of bounded size.

    The generator's stream does not know how it is cut: the draws are those of one call for all.
    """
    rng = np.random.default_rng(seed)
    at_once = max(1, _DRAWS_AT_ONCE // num_pictures)
    for first in range(0, resamples, at_once):
        yield rng.integers(0, num_pictures, (min(at_once, resamples - first), num_pictures))


def _swaps(num_pictures: int, swaps: int, seed: int) -> Iterator[npt.NDArray[np.int64]]:
    """Which pictures are swapped, 0 or 1 with equal chances, (R, N), in parts of bounded size."""
    rng = np.random.default_rng(seed)
    at_once = max(1, _DRAWS_AT_ONCE // num_pictures)
    for first in range(0, swaps, at_once):
        yield rng.integers(0, 2, (min(at_once, swaps - first), num_pictures))


def _p_value(observed: float, drawn: npt.NDArray[np.float64]) -> float:
    """The share of draws that are as large, the observation itself counted among them."""
    # A sum in another order has other last digits.
    as_large = int((drawn >= observed * (1 - _SAME)).sum())
    return (as_large + 1) / (len(drawn) + 1)


def _times_drawn(draws: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How often each resample holds each picture: (R, N) positions → (R, N) counts."""
    row = np.arange(len(draws))[:, None] * draws.shape[1]
    times: npt.NDArray[np.int64] = np.bincount((draws + row).ravel(), minlength=draws.size).reshape(draws.shape)
    return times


def _totals(times: npt.NDArray[np.int64], samples: CountsByPicture) -> npt.NDArray[np.int64]:
    """The counts' sums in which picture n counts ``times[r, n]`` times: (R, …)."""
    shape = samples[:0].shape[1:]
    totals = np.zeros((len(times), math.prod(shape)), np.float64)
    for first in range(0, len(samples), _PICTURES_AT_ONCE):
        part = slice(first, first + _PICTURES_AT_ONCE)
        # In float64, where the product is a fast one: sums of counts are exact below 2**53.
        totals += times[:, part].astype(np.float64) @ samples[part].reshape(-1, totals.shape[1]).astype(np.float64)
    return totals.astype(np.int64).reshape(-1, *shape)


def _interval(results: npt.NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.quantile(results, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _mean_ranks(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    last_rank = np.cumsum(sizes)
    return (last_rank - (sizes - 1) / 2.0)[group]
