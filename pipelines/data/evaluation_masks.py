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
    """The mask of the sample of a key.

    Attributes:
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


def write_mask_sets(folder: Path, sets: Sequence[MaskSet], height: int, width: int, edges: Sequence[float]) -> None:
    """Fill an empty folder with mask sets; the same sets give the same bytes.

    Args:
        height, width: of every mask, in pixels.
        edges: bounds of the hole-ratio bins.
    """
    table, described = [], []
    for mask_set in sets:
        rows = _write_bits(folder, mask_set, edges)
        table += rows
        counts = Counter(row["bin"] for row in rows)
        described.append(
            {
                "name": mask_set.name,
                "origin": dict(mask_set.origin),
                "num_masks": len(rows),
                "masks_per_bin": {name: counts[name] for name in ratio_bins(edges) if counts[name]},
                "sha256": sha256_of_file(folder / f"{mask_set.name}.npy"),
            }
        )
    pq.write_table(pa.Table.from_pylist(table, schema=_TABLE_SCHEMA), folder / TABLE_NAME)
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "polarity": "1 = missing",
        "height": height,
        "width": width,
        "ratio_bins": list(edges),
        "sets": described,
        "digest": _digest(table, height, width),
    }
    (folder / MANIFEST_NAME).write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


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
    _bits: dict[str, npt.NDArray[np.uint8]]
    _places: dict[str, dict[str, tuple[int, str]]]
    """Of each set and key the position in the set and the SHA-256 of the packed bits."""

    @property
    def sets(self) -> tuple[str, ...]:
        """Names of the sets, in the order of the settings."""
        return tuple(self._bits)

    def mask(self, mask_set: str, key: str) -> Mask:
        """The mask of one sample: (H, W) uint8 of 0 and 1, 1 = missing.

        Raises:
            DataError: there is no such set, it has no mask for this sample, or that is not the one that was written.
        """
        if mask_set not in self._places:
            raise DataError(
                f"{self.folder} has no mask set '{mask_set}', it has {', '.join(self.sets)}; "
                f"correct the name or {_REMEDY}"
            )
        if key not in self._places[mask_set]:
            raise DataError(f"the mask set '{mask_set}' in {self.folder} has no mask for the sample '{key}'; {_REMEDY}")
        position, sha256 = self._places[mask_set][key]
        packed = np.asarray(self._bits[mask_set][position])
        if hashlib.sha256(packed.tobytes()).hexdigest() != sha256:
            raise DataError(
                f"the mask of '{key}' in {self.folder / mask_set}.npy was changed after it was written; {_REMEDY}"
            )
        return np.unpackbits(packed, count=self.height * self.width).reshape(self.height, self.width)


def load_evaluation_masks(folder: Path) -> EvaluationMasks:
    """Open a folder of evaluation masks; each mask is read when it is asked for.

    Raises:
        DataError: where the folder is incomplete, of another version, or does not match its digest.
    """
    try:
        manifest = json.loads((folder / MANIFEST_NAME).read_text(encoding="utf-8"))
        version = manifest["schema_version"]
        if version != SCHEMA_VERSION:
            raise DataError(
                f"{folder / MANIFEST_NAME} is of version {version}, this code reads version {SCHEMA_VERSION}; {_REMEDY}"
            )
        height, width = int(manifest["height"]), int(manifest["width"])
        edges = tuple(float(edge) for edge in manifest["ratio_bins"])
        digest = str(manifest["digest"])
        table = pq.read_table(folder / TABLE_NAME, schema=_TABLE_SCHEMA).to_pylist()
        places: dict[str, dict[str, tuple[int, str]]] = {str(entry["name"]): {} for entry in manifest["sets"]}
        for row in table:
            places[row["set"]][row["key"]] = len(places[row["set"]]), row["sha256"]
        bits = {name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in places}
    except FileNotFoundError as error:
        raise DataError(f"the evaluation masks in {folder} are incomplete ({error}); {_REMEDY}") from None
    except (OSError, KeyError, TypeError, ValueError, pa.ArrowException) as error:
        raise DataError(f"the evaluation masks in {folder} are damaged ({error}); {_REMEDY}") from None
    row_size = -(-height * width // 8)
    shapes_match = all(bits[name].shape == (len(keys), row_size) for name, keys in places.items())
    if not shapes_match or _digest(table, height, width) != digest:
        raise DataError(f"the evaluation masks in {folder} do not match their manifest; {_REMEDY}")
    return EvaluationMasks(folder, height, width, edges, digest, bits, places)


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


def _write_bits(folder: Path, mask_set: MaskSet, edges: Sequence[float]) -> list[dict[str, Any]]:
    """Write the masks of a set; their rows of the table, with the hole ratio measured on each mask as stored."""
    rows: list[dict[str, Any]] = []
    packed: list[npt.NDArray[np.uint8]] = []
    for drawn in mask_set.masks:
        bits = np.packbits(drawn.hole_mask)
        ratio = hole_ratio(drawn.hole_mask)
        rows.append(
            {
                "set": mask_set.name,
                "key": drawn.key,
                "ratio": ratio,
                "bin": hole_ratio_bin(ratio, edges),
                "source": drawn.source,
                "sha256": hashlib.sha256(bits.tobytes()).hexdigest(),
            }
        )
        packed.append(bits)
    np.save(folder / f"{mask_set.name}.npy", np.stack(packed), allow_pickle=False)
    return rows


def _digest(table: Sequence[Mapping[str, Any]], height: int, width: int) -> str:
    """A hash of what the masks are, not of how the files store them: another Parquet version gives the same digest."""
    digest = hashlib.sha256(f"{height}×{width}\n".encode())
    for row in table:
        digest.update(json.dumps([row["set"], row["key"], row["sha256"]]).encode() + b"\n")
    return digest.hexdigest()
