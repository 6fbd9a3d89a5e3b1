"""Collectives between the workers of a training, on their CPUs (Gloo), so that no GPU waits for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist

from pipelines.data.shards.schema import SampleTable
from sgenet.training.checkpoint import on_host
from sgenet.training.state import TrainingState

T = TypeVar("T")


@dataclass(frozen=True)
class Ranks:
    """All workers, as one of them sees them.

    Attributes:
        rank, world: this one's number, and how many there are.
        group: over their CPUs; None for one alone.
    """

    rank: int = 0
    world: int = 1
    group: dist.ProcessGroup | None = None

    def any(self, mine: bool) -> bool:
        """Whether it is so on any of them. Every rank must call it, or none; so for all that follows."""
        if self.group is None:
            return mine
        answer = torch.tensor([int(mine)])
        dist.all_reduce(answer, dist.ReduceOp.MAX, group=self.group)
        return bool(answer.item())

    def gathered(self, mine: T) -> list[T]:
        """What each of them has, by rank."""
        if self.group is None:
            return [mine]
        found: list[Any] = [None] * self.world
        dist.all_gather_object(found, mine, group=self.group)
        return found

    def of_first(self, value: T) -> T:
        """What rank 0 has."""
        if self.group is None:
            return value
        carried = [value]
        dist.broadcast_object_list(carried, src=0, group=self.group)
        return carried[0]

    def part(self, table: SampleTable, batch_size: int) -> SampleTable:
        """This rank's samples: whole batches in turn, which are those of one worker alone."""
        return table.rows(np.flatnonzero(np.arange(len(table)) // batch_size % self.world == self.rank))

    def share_state(self, state: TrainingState) -> None:
        """Give all of them the state of rank 0, that alone has read it."""
        if self.group is None:
            return
        content = self.of_first(on_host(state.state_dict()) if self.rank == 0 else None)
        if self.rank:
            assert content is not None, "rank 0 has one"
            state.load_state_dict(content)


ALONE = Ranks()
"""One worker."""


def all_ranks(rank: int, world: int) -> Ranks:
    """Those of the process group that this process is in, if it is in one. Every rank must call it, or none."""
    if not dist.is_initialized():
        return Ranks(rank, world)
    group = dist.new_group(backend="gloo")
    assert isinstance(group, dist.ProcessGroup), "this rank is a member of the group of all ranks"
    return Ranks(rank, world, group)
