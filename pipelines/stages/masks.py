"""Stage ``masks``: the fixed evaluation masks, one a sample and set, hashed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from pipelines.data.evaluation_masks import DrawnMask, MaskSet, write_mask_sets
from pipelines.data.shards.index import open_index
from pipelines.settings.params import DataSettings, EvaluationMaskSettings, EvaluationSettings, MaskSettings
from pipelines.storage.files import publish_folder
from sgenet.errors import DataError
from sgenet.evaluation.strata import hole_ratio_bin, ratio_bins
from sgenet.mask_files import MaskFolder, hole_ratio
from sgenet.masks import HoleDrawer


def run(masks: MaskSettings, evaluation: EvaluationSettings, data: DataSettings, shards: Path, output: Path) -> None:
    """Draw and store every evaluation mask set for the samples of the evaluation split.

    A mask depends on its set's settings and seed and on its sample's key alone; for mask files
    also on the sample's position in the index, because the samples take turns through the
    hole-ratio bins so that each bin is equally present.

    Args:
        shards: folder of shards with their index.
        output: folder to write; see :mod:`pipelines.data.evaluation_masks`.

    Raises:
        DataError: where a folder of mask files is missing, inverted, or leaves a bin empty.
    """
    keys = [str(key) for key in open_index(shards).of_split(evaluation.split).keys]
    sets = [
        MaskSet(settings.name, _draw(settings, keys, data.crop, masks.ratio_bins), _origin(settings))
        for settings in masks.evaluation
    ]
    with publish_folder(output) as folder:
        write_mask_sets(folder, sets, data.crop, data.crop, masks.ratio_bins)
    print(f"{output}: {len(keys):,} masks in each of {', '.join(found.name for found in sets)}")


def sample_rng(seed: int, key: str) -> np.random.Generator:
    """The random stream of one sample's mask: a function of the set's seed and the sample's key alone."""
    digest = hashlib.sha256(f"{seed}:{key}".encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))


def _draw(
    settings: EvaluationMaskSettings, keys: Sequence[str], crop: int, edges: Sequence[float]
) -> Iterator[DrawnMask]:
    if settings.hole.kind == "files":
        assert settings.hole.path is not None
        folder = MaskFolder.open(Path(settings.hole.path), settings.hole.white_is_hole)
        yield from _choose_files(folder, settings.seed, keys, crop, edges)
        return
    drawer = HoleDrawer([settings.hole], crop, crop)
    for key in keys:
        yield DrawnMask(key, drawer(sample_rng(settings.seed, key)))


def _choose_files(
    folder: MaskFolder, seed: int, keys: Sequence[str], crop: int, edges: Sequence[float]
) -> Iterator[DrawnMask]:
    """Take the bins in turn, and within a bin a file by the sample's own random stream."""
    bins = _files_of_bins(folder, crop, edges)
    for position, key in enumerate(keys):
        files = bins[position % len(bins)]
        chosen = files[int(sample_rng(seed, key).integers(len(files)))]
        yield DrawnMask(key, folder.read(chosen, crop, crop), folder.names[chosen])


def _files_of_bins(folder: MaskFolder, crop: int, edges: Sequence[float]) -> list[list[int]]:
    """Positions in the folder of each bin's files, by the ratio measured at the size that is used."""
    bins: dict[str, list[int]] = {name: [] for name in ratio_bins(edges)[1:-1]}
    for index in range(len(folder)):
        name = hole_ratio_bin(hole_ratio(folder.read(index, crop, crop)), edges)
        if name in bins:
            bins[name].append(index)
    empty = [name for name, files in bins.items() if not files]
    if empty:
        raise DataError(
            f"the mask folder {folder.folder} has no masks with a hole ratio of {', '.join(empty)}; "
            "add such masks or change ratio_bins"
        )
    return list(bins.values())


def _origin(settings: EvaluationMaskSettings) -> dict[str, str | int | bool | None]:
    """What the manifest says of a set; no folder, so that the same masks give the same bytes anywhere."""
    hole = settings.hole
    origin: dict[str, str | int | bool | None] = {"kind": hole.kind, "seed": settings.seed}
    if hole.kind == "centre":
        origin["size"] = hole.size
    if hole.kind == "files":
        origin["white_is_hole"] = hole.white_is_hole
    return origin
