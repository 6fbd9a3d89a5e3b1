"""Which samples form global batch n: a function of (seed, n) alone.

Position p of the endless training stream lies in epoch ``p div N`` of N samples. An epoch is shuffled at two levels, so
that data many times larger than a node's disk can be read in whole shards:

1. The shards are reshuffled for each epoch and divided into windows of nearly as many shards each.
2. Within a window its samples are permuted.

Data of one window are a permutation of all samples. No permutation of samples is ever stored: it is a Feistel network
over the smallest even number of bits that holds its size, walked along its cycles until it lands below that size
(Black & Rogaway 2002). So a stream can be entered anywhere, at the cost of permuting the shards of one epoch, and the
number of workers only divides a batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipelines.data.shards.schema import SampleTable
from sgenet.errors import DataError, SettingsError

_NUM_ROUNDS = 6
_WORD = (1 << 64) - 1

Words = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.int64]


class SampleRequest(NamedTuple):
    """One sample to be read, with everything that is random about it.

    Attributes:
        row: of the sample table.
        seed: 64 bits; crop, flip and hole are drawn from it alone.
    """

    row: int
    seed: int


class Window(NamedTuple):
    """Shards whose samples are permuted together, a piece of the stream.

    Attributes:
        number: counted through the stream, from 0.
        first: position of its first sample in the stream.
        size: samples in it.
        shards: (W,) numbers of its shards.
        starts: (W,) how many of its samples lie in the shards before.
    """

    number: int
    first: int
    size: int
    shards: Numbers
    starts: Numbers


class GlobalBatchSampler:
    """The endless sequence of global batches of a training.

    Within an epoch every sample comes exactly once; a batch may span two epochs or two windows.

    Args:
        shard_sizes: (S,) samples of each shard; the rows of the sample table are those of shard 0, then of shard 1, …
        batch_size: of the **global** batch.
        seed: everything follows from it.
        num_windows: into which the shards of an epoch are divided; no more than there are shards with samples.
    """

    def __init__(self, shard_sizes: Sequence[int] | Numbers, batch_size: int, seed: int, num_windows: int = 1) -> None:
        sizes = np.asarray(shard_sizes, np.int64)
        self.num_samples = int(sizes.sum())
        if self.num_samples < 1:
            raise DataError("there are no samples to train on; the training split is empty")
        if batch_size < 1:
            raise SettingsError([f"training.batch_size must be at least 1, found {batch_size}"])
        self.batch_size = batch_size
        self.seed = seed
        self._sizes = sizes
        self._first_rows = np.cumsum(sizes) - sizes
        self._shards = np.flatnonzero(sizes)
        self.num_windows = min(num_windows, len(self._shards))
        self._borders = np.arange(self.num_windows + 1) * len(self._shards) // self.num_windows
        self._epoch = _Epoch(-1, self._shards, sizes)

    def batch(self, number: int) -> list[SampleRequest]:
        """Global batch ``number``, counted from 0."""
        return self._requests(number * self.batch_size, self.batch_size)

    def window_of(self, number: int) -> Window:
        """The window that global batch ``number`` begins in."""
        return self._window_at(number * self.batch_size)

    def window_after(self, window: Window) -> Window:
        """The next window of the stream, perhaps the first of the next epoch."""
        return self._window_at(window.first + window.size)

    def rank_batches(self, rank: int, world: int, start: int = 0) -> Iterator[list[SampleRequest]]:
        """The part of rank ``rank`` of ``world`` in every global batch from number ``start`` on, without end.

        The parts in rank order, put together, are the global batch.

        Raises:
            SettingsError: the batch cannot be divided evenly.
        """
        if self.batch_size % world:
            raise SettingsError(
                [
                    f"training.batch_size ({self.batch_size}) must be a multiple of the number of workers "
                    f"({world}); change one of them"
                ]
            )
        return self._parts(self.batch_size // world, rank, start)

    def _parts(self, part_size: int, rank: int, start: int) -> Iterator[list[SampleRequest]]:
        position = start * self.batch_size + rank * part_size
        while True:
            yield self._requests(position, part_size)
            position += self.batch_size

    def _requests(self, position: int, count: int) -> list[SampleRequest]:
        rows, end = [], position + count
        seeds = _hash(self.seed, "sample", np.arange(position, end, dtype=np.uint64))
        while position < end:
            window = self._window_at(position)
            last = min(end, window.first + window.size)
            rows += self._rows(window, np.arange(position - window.first, last - window.first)).tolist()
            position = last
        return [SampleRequest(row, seed) for row, seed in zip(rows, seeds.tolist(), strict=True)]

    def _rows(self, window: Window, places: Numbers) -> Numbers:
        """The rows of the table at places of a window."""
        # Named when an epoch was always one window: another name would change the order of such data.
        permuted = permute(places.astype(np.uint64), window.size, self._key("epoch", window.number)).astype(np.int64)
        index = np.searchsorted(window.starts, permuted, side="right") - 1
        rows: Numbers = self._first_rows[window.shards[index]] + permuted - window.starts[index]
        return rows

    def _window_at(self, position: int) -> Window:
        epoch, place = self._epoch_at(position // self.num_samples), position % self.num_samples
        starts = epoch.starts[self._borders]
        number = int(np.searchsorted(starts, place, side="right")) - 1
        first, size = int(starts[number]), int(starts[number + 1] - starts[number])
        shards = slice(self._borders[number], self._borders[number + 1])
        return Window(
            number=epoch.number * self.num_windows + number,
            first=epoch.number * self.num_samples + first,
            size=size,
            shards=epoch.shards[shards],
            starts=epoch.starts[shards] - first,
        )

    def _epoch_at(self, number: int) -> _Epoch:
        if number != self._epoch.number:
            shards = self._shards
            if self.num_windows > 1:
                shards = shards[np.argsort(_scramble(shards.astype(np.uint64) ^ self._key("shards", number)))]
            self._epoch = _Epoch(number, shards, np.concatenate([[0], np.cumsum(self._sizes[shards])]))
        return self._epoch

    def _key(self, purpose: str, number: int) -> np.uint64:
        key: np.uint64 = _hash(self.seed, purpose, np.array([number], np.uint64))[0]
        return key


class _Epoch(NamedTuple):
    """The order of the shards in an epoch, and how many samples lie before each of them, and in all."""

    number: int
    shards: Numbers
    starts: Numbers


def training_order(table: SampleTable, batch_size: int, seed: int, window_gigabytes: float) -> GlobalBatchSampler:
    """The order in which a training reads a table: its shards in windows of about so many gigabytes."""
    sizes = table.shard_sizes()
    size = int(np.asarray(table.shard_bytes)[sizes > 0].sum())
    return GlobalBatchSampler(sizes, batch_size, seed, num_windows=max(1, -int(-size // (window_gigabytes * 1e9))))


def permute(values: Words, size: int, key: np.uint64) -> Words:
    """Send each of ``values`` in [0, size) through the permutation of [0, size) that a key names.

    Args:
        values: (n,) uint64.
    """
    half_bits = max(1, ((size - 1).bit_length() + 1) // 2)
    keys = _scramble(key + np.arange(_NUM_ROUNDS, dtype=np.uint64))
    result = _feistel(values, half_bits, keys)
    while True:
        # Two walks never meet: the network is a bijection of a larger range, so whoever
        # follows it from inside returns inside, each at a place of its own.
        outside = np.flatnonzero(result >= size)
        if len(outside) == 0:
            return result
        result[outside] = _feistel(result[outside], half_bits, keys)


def _feistel(values: Words, half_bits: int, keys: Words) -> Words:
    shift, low_bits = np.uint64(half_bits), np.uint64((1 << half_bits) - 1)
    left, right = values >> shift, values & low_bits
    for key in keys:
        left, right = right, left ^ (_scramble(right ^ key) & low_bits)
    return (left << shift) | right


def _hash(seed: int, purpose: str, values: Words) -> Words:
    """64 bits for each value, unrelated between seeds and between purposes."""
    word = int.from_bytes(purpose.encode().ljust(8, b"\0")[:8], "little")
    key = _scramble(_scramble(np.array([seed & _WORD], np.uint64)) ^ np.uint64(word))
    return _scramble(_scramble(values) ^ key)


def _scramble(words: Words) -> Words:
    """SplitMix64's step (Steele, Lea & Flood 2014): a bijection of 64 bits without visible pattern."""
    words = words + np.uint64(0x9E3779B97F4A7C15)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
