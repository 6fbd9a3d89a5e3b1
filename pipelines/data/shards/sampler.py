"""Which samples form global batch n: a function of (seed, n) alone, in O(1) memory.

Position p of the endless training stream is element ``p mod N`` of a permutation of the N
samples that is drawn again for each epoch ``p div N``. The permutation is never stored: it is
a Feistel network over the smallest even number of bits that holds N, walked along its
cycles until it lands below N (Black & Rogaway 2002). So a stream can be entered anywhere,
and the number of workers only divides a batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sgenet.errors import DataError, SettingsError

_NUM_ROUNDS = 6
_WORD = (1 << 64) - 1

Words = npt.NDArray[np.uint64]


class SampleRequest(NamedTuple):
    """One sample to be read, with everything that is random about it.

    Attributes:
        row: of the sample table.
        seed: 64 bits; crop, flip and hole are drawn from it alone.
    """

    row: int
    seed: int


class GlobalBatchSampler:
    """The endless sequence of global batches of a training.

    Within an epoch every sample comes exactly once; a batch may run across the border of two.

    Args:
        num_samples: N, rows of the sample table.
        batch_size: of the **global** batch.
        seed: everything follows from it.
    """

    def __init__(self, num_samples: int, batch_size: int, seed: int) -> None:
        if num_samples < 1:
            raise DataError("there are no samples to train on; the training split is empty")
        if batch_size < 1:
            raise SettingsError([f"training.batch_size must be at least 1, found {batch_size}"])
        self.num_samples = num_samples
        self.batch_size = batch_size
        self.seed = seed

    def batch(self, number: int) -> list[SampleRequest]:
        """Global batch ``number``, counted from 0."""
        return self._requests(number * self.batch_size, self.batch_size)

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
        positions = np.arange(position, position + count, dtype=np.uint64)
        epochs, within = np.divmod(positions, np.uint64(self.num_samples))
        rows = permute(within, self.num_samples, _hash(self.seed, "epoch", epochs))
        seeds = _hash(self.seed, "sample", positions)
        return [SampleRequest(int(row), int(seed)) for row, seed in zip(rows, seeds, strict=True)]


def permute(values: Words, size: int, keys: Words) -> Words:
    """Send each of ``values`` in [0, size) through the permutation of [0, size) that its key names.

    Args:
        values, keys: (n,) uint64.
    """
    half_bits = max(1, ((size - 1).bit_length() + 1) // 2)
    result = _feistel(values, half_bits, keys)
    while True:
        # Two walks never meet: the network is a bijection of a larger range, so whoever
        # follows it from inside returns inside, each at a place of its own.
        outside = np.flatnonzero(result >= size)
        if len(outside) == 0:
            return result
        result[outside] = _feistel(result[outside], half_bits, keys[outside])


def _feistel(values: Words, half_bits: int, keys: Words) -> Words:
    shift, low_bits = np.uint64(half_bits), np.uint64((1 << half_bits) - 1)
    left, right = values >> shift, values & low_bits
    for turn in range(_NUM_ROUNDS):
        left, right = right, left ^ (_scramble(right ^ _scramble(keys + np.uint64(turn))) & low_bits)
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
