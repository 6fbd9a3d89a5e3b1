"""A look at a folder of photographs: what a dataset made of them can be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from pipelines.data.adapters.files import FoundFile, find_images, find_labels
from pipelines.data.adapters.samples import hashed_split, sample_key, some
from pipelines.data.shards.decode_raw import decode_ids
from pipelines.storage.store import join, open_storage
from sgenet.errors import DataError
from sgenet.label_space import IGNORE_ID

_MOST_LABELS_READ = 500
"""Ids that none of so many label maps holds are rare; the index stage names them."""

_VAL_IMAGES = 12
"""Fewer say little about a method."""


@dataclass(frozen=True)
class Survey:
    """What a folder of images and one of label maps hold.

    Attributes:
        keys: of the images, one each.
        sides: the shorter side of each image in pixels.
        class_ids: the ids that the label maps hold, sorted, without *ignore*; empty without label maps.
    """

    root: Path
    label_root: Path | None
    keys: Sequence[str]
    sides: Sequence[int]
    class_ids: Sequence[int]

    @property
    def val_ratio(self) -> float:
        """The share to hold out: a tenth, of few images more, never more than three tenths."""
        return round(min(0.3, max(0.1, _VAL_IMAGES / len(self.keys))), 2)

    @property
    def num_val(self) -> int:
        """How many images that share holds out: membership follows from the hash of the key."""
        return sum(hashed_split(key, self.val_ratio) == "val" for key in self.keys)


def survey(folder: Path, labels: Path | None = None) -> Survey:
    """Look at the images of a folder, and at their label maps.

    Args:
        folder: of images at any depth; or with the folders ``images`` and ``labels``.
        labels: folder of label maps, ``<labels>/a/b.png`` for ``<folder>/a/b.jpg``.

    Raises:
        DataError: there is no image, one cannot be read, or some but not all have a label map.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder; name the folder that holds the images")
    if labels is None and (folder / "images").is_dir() and (folder / "labels").is_dir():
        folder, labels = folder / "images", folder / "labels"
    images, label_files = find_images(open_storage(str(folder))), {}
    if labels is not None:
        if not labels.is_dir():
            raise DataError(f"{labels} is no folder; name the folder that holds the label maps")
        label_files = find_labels(open_storage(str(labels)))
        taken = {join(str(labels), path) for path in label_files.values()}
        images = [image for image in images if join(str(folder), image.path) not in taken]
    if not images:
        raise DataError(f"{folder} holds no image (jpg, png, webp, bmp or tiff); name the folder that holds them")
    if labels is not None:
        _check_labelled(images, label_files, labels)
    paths = [labels / path for path in label_files.values()] if labels is not None else []
    return Survey(
        root=folder,
        label_root=labels,
        keys=[sample_key(image.stem) for image in images],
        sides=[_shorter_side(folder / image.path) for image in images],
        class_ids=_class_ids(paths[:: max(1, len(paths) // _MOST_LABELS_READ)]),
    )


def _check_labelled(images: Sequence[FoundFile], labels: dict[str, str], folder: Path) -> None:
    lonely = [image.path for image in images if image.stem not in labels]
    if lonely:
        raise DataError(
            f"{len(lonely)} of {len(images)} images have no label map of the same name in {folder}: {some(lonely)}; "
            "move them to a folder of their own and name that one with --unlabelled"
        )


def _shorter_side(path: Path) -> int:
    try:
        with Image.open(path) as image:
            return min(image.size)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} cannot be read as an image ({error}); repair or remove it") from None


def _class_ids(paths: Sequence[Path]) -> list[int]:
    found: set[int] = set()
    for path in paths:
        try:
            found.update(np.unique(decode_ids(path.read_bytes())).tolist())
        except (DataError, OSError) as error:
            raise DataError(f"{path} cannot be read as a label map ({error}); repair or remove it") from None
    return sorted(found - {IGNORE_ID})
