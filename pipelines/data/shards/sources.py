"""``sources.parquet``: every raw sample of a dataset and the hashes of its files.

SHA-256 says what a file held, in the index of the shards too. Whether it still holds it when it is read again is told
by its size and CRC-32, which overlooks one accident in four billion and takes a thirtieth of the time.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.data.adapters.files import Adapter
from pipelines.data.adapters.samples import RawSample
from pipelines.data.shards.index import write_table
from sgenet.errors import DataError

SOURCES_SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("storage", pa.string(), nullable=False),
        pa.field("image_path", pa.string(), nullable=False),
        pa.field("label_path", pa.string()),
        pa.field("image_sha256", pa.string()),
        pa.field("label_sha256", pa.string()),
        pa.field("image_crc32", pa.uint32()),
        pa.field("label_crc32", pa.uint32()),
        pa.field("image_bytes", pa.int64()),
        pa.field("reason", pa.string()),
    ]
)


@dataclass(frozen=True)
class SourceRow:
    """One raw sample and what its files held when they were indexed; where they cannot be read, the reason alone."""

    sample: RawSample
    image_sha256: str | None = None
    label_sha256: str | None = None
    image_crc32: int | None = None
    label_crc32: int | None = None
    image_bytes: int | None = None
    reason: str | None = None


def examine(sample: RawSample, adapter: Adapter) -> SourceRow:
    """Read and hash a sample's files. What cannot be read is recorded with its reason, not raised."""
    try:
        image, label = adapter.read_image(sample), adapter.read_label(sample)
    except (DataError, OSError) as error:
        return SourceRow(sample, reason=f"cannot be read: {error}")
    return SourceRow(sample, _sha256(image), _sha256(label), _crc32(image), _crc32(label), len(image))


def read_unchanged(row: SourceRow, adapter: Adapter) -> tuple[bytes, bytes | None]:
    """Read a sample's image and, where there is one, its label again.

    Raises:
        DataError: they are not what was indexed.
    """
    sample = row.sample
    try:
        image, label = adapter.read_image(sample), adapter.read_label(sample)
    except (DataError, OSError) as error:
        raise DataError(
            f"{sample.image_path} could be read when it was indexed and now cannot be ({error}); "
            "run the index stage again"
        ) from error
    if (len(image), _crc32(image), _crc32(label)) != (row.image_bytes, row.image_crc32, row.label_crc32):
        raise DataError(f"{sample.image_path} or its label changed since it was indexed; run the index stage again")
    return image, label


def write_sources(path: Path, rows: Sequence[SourceRow]) -> None:
    """Write the table in the order of split and key: the same bytes for the same files."""
    flat = [asdict(row) for row in sorted(rows, key=lambda row: (row.sample.split, row.sample.key))]
    write_table(path, pa.Table.from_pylist([row.pop("sample") | row for row in flat], schema=SOURCES_SCHEMA))


def read_sources(path: Path) -> list[SourceRow]:
    """Read the table.

    Raises:
        DataError: it does not exist or is not such a table.
    """
    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; run the index stage first") from None
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read ({error}); run the index stage again") from error
    if table.schema != SOURCES_SCHEMA:
        raise DataError(f"{path} was not written by this version of the index stage; run it again")
    return [_row(values) for values in table.to_pylist()]


def _row(values: dict[str, str | int | None]) -> SourceRow:
    sample_fields = RawSample.__dataclass_fields__
    sample = RawSample(**{name: values.pop(name) for name in sample_fields})  # type: ignore[arg-type]
    return SourceRow(sample, **values)  # type: ignore[arg-type]


def _sha256(content: bytes | None) -> str | None:
    return None if content is None else hashlib.sha256(content).hexdigest()


def _crc32(content: bytes | None) -> int | None:
    return None if content is None else zlib.crc32(content)
