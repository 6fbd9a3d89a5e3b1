"""The fixed evaluation masks on disk: one packed array a set, one table of all masks, a manifest written last.

=====================  ============================================================================
``<set>.npy``          (N, ⌈H·W/8⌉) uint8: a mask a row, its bits in reading order, 1 = missing
``masks.parquet``      one row a mask: set, key, ratio, bin, source, sha256 of its packed bits
``manifest.json``      sizes, bins, what each set was drawn from, and the digest of everything
=====================  ============================================================================
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.storage.files import sha256_of_file
from sgenet.errors import DataError
from sgenet.evaluation.strata import hole_ratio_bin, ratio_bins
from sgenet.mask_files import Mask, hole_ratio

SCHEMA_VERSION = 1
TABLE_NAME = "masks.parquet"
MANIFEST_NAME = "manifest.json"
_REMEDY = "run the masks stage again"


@dataclass(frozen=True)
class DrawnMask:
    """The mask of one sample.

    Attributes:
        key: of the sample.
        hole_mask: (H, W) uint8 of 0 and 1, 1 = missing.
        source: the mask file's path below its folder; None for a mask that was drawn.
    """

    key: str
    hole_mask: Mask
    source: str | None = None


@dataclass(frozen=True)
class MaskSet:
    """A named set of masks in sample order, and what the manifest says about its origin."""

    name: str
    masks: Iterable[DrawnMask]
    origin: Mapping[str, str | int | bool | None]


@dataclass(frozen=True)
class MaskRow:
    """What the table says about one mask.

    Attributes:
        key: of the sample.
        ratio: share of missing pixels, measured on the mask as stored.
        ratio_bin: the bin's name, as :func:`sgenet.evaluation.strata.hole_ratio_bin` gives it.
        source: the mask file's path below its folder; None for a mask that was drawn.
        sha256: of the packed bits.
    """

    key: str
    ratio: float
    ratio_bin: str
    source: str | None
    sha256: str


def write_mask_sets(
    folder: Path, sets: Sequence[MaskSet], height: int, width: int, edges: Sequence[float]
) -> dict[str, tuple[MaskRow, ...]]:
    """Fill an empty folder with mask sets; the same sets give the same bytes.

    Args:
        height, width: of every mask, in pixels.
        edges: bounds of the hole-ratio bins.
    """
    tables = {mask_set.name: _write_bits(folder, mask_set, edges) for mask_set in sets}
    _write_table(folder, tables)
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "polarity": "1 = missing",
        "height": height,
        "width": width,
        "ratio_bins": list(edges),
        "sets": [
            {
                "name": mask_set.name,
                "origin": dict(mask_set.origin),
                "num_masks": len(tables[mask_set.name]),
                "masks_per_bin": _count_bins(tables[mask_set.name], edges),
                "sha256": sha256_of_file(folder / f"{mask_set.name}.npy"),
            }
            for mask_set in sets
        ],
        "digest": _digest(tables, height, width),
    }
    (folder / MANIFEST_NAME).write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return tables


@dataclass(frozen=True)
class EvaluationMasks:
    """The mask sets of one dataset, read from the folder that the masks stage wrote.

    Attributes:
        folder: where they lie.
        height, width: of every mask, in pixels.
        ratio_bins: bounds of the hole-ratio bins.
        digest: identifies all masks and which sample each belongs to.
    """

    folder: Path
    height: int
    width: int
    ratio_bins: tuple[float, ...]
    digest: str
    _tables: dict[str, tuple[MaskRow, ...]]
    _bits: dict[str, npt.NDArray[np.uint8]]
    _positions: dict[str, dict[str, int]]

    @property
    def sets(self) -> tuple[str, ...]:
        """Names of the sets, in the order of the settings."""
        return tuple(self._tables)

    def table(self, mask_set: str) -> tuple[MaskRow, ...]:
        """What is known of each mask of a set, in sample order.

        Raises:
            DataError: there is no such set.
        """
        if mask_set not in self._tables:
            raise DataError(
                f"{self.folder} has no mask set '{mask_set}', it has {', '.join(self.sets)}; "
                f"correct the name or {_REMEDY}"
            )
        return self._tables[mask_set]

    def row(self, mask_set: str, key: str) -> MaskRow:
        """What is known of the mask of one sample.

        Raises:
            DataError: there is no such set, or it has no mask for this sample.
        """
        rows = self.table(mask_set)
        if key not in self._positions[mask_set]:
            raise DataError(f"the mask set '{mask_set}' in {self.folder} has no mask for the sample '{key}'; {_REMEDY}")
        return rows[self._positions[mask_set][key]]

    def mask(self, mask_set: str, key: str) -> Mask:
        """The mask of one sample: (H, W) uint8 of 0 and 1, 1 = missing.

        Raises:
            DataError: there is none, or it is not the one that was written.
        """
        row = self.row(mask_set, key)
        packed = np.asarray(self._bits[mask_set][self._positions[mask_set][key]])
        if hashlib.sha256(packed.tobytes()).hexdigest() != row.sha256:
            raise DataError(
                f"the mask of '{key}' in {self.folder / mask_set}.npy was changed after it was written; {_REMEDY}"
            )
        return np.unpackbits(packed, count=self.height * self.width).reshape(self.height, self.width)


def load_evaluation_masks(folder: Path) -> EvaluationMasks:
    """Open a folder of evaluation masks; each mask is read when it is asked for.

    Raises:
        DataError: where the folder is incomplete, of another version, or does not match its digest.
    """
    manifest = _read_manifest(folder)
    try:
        height, width = int(manifest["height"]), int(manifest["width"])
        tables = _read_table(folder, [str(entry["name"]) for entry in manifest["sets"]])
        bits = {name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in tables}
        edges = tuple(float(edge) for edge in manifest["ratio_bins"])
        digest = str(manifest["digest"])
    except (OSError, KeyError, TypeError, ValueError, pa.ArrowException) as error:
        raise DataError(f"the evaluation masks in {folder} are damaged ({error}); {_REMEDY}") from None
    row_size = -(-height * width // 8)
    shapes_match = all(bits[name].shape == (len(rows), row_size) for name, rows in tables.items())
    if not shapes_match or _digest(tables, height, width) != digest:
        raise DataError(f"the evaluation masks in {folder} do not match their manifest; {_REMEDY}")
    positions = {name: {row.key: position for position, row in enumerate(rows)} for name, rows in tables.items()}
    return EvaluationMasks(folder, height, width, edges, digest, tables, bits, positions)


def _write_bits(folder: Path, mask_set: MaskSet, edges: Sequence[float]) -> tuple[MaskRow, ...]:
    rows: list[MaskRow] = []
    packed: list[npt.NDArray[np.uint8]] = []
    for drawn in mask_set.masks:
        bits = np.packbits(drawn.hole_mask)
        ratio = hole_ratio(drawn.hole_mask)
        sha256 = hashlib.sha256(bits.tobytes()).hexdigest()
        rows.append(MaskRow(drawn.key, ratio, hole_ratio_bin(ratio, edges), drawn.source, sha256))
        packed.append(bits)
    np.save(folder / f"{mask_set.name}.npy", np.stack(packed), allow_pickle=False)
    return tuple(rows)


_TABLE_SCHEMA = pa.schema(
    [
        ("set", pa.string()),
        ("key", pa.string()),
        ("ratio", pa.float64()),
        ("bin", pa.string()),
        ("source", pa.string()),
        ("sha256", pa.string()),
    ]
)


def _write_table(folder: Path, tables: Mapping[str, Sequence[MaskRow]]) -> None:
    records = [
        {
            "set": name,
            "key": row.key,
            "ratio": row.ratio,
            "bin": row.ratio_bin,
            "source": row.source,
            "sha256": row.sha256,
        }
        for name, rows in tables.items()
        for row in rows
    ]
    pq.write_table(pa.Table.from_pylist(records, schema=_TABLE_SCHEMA), folder / TABLE_NAME)


def _read_table(folder: Path, names: Sequence[str]) -> dict[str, tuple[MaskRow, ...]]:
    rows: dict[str, list[MaskRow]] = {name: [] for name in names}
    for record in pq.read_table(folder / TABLE_NAME, schema=_TABLE_SCHEMA).to_pylist():
        rows[record["set"]].append(
            MaskRow(record["key"], record["ratio"], record["bin"], record["source"], record["sha256"])
        )
    return {name: tuple(found) for name, found in rows.items()}


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST_NAME
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path} does not exist, so the evaluation masks are incomplete; {_REMEDY}") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}); {_REMEDY}") from None
    if not isinstance(manifest, dict):
        raise DataError(f"{path} is not a manifest; {_REMEDY}")
    version = manifest.get("schema_version")
    if version != SCHEMA_VERSION:
        raise DataError(f"{path} is of version {version}, this code reads version {SCHEMA_VERSION}; {_REMEDY}")
    return manifest


def _count_bins(rows: Sequence[MaskRow], edges: Sequence[float]) -> dict[str, int]:
    counts = Counter(row.ratio_bin for row in rows)
    return {name: counts[name] for name in ratio_bins(edges) if counts[name]}


def _digest(tables: Mapping[str, Sequence[MaskRow]], height: int, width: int) -> str:
    """A hash of what the masks are, not of how the files store them: another Parquet version gives the same digest."""
    digest = hashlib.sha256(f"{height}×{width}\n".encode())
    for name, rows in tables.items():
        for row in rows:
            digest.update(json.dumps([name, row.key, row.sha256]).encode() + b"\n")
    return digest.hexdigest()
