"""Keeps the shards of the window that a training is in, and of the next one, on its node."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pipelines.data.shards.fetcher import FetcherProcess
from pipelines.data.shards.publish import PublishedShards
from pipelines.data.shards.sampler import GlobalBatchSampler
from pipelines.data.shards.schema import SampleTable


class WindowsAhead:
    """Follows a training through its windows: those behind it are let go, and the next one is fetched ahead.

    Start it where processes may be forked: before threads are at work.

    Args:
        table, order: the samples that the training reads, and in which order.
        always: names and sizes of shards that it reads all the time, such as those it is validated on.
        capacity: of the cache in bytes.
        say: told what keeps a shard from being cached, and when a cached one was damaged.
    """

    def __init__(
        self,
        shards: PublishedShards,
        table: SampleTable,
        order: GlobalBatchSampler,
        always: Mapping[str, int],
        capacity: int,
        say: Callable[[str], None],
    ) -> None:
        self._shards = shards
        self._table = table
        self._order = order
        self._always = always
        self._capacity = capacity
        self._say = say
        self._end = -1
        self._process: FetcherProcess | None = None

    def move_to(self, number: int) -> None:
        """The training is at this global batch."""
        if self._process is not None:
            self._process.pass_on(self._say)
        if number * self._order.batch_size < self._end:
            return
        window = self._order.window_of(number)
        self._end = window.first + window.size
        try:
            now, following = (
                self._table.files_of(each.shards.tolist()) for each in (window, self._order.window_after(window))
            )
            self._shards.lease({**self._always, **now}, following)
            if self._process is None:
                self._process = FetcherProcess(self._shards.cache.folder, self._capacity)
        except OSError as error:
            self._say(
                f"no more shards are cached in {self._shards.cache.folder} ({error.strerror}); samples of others are "
                "read from the storage one by one"
            )

    def close(self) -> None:
        """Stop the fetcher and release the lease."""
        if self._process is not None:
            # First: it looks a last time for copies that vanished of what is leased.
            self._process.stop(self._say)
        self._shards.cache.release()
