from __future__ import annotations

import numpy as np
import pytest

from pipelines.data.shards import sampler as sampler_module
from pipelines.data.shards.sampler import GlobalBatchSampler, permute
from sgenet.errors import DataError, SettingsError


def _rows(sampler: GlobalBatchSampler, num_batches: int) -> list[int]:
    return [request.row for number in range(num_batches) for request in sampler.batch(number)]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 17, 256, 257, 1000])
def test_permute_is_a_permutation_for_every_size(size: int) -> None:
    for key in (0, 1, 2**63):
        values = np.arange(size, dtype=np.uint64)
        assert sorted(permute(values, size, np.uint64(key))) == list(range(size))


@pytest.mark.slow
@pytest.mark.parametrize("num_windows", [1, 2, 3, 5, 99])
@pytest.mark.parametrize(("sizes", "batch_size"), [([10], 4), ([5, 0, 6], 16), ([13, 13, 13, 13, 12], 8)])
def test_every_epoch_holds_every_sample_once_though_batches_run_across_epochs(
    sizes: list[int], batch_size: int, num_windows: int
) -> None:
    num_samples = sum(sizes)
    rows = _rows(GlobalBatchSampler(sizes, batch_size, 5, num_windows), 4 * num_samples)
    epochs = [rows[first : first + num_samples] for first in range(0, 4 * num_samples, num_samples)]
    assert all(sorted(epoch) == list(range(num_samples)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4


SHARDS = [20] * 4 + [17, 3]


@pytest.mark.parametrize("num_windows", [1, 3])
def test_a_batch_follows_from_seed_and_number_alone(num_windows: int) -> None:
    sampler = GlobalBatchSampler(SHARDS, 8, 3, num_windows)
    forwards = [sampler.batch(number) for number in range(30)]
    fresh = [GlobalBatchSampler(SHARDS, 8, 3, num_windows).batch(number) for number in range(30)]
    assert fresh == forwards
    assert [sampler.batch(number) for number in reversed(range(30))] == forwards[::-1]
    assert GlobalBatchSampler(SHARDS, 8, 4, num_windows).batch(0) != forwards[0]


def test_one_window_is_a_permutation_of_all_samples_however_they_lie_in_shards() -> None:
    whole = GlobalBatchSampler([100], 8, seed=3)
    assert _rows(GlobalBatchSampler(SHARDS, 8, seed=3), 30) == _rows(whole, 30)


def test_a_window_is_read_from_its_shards_alone_and_other_shards_meet_in_every_epoch() -> None:
    sizes = np.arange(1, 13) * 10
    shard_of = np.repeat(np.arange(12), sizes)
    sampler = GlobalBatchSampler(sizes.tolist(), 1, seed=1, num_windows=4)
    window, together = sampler.window_of(0), set()
    for number in range(12):
        assert window.number == number
        ends = (window.first, window.first + window.size - 1)
        assert {sampler.window_of(position).number for position in ends} == {number}
        rows = [request.row for request in sampler._requests(window.first, window.size)]
        assert set(shard_of[rows]) == set(window.shards)
        assert len(set(rows)) == window.size == sizes[window.shards].sum()
        # Shuffled: not one shard after the other.
        assert (np.diff(shard_of[rows]) != 0).mean() > 0.3
        together.add(frozenset(window.shards.tolist()))
        window = sampler.window_after(window)
    assert len(together) > 9


@pytest.mark.slow
def test_no_sample_has_a_fixed_place_in_windows() -> None:
    # χ² of a sample's place among eight parts of an epoch, 7 degrees of freedom, p = 0.001.
    rows = np.array(_rows(GlobalBatchSampler([4] * 8, 8 * 400, seed=11, num_windows=4), 4))
    parts = np.flatnonzero(rows == 5) % 32 // 4
    assert len(parts) == 400
    assert ((np.bincount(parts, minlength=8) - 50) ** 2 / 50).sum() < 24.3


def test_the_order_of_samples_never_changes_between_versions() -> None:
    # A checkpoint holds a batch number, not an order: another order would silently change every resumed run.
    assert _rows(GlobalBatchSampler([10], 5, seed=0), 2) == [7, 3, 9, 4, 5, 2, 8, 1, 6, 0]
    assert GlobalBatchSampler([10], 5, seed=0).batch(0)[0].seed == 2021837705625203702


@pytest.mark.parametrize("num_windows", [1, 3])
@pytest.mark.parametrize("world", [1, 2, 4])
def test_the_ranks_parts_put_together_are_the_global_batch(world: int, num_windows: int) -> None:
    sampler = GlobalBatchSampler([7, 7, 7, 7, 2], 8, 1, num_windows)
    ranks = [
        GlobalBatchSampler([7, 7, 7, 7, 2], 8, 1, num_windows).rank_batches(rank, world, start=3)
        for rank in range(world)
    ]
    for number in range(3, 12):
        assert [request for rank in ranks for request in next(rank)] == sampler.batch(number)


def test_no_two_visits_of_a_sample_share_their_random_numbers() -> None:
    sampler = GlobalBatchSampler([20], 10, seed=1)
    seeds = [request.seed for number in range(200) for request in sampler.batch(number)]
    assert len(set(seeds)) == 2000


def test_a_billion_samples_cost_what_their_shards_do_and_are_entered_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    scrambled: list[int] = []
    scramble = sampler_module._scramble

    def counted(words: np.ndarray) -> np.ndarray:
        scrambled.append(len(words))
        return scramble(words)

    monkeypatch.setattr(sampler_module, "_scramble", counted)
    sampler = GlobalBatchSampler([10_000] * 100_000 + [7], 64, seed=2, num_windows=50)
    for first in (0, 10**12 // 64):
        rows = [request.row for number in range(first, first + 4) for request in sampler.batch(number)]
        assert len(set(rows)) == 256
        assert max(rows) < 10**9 + 7
    # The shards of two epochs, once each, and the samples of eight batches: nothing of what comes before.
    assert [count for count in scrambled if count > 64] == [100_001, 100_001]
    assert len(scrambled) < 1000


def test_a_batch_that_cannot_be_divided_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"batch_size \(8\) must be a multiple of the number of workers \(3\)"):
        GlobalBatchSampler([30], 8, seed=1).rank_batches(0, 3)


def test_an_empty_split_is_refused() -> None:
    with pytest.raises(DataError, match="no samples to train on"):
        GlobalBatchSampler([0], 8, seed=1)
