from __future__ import annotations

import itertools

import numpy as np
import pytest

from pipelines.data.shards.sampler import GlobalBatchSampler, permute
from sgenet.errors import DataError, SettingsError


def _rows(sampler: GlobalBatchSampler, num_batches: int) -> list[int]:
    return [request.row for number in range(num_batches) for request in sampler.batch(number)]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 17, 256, 257, 1000])
def test_permute_is_a_permutation_for_every_size(size: int) -> None:
    for key in (0, 1, 2**63):
        values = np.arange(size, dtype=np.uint64)
        assert sorted(permute(values, size, np.full(size, key, np.uint64))) == list(range(size))


@pytest.mark.parametrize(("num_samples", "batch_size"), [(10, 4), (7, 16), (64, 8)])
def test_every_epoch_holds_every_sample_once_though_batches_run_across_epochs(
    num_samples: int, batch_size: int
) -> None:
    rows = _rows(GlobalBatchSampler(num_samples, batch_size, seed=5), 4 * num_samples)
    epochs = [rows[first : first + num_samples] for first in range(0, 4 * num_samples, num_samples)]
    assert all(sorted(epoch) == list(range(num_samples)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_a_batch_follows_from_seed_and_number_alone() -> None:
    sampler = GlobalBatchSampler(100, 8, seed=3)
    forwards = [sampler.batch(number) for number in range(30)]
    assert [GlobalBatchSampler(100, 8, seed=3).batch(number) for number in reversed(range(30))] == forwards[::-1]
    assert GlobalBatchSampler(100, 8, seed=4).batch(0) != forwards[0]


def test_the_order_of_samples_never_changes_between_versions() -> None:
    # A checkpoint holds a batch number, not an order: another order would silently change every resumed run.
    assert _rows(GlobalBatchSampler(10, 5, seed=0), 2) == [7, 3, 9, 4, 5, 2, 8, 1, 6, 0]
    assert GlobalBatchSampler(10, 5, seed=0).batch(0)[0].seed == 2021837705625203702


@pytest.mark.parametrize("world", [1, 2, 4])
def test_the_ranks_parts_put_together_are_the_global_batch(world: int) -> None:
    sampler = GlobalBatchSampler(30, 8, seed=1)
    ranks = [sampler.rank_batches(rank, world, start=3) for rank in range(world)]
    for number in range(3, 12):
        assert [request for rank in ranks for request in next(rank)] == sampler.batch(number)


def test_starting_later_equals_continuing() -> None:
    sampler = GlobalBatchSampler(30, 8, seed=1)
    continued = itertools.islice(sampler.rank_batches(1, 2), 5, 9)
    resumed = itertools.islice(sampler.rank_batches(1, 2, start=5), 4)
    assert list(continued) == list(resumed)


def test_no_two_visits_of_a_sample_share_their_random_numbers() -> None:
    sampler = GlobalBatchSampler(20, 10, seed=1)
    seeds = [request.seed for number in range(200) for request in sampler.batch(number)]
    assert len(set(seeds)) == 2000


def test_positions_in_an_epoch_are_unbiased() -> None:
    # Over many epochs each sample should come first about equally often: χ² with 7 degrees of freedom, p = 0.001.
    firsts = [request.row for request in GlobalBatchSampler(8, 8 * 4000, seed=11).batch(0)[::8]]
    counts = np.bincount(firsts, minlength=8)
    assert ((counts - 500) ** 2 / 500).sum() < 24.3


def test_a_billion_samples_cost_no_memory_and_stay_in_range() -> None:
    rows = _rows(GlobalBatchSampler(10**9 + 7, 64, seed=2), 4)
    assert len(set(rows)) == 256
    assert max(rows) < 10**9 + 7


def test_a_batch_that_cannot_be_divided_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"batch_size \(8\) must be a multiple of the number of workers \(3\)"):
        GlobalBatchSampler(30, 8, seed=1).rank_batches(0, 3)


def test_an_empty_split_is_refused() -> None:
    with pytest.raises(DataError, match="no samples to train on"):
        GlobalBatchSampler(0, 8, seed=1)
