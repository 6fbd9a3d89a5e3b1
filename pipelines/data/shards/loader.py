"""Batches from a dataset through decoding processes, in an order that does not depend on how many there are."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import torch
from torch.utils.data import DataLoader, Dataset

from pipelines.data.shards.kept_memory import InMemory, KeptMemory
from pipelines.data.shards.reader import ShardDataset, collate
from pipelines.data.shards.sampler import GlobalBatchSampler, SampleRequest
from sgenet.batch import Uint8Batch
from sgenet.errors import UserError

# A forked process has the sample table for nothing; elsewhere than on Linux forking is not safe.
_START_METHOD: Literal["fork", "spawn"] = "fork" if sys.platform == "linux" else "spawn"


def training_batches(
    dataset: ShardDataset,
    sampler: GlobalBatchSampler,
    *,
    rank: int = 0,
    world: int = 1,
    start: int = 0,
    processes: int = 0,
    prefetch: int = 4,
    crop: int | None = None,
) -> Iterator[Uint8Batch]:
    """This rank's part of every global batch from number ``start`` on, without end.

    Args:
        dataset: the training split; the sampler's indices are its rows.
        processes: that decode; 0 decodes in the calling process. The batches are the same for any number.
        prefetch: batches each process keeps ready.
        crop: side of every sample. With it, batches lie in memory that is **used again**: a batch is good until the
            next but one is taken. Without, each has memory of its own, which takes longer.

    Raises:
        SettingsError: the batch cannot be divided among ``world`` ranks.
        DataError: while iterating: a sample cannot be read, with its shard and key.
    """
    if sampler.num_samples != len(dataset):
        raise ValueError(f"the sampler counts {sampler.num_samples} samples, the dataset {len(dataset)}")
    parts = sampler.rank_batches(rank, world, start)
    memory = None
    if crop is not None:
        # While a process writes one, ``prefetch - 1`` are ready and two with the training.
        slots = (prefetch + 2) * processes if processes else 2
        memory = KeptMemory(slots, sampler.batch_size // world, crop, _START_METHOD if processes else "self")
    return _load(dataset, parts, processes, prefetch, memory)


def evaluation_batches(dataset: ShardDataset, batch_size: int) -> Iterator[Uint8Batch]:
    """Every sample once, in the table's order; the last batch may be smaller.

    Raises:
        DataError: while iterating: a sample cannot be read, with its shard and key.
    """
    requests = [SampleRequest(row, seed=row) for row in range(len(dataset))]
    batches = (requests[first : first + batch_size] for first in range(0, len(requests), batch_size))
    return _load(dataset, batches, processes=0, prefetch=1)


class _BatchDataset(Dataset["Uint8Batch | InMemory | UserError"]):
    """Whole batches, one a request. What the user can fix is handed over as a value:
    raised in a decoding process, its sentence would arrive buried in a traceback."""

    def __init__(self, dataset: ShardDataset, memory: KeptMemory | None) -> None:
        self._dataset = dataset
        self._memory = memory

    def __getitem__(self, requests: list[SampleRequest]) -> Uint8Batch | InMemory | UserError:
        try:
            if self._memory is not None:
                return self._memory.fill(self._dataset, requests)
            return collate([self._dataset[request] for request in requests])
        except UserError as error:
            return error


def _load(
    dataset: ShardDataset,
    batches: Iterable[list[SampleRequest]],
    processes: int,
    prefetch: int,
    memory: KeptMemory | None = None,
) -> Iterator[Uint8Batch]:
    loader: DataLoader[Uint8Batch | InMemory | UserError] = DataLoader(
        _BatchDataset(dataset, memory),
        batch_size=None,
        sampler=batches,
        num_workers=processes,
        prefetch_factor=prefetch if processes else None,
        multiprocessing_context=_START_METHOD if processes else None,
        worker_init_fn=_prepare_process,
        collate_fn=_as_it_is,
        # A generator of its own: the loader would otherwise draw from the training's random stream.
        generator=torch.Generator(),
    )
    if not processes:
        _keep_freed_memory()
    for batch in loader:
        if isinstance(batch, UserError):
            raise batch
        if isinstance(batch, InMemory):
            assert memory is not None
            yield memory.get(batch)
        else:
            yield batch


def _prepare_process(process: int) -> None:
    torch.set_num_threads(1)
    _keep_freed_memory()
    # A request to stop goes to the whole process group; the training process ends its decoders
    # itself, after the step it is at.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _keep_freed_memory() -> None:
    """Make the C library keep what images free, instead of giving it back and fetching fresh pages for the next.

    glibc keeps blocks as large as the largest it has seen freed, of 32 MiB at most; elsewhere this does nothing.
    """
    torch.empty(24 << 20, dtype=torch.uint8)  # freed at once, and never touched


def _as_it_is(batch: Any) -> Any:
    return batch
