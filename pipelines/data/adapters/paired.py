"""The layout of several small datasets: a folder of images and one of label maps for each split.

=====================  ==============================================================================================
CamVid                 frames from a car, in the split and the 11 classes of SegNet (Badrinarayanan et al., 2017)
MSRC v2                photographs of Microsoft Research Cambridge, labelled in the classes of Outdoor Scenes
Stanford Background    outdoor photographs in 8 classes (Gould et al., ICCV 2009)
=====================  ==============================================================================================

Their own ids are as in ``label_space.CAMVID``, ``OUTDOOR_SCENES`` and ``STANFORD_BACKGROUND``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from pipelines.data.adapters.files import FileAdapter, find_images, find_labels, paired_labels, refuse_missing
from pipelines.data.adapters.labels import LabelMap
from pipelines.data.adapters.samples import RawSample, sample_key
from pipelines.settings.sources import CamvidSource, FileSource
from pipelines.storage.store import Storage, open_storage
from sgenet.label_space import IGNORE_ID


@dataclass(frozen=True)
class PairedFolders:
    """Where the images and the label maps of a split are, relative to the source's root."""

    split: str
    images: str
    labels: str


_IMAGES_AND_LABELS = (
    PairedFolders("train", "images/train", "labels/train"),
    PairedFolders("val", "images/val", "labels/val"),
)


def paired(settings: FileSource, num_classes: int, own_ids: Mapping[int, int] | None = None) -> FileAdapter:
    """An adapter over ``{images,labels}/{train,val}/<name>.{jpg,png}``; for ``own_ids`` see LabelMap."""
    storage = open_storage(settings.root)
    label_map = LabelMap(settings.adapter, num_classes, own_ids, settings.class_map)
    return FileAdapter(storage, storage, label_map, partial(find_pairs, storage, _IMAGES_AND_LABELS, settings.adapter))


def camvid(settings: CamvidSource, num_classes: int) -> FileAdapter:
    """The adapter of CamVid, whose label maps leave pixels unlabelled as 11."""
    return paired(settings, num_classes, own_ids={11: IGNORE_ID})


def find_pairs(storage: Storage, folders: tuple[PairedFolders, ...], source: str) -> list[RawSample]:
    """The samples of all splits.

    Raises:
        DataError: naming the folders without files, or the images without a label map.
    """
    images = [find_images(storage, split.images) for split in folders]
    labels = [find_labels(storage, split.labels) for split in folders]
    missing = [f"images in {split.images}" for split, found in zip(folders, images, strict=True) if not found]
    missing += [f"label PNGs in {split.labels}" for split, found in zip(folders, labels, strict=True) if not found]
    refuse_missing(storage, source, missing)
    samples = []
    for split, split_images, split_labels in zip(folders, images, labels, strict=True):
        for image, label_path in zip(split_images, paired_labels(source, split_images, split_labels), strict=True):
            key = sample_key(image.stem)
            samples.append(RawSample(key, split.split, image.path, label_path, source, storage.address))
    return samples
