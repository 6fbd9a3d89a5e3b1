"""Memory for batches that is used again in turn: fresh memory, above all shared memory, costs more than filling it."""

from __future__ import annotations

import math
import mmap
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import get_worker_info

from pipelines.data.shards.reader import ShardDataset
from pipelines.data.shards.sampler import SampleRequest
from sgenet.batch import Uint8Batch

Writers = Literal["self", "fork", "spawn"]


class InMemory(NamedTuple):
    """Where a batch lies, which is all that goes from a decoding process to the training.

    Attributes:
        slot: number in the memory.
        keys: of its samples.
    """

    slot: int
    keys: tuple[str, ...]


class KeptMemory:
    """Places for batches of one size, made before decoding processes are: these write, the training reads.

    Each of the processes has an equal part of the slots and takes them in turn. It is never more ahead of the
    training than the loader allows, which is what the number of slots has to cover.

    Args:
        slots: how many batches there is room for, a multiple of the number of processes.
        batch_size: samples of each.
        side: of every sample, in pixels.
        writers: ``self`` where the training writes itself, else how the decoding processes are started.
    """

    def __init__(self, slots: int, batch_size: int, side: int, writers: Writers) -> None:
        shapes = (
            (slots, batch_size, 3, side, side),
            (slots, batch_size, 1, side, side),
            (slots, batch_size, side, side),
        )
        self._tensors = tuple(_memory(shape, writers) for shape in shapes)
        self._slots = slots
        self._written = 0

    def fill(self, dataset: ShardDataset, requests: Sequence[SampleRequest]) -> InMemory:
        """Read a batch to this process's next slot.

        Raises:
            DataError: a sample cannot be read, with its shard and key.
        """
        info = get_worker_info()
        process, processes = (0, 1) if info is None else (info.id, info.num_workers)
        slot = process + processes * (self._written % (self._slots // processes))
        self._written += 1
        images, hole_masks, labels = (tensor[slot].numpy() for tensor in self._tensors)
        places = zip(images, hole_masks, labels, strict=True)
        keys = [dataset.read_to(place, request) for place, request in zip(places, requests, strict=True)]
        return InMemory(slot, tuple(keys))

    def get(self, place: InMemory) -> Uint8Batch:
        """The batch that lies there, without a copy."""
        image, hole_mask, label = (tensor[place.slot] for tensor in self._tensors)
        return Uint8Batch(image, hole_mask, label, place.keys)


def _memory(shape: tuple[int, ...], writers: Writers) -> Tensor:
    match writers:
        case "self":
            return torch.empty(shape, dtype=torch.uint8)
        case "fork":
            # Inherited, with no name: /dev/shm, of which a container has 64 MiB unless told otherwise, is not needed.
            return torch.frombuffer(mmap.mmap(-1, math.prod(shape)), dtype=torch.uint8).view(shape)
        case "spawn":
            shared: Tensor = torch.empty(shape, dtype=torch.uint8).share_memory_()  # type: ignore[no-untyped-call]
            return shared
