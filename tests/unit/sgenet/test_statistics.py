"""Intervals that cover what they should, and correlations worked by hand."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest

from sgenet.evaluation import statistics
from sgenet.evaluation.confidence import correlate, pearson, spearman
from sgenet.evaluation.segmentation import ConfusionCounts
from sgenet.evaluation.statistics import (
    Estimate,
    bootstrap,
    bootstrap_total,
    holm,
    mean_estimate,
    paired_difference,
    paired_test,
    paired_total_test,
)


def test_the_interval_of_a_mean_is_about_two_standard_errors_wide() -> None:
    values = np.random.default_rng(3).normal(20, 2, 400)
    estimate = mean_estimate(values)
    standard_error = values.std(ddof=1) / math.sqrt(400)
    assert estimate.value == pytest.approx(values.mean())
    assert estimate.low == pytest.approx(values.mean() - 1.96 * standard_error, abs=0.3 * standard_error)
    assert estimate.high == pytest.approx(values.mean() + 1.96 * standard_error, abs=0.3 * standard_error)


def test_a_statistic_of_the_sum_is_bootstrapped_like_any_other() -> None:
    counts = np.random.default_rng(5).integers(0, 2**33, (41, 2))

    def share(ours: np.ndarray, all_: np.ndarray, axis: int) -> np.ndarray:
        return ours.sum(axis=axis) / all_.sum(axis=axis)

    one_by_one = bootstrap((counts[:, 0], counts.sum(axis=1)), share)
    of_sums = bootstrap_total(counts, lambda totals: totals[:, 0] / totals.sum(axis=1))
    assert of_sums == one_by_one
    assert math.isnan(bootstrap_total(counts[:0], lambda totals: totals[:, 0] / 1.0).value)


def test_the_parts_that_resamples_are_drawn_in_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(8)
    values, counts = rng.normal(20, 3, 333), rng.integers(0, 2**33, (333, 2))

    def share(totals: np.ndarray) -> np.ndarray:
        return totals[:, 0] / totals.sum(axis=1)

    at_once = mean_estimate(values), bootstrap_total(counts, share)
    monkeypatch.setattr(statistics, "_DRAWS_AT_ONCE", 7 * 333)  # 1,000 resamples are no multiple of 7
    monkeypatch.setattr(statistics, "_IMAGES_AT_ONCE", 50)
    assert (mean_estimate(values), bootstrap_total(counts, share)) == at_once


def _matrices(num_images: int, num_classes: int, num_cells: int = 12) -> np.ndarray:
    """Confusion matrices with few cells, as images have them."""
    rng = np.random.default_rng(9)
    dense = np.zeros((num_images, num_classes**2), np.int64)
    cells = rng.integers(0, num_classes**2, (num_images, num_cells))
    np.put_along_axis(dense, cells, rng.integers(1, 2**32, cells.shape), axis=1)
    return dense.reshape(num_images, num_classes, num_classes)


def _table(matrices: np.ndarray) -> ConfusionCounts:
    table = ConfusionCounts(matrices.shape[-1])
    table.append(matrices)
    return table


def test_sparse_confusion_counts_give_the_matrices_back() -> None:
    matrices = _matrices(30, 19)
    matrices[4] = 0  # an image without labels
    matrices[29] = 2**32 - 1  # and one with every cell
    table = _table(matrices[:11])
    table.extend(_table(matrices[11:]))
    assert len(table) == 30
    assert np.array_equal(table[:], matrices)
    assert np.array_equal(table[3:9], matrices[3:9])
    assert table[:0].shape == (0, 19, 19)
    assert np.array_equal(table.total(), matrices.sum(axis=0))
    chosen = np.array([29, 2, 4])
    assert np.array_equal(table.total(chosen), matrices[chosen].sum(axis=0))


def _peak(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        kept = work()
        del kept
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_memory_of_an_evaluation_of_places2_is_bounded() -> None:
    """36,500 images: all resamples at once took 290 MB several times over, and the matrices 105 MB a table."""
    num_images, megabyte = 36_500, 2**20
    values = np.random.default_rng(1).random(num_images)
    assert _peak(lambda: mean_estimate(values)) < 64 * megabyte
    matrices = _matrices(1000, 19)
    assert _peak(lambda: _table(matrices)) < 500 * 1000

    table = ConfusionCounts(19)
    for _ in range(num_images // 1000):
        table.extend(_table(matrices))
    assert _peak(lambda: bootstrap_total(table, lambda totals: totals[:, 0, 0] / 1.0)) < 128 * megabyte


def test_images_without_a_value_are_left_out() -> None:
    estimate = mean_estimate([1.0, math.nan, 3.0])
    assert (estimate.value, estimate.num_images) == (2.0, 2)
    assert math.isnan(mean_estimate([math.nan]).value)


def test_pairs_show_a_small_gain_that_separate_means_hide() -> None:
    rng = np.random.default_rng(7)
    hard = rng.normal(20, 4, 200)  # how hard each image is
    first, second = hard + 0.3 + rng.normal(0, 0.1, 200), hard + rng.normal(0, 0.1, 200)
    difference = paired_difference(first, second)
    assert 0.2 < difference.low < 0.3 < difference.high < 0.4
    assert mean_estimate(first).low < mean_estimate(second).high


def test_resamples_without_the_statistic_are_left_out(recwarn: pytest.WarningsRecorder) -> None:
    values = np.arange(4.0)

    def mean_with_the_last(drawn: np.ndarray, axis: int) -> np.ndarray:
        return np.where((drawn == 3).any(axis=axis), drawn.mean(axis=axis), np.nan)

    estimate = bootstrap((values,), mean_with_the_last)
    assert estimate.value == 1.5
    assert 0.7 < estimate.low < estimate.high <= 3
    none = bootstrap((values,), lambda drawn, axis: np.where(drawn.ndim == 1, 0.5, np.full(drawn.shape[:-1], np.nan)))
    assert none.value == 0.5
    assert math.isnan(none.low)
    assert mean_estimate([2.5]) == Estimate(2.5, 2.5, 2.5, 1)
    assert not recwarn.list


def test_correlations_by_hand() -> None:
    assert pearson(np.array([0.0, 1, 2]), np.array([0.0, 1, 0])) == pytest.approx(0)
    assert pearson(np.array([0.0, 1, 2]), np.array([1.0, 3, 5])) == pytest.approx(1)
    assert math.isnan(pearson(np.array([1.0, 1]), np.array([0.0, 2])))
    # Of 1, 2.5, 2.5, 4 (equal values share their rank) and 1, 2, 3, 4.
    assert spearman(np.array([0.1, 7, 7, 9]), np.array([1.0, 2, 5, 8])) == pytest.approx(4.5 / math.sqrt(4.5 * 5))
    assert math.isnan(correlate([0.5], [0.1]).pearson.value)


def test_confidence_that_falls_with_the_error_correlates_negatively() -> None:
    rng = np.random.default_rng(11)
    hole_l1 = rng.random(120)
    confidence = 1 - hole_l1 + rng.normal(0, 0.05, 120)
    correlation = correlate([*confidence, math.nan], [*hole_l1, 0.5])
    assert correlation.pearson.num_images == 120
    assert correlation.pearson.high < -0.9
    assert correlation.spearman.low < correlation.spearman.value < correlation.spearman.high


def test_the_permutation_test_agrees_with_all_permutations_of_few_images() -> None:
    rng = np.random.default_rng(5)
    first = rng.normal(0.6, 1.0, 10)
    second = rng.normal(0.0, 1.0, 10)
    observed = abs((first - second).sum())
    every = [abs(np.dot(signs, first - second)) for signs in product((-1, 1), repeat=10)]
    exact = np.mean([total >= observed - 1e-12 for total in every])
    assert paired_test(first, second) == pytest.approx(exact, abs=0.015)
    assert paired_test(first, second) == paired_test(second, first)


def test_images_without_a_score_are_not_tested() -> None:
    first, second = np.array([1.0, 2.0, math.nan, 3.0]), np.array([0.5, 1.0, 9.0, math.nan])
    # Of two images, both differences positive: half of the four swaps are as large.
    assert paired_test(first, second) == pytest.approx(0.5, abs=0.02)
    assert math.isnan(paired_test([math.nan], [1.0]))
    with pytest.raises(ValueError, match="equal lengths"):
        paired_test([1.0, 2.0], [1.0])


def test_a_mean_tested_as_a_statistic_of_a_sum_has_the_same_p() -> None:
    rng = np.random.default_rng(7)
    first, second = rng.integers(0, 50, (40, 1)), rng.integers(4, 54, (40, 1))
    of_total = paired_total_test(first, second, lambda sums: sums[:, 0] / 40.0)
    assert of_total == pytest.approx(paired_test(first[:, 0], second[:, 0]), abs=1e-12)
    assert math.isnan(paired_total_test(first[:0], second[:0], lambda sums: sums[:, 0] / 40.0))


def test_holm_by_hand() -> None:
    # 0.01 × 4, 0.02 × 3, 0.03 × 2 (below its predecessor, so raised to it), 0.9 × 1; a missing test counts for nothing.
    assert holm([0.02, math.nan, 0.9, 0.01, 0.03])[2:] == pytest.approx([0.9, 0.04, 0.06])
    assert holm([0.02, math.nan, 0.9, 0.01, 0.03])[0] == pytest.approx(0.06)
    assert math.isnan(holm([0.02, math.nan])[1])
    assert holm([0.7, 0.8]) == [1.0, 1.0]
