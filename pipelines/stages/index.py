"""Stage ``index``: every raw sample of a dataset, with the hashes of its files, as ``sources.parquet``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from pipelines.data.adapters.build import build_adapters, empty_splits
from pipelines.data.adapters.files import Adapter
from pipelines.data.adapters.samples import RawSample
from pipelines.data.shards.sources import SourceRow, examine, write_sources
from pipelines.parallel.parallel import parallel_map
from pipelines.settings.params import DataSettings
from sgenet.errors import DataError

_CHUNK = 32


def run(data: DataSettings, output: Path, workers: int | None = None, *, needed: Sequence[str] = ()) -> None:
    """Enumerate the samples of every source, hash their files, and write the table.

    A file that cannot be read is listed with the reason; the shards stage quarantines it.

    Args:
        output: the Parquet file to write.
        workers: processes; None takes every core. The result is the same for any number.
        needed: splits that must have a sample.

    Raises:
        DataError: a layout lacks something, names collide, or a needed split is empty.
    """
    adapters = dict(build_adapters(data))
    samples = [sample for adapter in adapters.values() for sample in adapter.samples()]
    _check_keys(samples)
    counts = Counter(sample.split for sample in samples)
    empty = empty_splits(counts, needed, data)
    if empty:
        raise DataError("; and ".join(empty))
    chunks = [samples[first : first + _CHUNK] for first in range(0, len(samples), _CHUNK)]
    examined = parallel_map(partial(_examine_all, adapters=adapters), chunks, workers, "hashing raw samples")
    write_sources(output, [row for rows in examined for row in rows])
    print(f"{output}: " + ", ".join(f"{number:,} {split}" for split, number in sorted(counts.items())) + " images")


def _examine_all(samples: Sequence[RawSample], adapters: Mapping[str, Adapter]) -> list[SourceRow]:
    return [examine(sample, adapters[sample.source]) for sample in samples]


def _check_keys(samples: Sequence[RawSample]) -> None:
    if not samples:
        raise DataError("the dataset's sources hold no samples at all; check data.sources")
    counts = Counter(sample.key for sample in samples)
    key, count = counts.most_common(1)[0]
    if count > 1:
        paths = [f"{sample.storage}/{sample.image_path}" for sample in samples if sample.key == key]
        raise DataError(f"duplicate names: {' and '.join(paths)} all have the key '{key}'; rename them")
