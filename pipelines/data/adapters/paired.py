"""The layout of several small datasets: a folder of images and one of label maps for each split.

=====================  ==============================================================================================
CamVid                 frames from a car, in the split and the 11 classes of SegNet (Badrinarayanan et al., 2017)
MSRC v2                photographs of Microsoft Research Cambridge, labelled in the classes of Outdoor Scenes
Outdoor Scenes         mixed scenes in 8 classes (OutdoorScene of Wang et al., CVPR 2018), see :func:`outdoor_scenes`
Stanford Background    outdoor photographs in 8 classes (Gould et al., ICCV 2009)
=====================  ==============================================================================================

Their own ids are as in ``label_space.CAMVID``, ``OUTDOOR_SCENES`` and ``STANFORD_BACKGROUND``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from pipelines.data.adapters.files import Adapter, file_adapter, find_images, find_labels, paired_labels, refuse_missing
from pipelines.data.adapters.samples import RawSample, sample_key
from pipelines.settings.sources import CamvidSource, FileSource, OutdoorScenesSource
from pipelines.storage.store import Storage
from sgenet.label_space import IGNORE_ID


@dataclass(frozen=True)
class PairedFolders:
    """Where the images and the label maps of a split are, relative to the source's root.

    Attributes:
        instead: the folders of the split where ``images`` holds none and these hold some.
    """

    split: str
    images: str
    labels: str
    instead: PairedFolders | None = None


_IMAGES_AND_LABELS = tuple(PairedFolders(split, f"images/{split}", f"labels/{split}") for split in ("train", "val"))
_OUTDOOR_TEST = PairedFolders("val", "test/images", "test/labels")
_OUTDOOR_SCENES = (
    PairedFolders("train", "train/images", "train/labels"),
    PairedFolders("val", "val/images", "val/labels", instead=_OUTDOOR_TEST),
)


def paired(
    settings: FileSource,
    num_classes: int,
    folders: tuple[PairedFolders, ...] = _IMAGES_AND_LABELS,
    own_ids: Mapping[int, int] | None = None,
) -> Adapter:
    """An adapter over folders of images and of label maps of the same names; for ``own_ids`` see LabelMap."""
    return file_adapter(settings, num_classes, partial(_find, folders, settings.adapter), own_ids)


def camvid(settings: CamvidSource, num_classes: int) -> Adapter:
    """The adapter of CamVid, whose label maps leave pixels unlabelled as 11."""
    return paired(settings, num_classes, own_ids={11: IGNORE_ID})


def outdoor_scenes(settings: OutdoorScenesSource, num_classes: int) -> Adapter:
    """The adapter of Outdoor Scenes: ``{train,val}/{images,labels}/…``, with 8 for pixels outside any class.

    Where there is no ``val``, the 300 labelled test images in ``test`` are it. Folders below (one a category, as in
    the original archive) may stay.
    """
    return paired(settings, num_classes, _OUTDOOR_SCENES, own_ids={8: IGNORE_ID})


def _find(folders: tuple[PairedFolders, ...], source: str, storage: Storage) -> list[RawSample]:
    """The samples of all splits.

    Raises:
        DataError: naming the folders without files, or the images without a label map.
    """
    missing, found = [], []
    for split in folders:
        images = find_images(storage, split.images)
        if not images and split.instead is not None and (others := find_images(storage, split.instead.images)):
            split, images = split.instead, others
        labels = find_labels(storage, split.labels)
        missing += [] if images else [f"images in {split.images}"]
        missing += [] if labels else [f"label PNGs in {split.labels}"]
        found.append((split.split, images, labels))
    refuse_missing(storage, source, missing)
    return [
        RawSample(sample_key(image.stem), split, image.path, label_path, source, storage.address)
        for split, images, labels in found
        for image, label_path in zip(images, paired_labels(source, images, labels), strict=True)
    ]
