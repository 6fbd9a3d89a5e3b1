"""How sure a mean over images is: percentile bootstrap intervals (Efron & Tibshirani 1993) and permutation tests of
two methods on the same images, both by ``scipy.stats`` and seeded."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import scipy.stats

RESAMPLES = 1000
SWAPS = 10_000
LEVEL = 0.95
_SEED = 20200823

_DRAWS_AT_ONCE = 2**21  # images drawn over all resamples: 16 MiB, where all resamples of 36,500 take 290
_IMAGES_AT_ONCE = 4096

Floats = npt.NDArray[np.float64]


class CountsByImage(Protocol):
    """(N, …) counts, one entry an image: an array, or something that makes one of neighbouring images."""

    def __len__(self) -> int:
        """N."""

    def __getitem__(self, images: slice, /) -> npt.NDArray[np.int64]:
        """The counts of neighbouring images."""


@dataclass(frozen=True)
class Estimate:
    """A statistic of the images at hand, and where it would lie on other images of the same kind.

    Attributes:
        value: the statistic of all images.
        low, high: bounds of its two-sided bootstrap interval at :data:`LEVEL`.
        num_images: how many images it rests on.
    """

    value: float
    low: float
    high: float
    num_images: int


def bootstrap(samples: Sequence[npt.NDArray], statistic: Callable[..., Floats]) -> Estimate:
    """Estimate a statistic with its percentile interval by drawing images with replacement.

    The draws depend on the number of images alone.

    Args:
        samples: arrays (N,) of the same images.
        statistic: ``statistic(*samples, axis=-1)``, as NumPy's functions are called; NaN results of a resample are
            left out.

    Returns:
        NaN value and bounds where there is no image, or the statistic is NaN.
    """
    num_images = len(samples[0])
    value = float(statistic(*samples, axis=-1)) if num_images else math.nan
    if math.isnan(value) or num_images == 1:
        return Estimate(value, value, value, num_images)
    with warnings.catch_warnings():
        # SciPy's own interval, which is not taken, is NaN where a single resample is.
        warnings.simplefilter("ignore", scipy.stats.DegenerateDataWarning)
        drawn = scipy.stats.bootstrap(
            samples,
            statistic,
            n_resamples=RESAMPLES,
            batch=_batch(num_images),
            vectorized=True,
            paired=len(samples) > 1,
            axis=-1,
            method="percentile",
            rng=np.random.default_rng(_SEED),
        ).bootstrap_distribution
    drawn = drawn[~np.isnan(drawn)]
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) if len(drawn) else (math.nan, math.nan)
    return Estimate(value, float(low), float(high), num_images)


def bootstrap_total(samples: CountsByImage, statistic: Callable[[npt.NDArray[np.int64]], Floats]) -> Estimate:
    """As :func:`bootstrap` for a statistic of the images' sum.

    Args:
        samples: (N, …) counts, one entry an image.
        statistic: from many sums (R, …) to (R,) numbers; NaN results of a resample are left out.
    """
    num_images = len(samples)

    def of_drawn(draws: npt.NDArray[np.int64], axis: int) -> Floats:
        rows = draws.reshape(-1, num_images)
        first_of_row = np.arange(len(rows))[:, None] * num_images
        times_drawn = np.bincount((rows + first_of_row).ravel(), minlength=rows.size).reshape(rows.shape)
        return statistic(_totals(times_drawn, samples)).reshape(draws.shape[:-1])

    return bootstrap((np.arange(num_images),), of_drawn)


def mean_estimate(values: npt.ArrayLike) -> Estimate:
    """Mean of one number an image; NaNs are images that the number does not exist for, and left out."""
    samples = np.asarray(values, np.float64)
    return bootstrap((samples[~np.isnan(samples)],), np.mean)


def paired_difference(first: npt.ArrayLike, second: npt.ArrayLike) -> Estimate:
    """Mean of ``first - second`` over the same images in the same order.

    Far tighter than the difference of two means, since a hard image is hard for both.

    Raises:
        ValueError: when the two have different lengths.
    """
    return mean_estimate(_differences(first, second))


def paired_test(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """How likely a difference of two means as large as this one is, were the two methods alike.

    A permutation test (Fisher 1935): alike methods may swap their scores of any image, which turns the sign of its
    difference round. It assumes nothing of how scores are distributed.

    Args:
        first, second: a score of the same images in the same order; images with a NaN are left out.

    Returns:
        The two-sided p-value, at least 1 / (:data:`SWAPS` + 1); NaN without an image.

    Raises:
        ValueError: when the two have different lengths.
    """
    differences = _differences(first, second)
    if np.isnan(differences).all():
        return math.nan
    # An image without a score adds nothing, whichever way round.
    counted = np.nan_to_num(differences)
    return _sign_test(len(counted), lambda signs: np.abs(signs @ counted))


def paired_total_test(
    first: npt.NDArray[np.int64],
    second: npt.NDArray[np.int64],
    statistic: Callable[[npt.NDArray[np.int64]], Floats],
) -> float:
    """As :func:`paired_test` for a statistic of the images' sum, such as mIoU.

    Args:
        first, second: (N, …) counts of the same images in the same order.
        statistic: from many sums (R, …) to (R,) numbers.
    """
    if first.shape != second.shape:
        raise ValueError(f"paired counts need equal shapes, found {first.shape} and {second.shape}")
    moved = first - second
    rest, both = second.sum(axis=0), first.sum(axis=0) + second.sum(axis=0)

    def difference(signs: Floats) -> Floats:
        ours = rest + _totals(np.atleast_2d(signs > 0), moved)
        return np.abs(statistic(ours) - statistic(both - ours)).reshape(signs.shape[:-1])

    if not len(first) or np.isnan(difference(np.ones(len(first)))):
        return math.nan
    return _sign_test(len(first), difference)


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


def _sign_test(num_images: int, statistic: Callable[[Floats], Floats]) -> float:
    """The share of random signs that give a statistic as large as if every image keeps its own.

    Args:
        num_images: N.
        statistic: from signs (R, N) to (R,), or (N,) to a number.
    """
    rng = np.random.default_rng(_SEED)
    # scipy.stats.permutation_test draws the same signs one image at a time, which takes many times as long.
    return float(
        scipy.stats.monte_carlo_test(
            np.ones(num_images),
            lambda size: 1.0 - 2.0 * rng.integers(0, 2, size),
            lambda signs, axis: statistic(signs),
            vectorized=True,
            n_resamples=SWAPS,
            batch=_batch(num_images),
            alternative="greater",
            axis=-1,
        ).pvalue
    )


def _batch(num_images: int) -> int:
    """Resamples at once. The generator's stream does not know how it is cut: they change no draw."""
    return max(1, _DRAWS_AT_ONCE // num_images)


def _differences(first: npt.ArrayLike, second: npt.ArrayLike) -> Floats:
    minuend, subtrahend = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if minuend.shape != subtrahend.shape:
        raise ValueError(f"paired values need equal lengths, found {minuend.shape} and {subtrahend.shape}")
    return minuend - subtrahend


def _totals(times: npt.NDArray, samples: CountsByImage) -> npt.NDArray[np.int64]:
    """The counts' sums in which image n counts ``times[r, n]`` times: (R, …)."""
    shape = samples[:0].shape[1:]
    totals = np.zeros((len(times), math.prod(shape)), np.float64)
    for first in range(0, len(samples), _IMAGES_AT_ONCE):
        part = slice(first, first + _IMAGES_AT_ONCE)
        # In float64, where the product is a fast one: sums of counts are exact below 2**53.
        totals += times[:, part].astype(np.float64) @ samples[part].reshape(-1, totals.shape[1]).astype(np.float64)
    return totals.astype(np.int64).reshape(-1, *shape)
