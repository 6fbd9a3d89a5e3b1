"""Outdoor Scenes: mixed scenes in 8 classes (OutdoorScene of Wang et al., CVPR 2018).

Layout: ``train/{images,labels}/…`` and ``val/{images,labels}/…``; where there is no ``val``, the
300 labelled test images in ``test/{images,labels}`` are it. Folders below (one a category, as in
the original archive) may stay. Label maps are PNGs of class ids, 8 and 255 = ignore.
"""

from __future__ import annotations

from functools import partial

from pipelines.data.adapters.files import FileAdapter, find_images
from pipelines.data.adapters.labels import LabelMap
from pipelines.data.adapters.paired import PairedFolders, find_pairs
from pipelines.data.adapters.samples import Adapter, RawSample
from pipelines.settings.sources import OutdoorScenesSource
from pipelines.storage.store import Storage, open_storage
from sgenet.label_space import IGNORE_ID

OUTSIDE_ID = 8
"""The id that the dataset's authors give to pixels outside any class."""

_TRAIN = PairedFolders("train", "train/images", "train/labels")
_VAL = PairedFolders("val", "val/images", "val/labels")
_TEST = PairedFolders("val", "test/images", "test/labels")


def outdoor_scenes(settings: OutdoorScenesSource, num_classes: int) -> Adapter:
    """The adapter of Outdoor Scenes; its own ids are as in ``label_space.OUTDOOR_SCENES``."""
    storage = open_storage(settings.root)
    label_map = LabelMap(settings.adapter, num_classes, {OUTSIDE_ID: IGNORE_ID}, settings.class_map)
    return FileAdapter(storage, storage, label_map, partial(_find, storage, settings.adapter))


def _find(storage: Storage, source: str) -> list[RawSample]:
    has_test = find_images(storage, _TEST.images) and not find_images(storage, _VAL.images)
    return find_pairs(storage, (_TRAIN, _TEST if has_test else _VAL), source)
