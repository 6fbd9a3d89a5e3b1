"""A user's own images: any folder, at any depth, with or without label maps.

The label map of ``<root>/a/b.jpg`` is ``<label_root>/a/b.png``. A share of the images is held
out for evaluation, chosen by the hash of the key.
"""

from __future__ import annotations

import hashlib
from functools import partial

from pipelines.data.adapters.files import Adapter, find_images, find_labels, paired_labels, refuse_missing
from pipelines.data.adapters.labels import LabelMap
from pipelines.data.adapters.samples import RawSample, hashed_split, sample_key
from pipelines.settings.sources import FolderSource
from pipelines.storage.store import Storage, join, open_storage
from sgenet.errors import DataError


def folder(settings: FolderSource, num_classes: int) -> Adapter:
    """The adapter of a folder; with ``label_root`` every image must have its label map."""
    image_storage = open_storage(settings.root)
    label_storage = open_storage(settings.label_root) if settings.label_root else None
    label_map = LabelMap(settings.adapter, num_classes, class_map=settings.class_map)
    find = partial(_find, image_storage, label_storage, settings)
    return Adapter(image_storage, label_storage or image_storage, label_map, find)


def _find(image_storage: Storage, label_storage: Storage | None, settings: FolderSource) -> list[RawSample]:
    source = settings.adapter
    images = find_images(image_storage)
    labels: dict[str, str] = {}
    if label_storage is not None:
        labels = find_labels(label_storage)
        # Label maps are PNGs too: where they lie among the images, they must not become samples.
        label_files = {join(label_storage.address, path) for path in labels.values()}
        images = [image for image in images if join(image_storage.address, image.path) not in label_files]
        refuse_missing(label_storage, source, [] if labels else ["label PNGs (label_root)"])
    refuse_missing(image_storage, source, [] if images else ["images (jpg, png, webp, bmp or tiff)"])
    label_paths = paired_labels(source, images, labels) if label_storage is not None else [None] * len(images)
    held_out = _held_out(image_storage, [image.path for image in images], settings)
    samples = []
    for image, label_path in zip(images, label_paths, strict=True):
        key = sample_key(image.stem)
        split = hashed_split(key, settings.val_ratio) if held_out is None else _SPLITS[image.path in held_out]
        if settings.part in ("all", _PARTS[split]):
            samples.append(RawSample(key, split, image.path, label_path, source, image_storage.address))
    return samples


_SPLITS = ("train", "val")
_PARTS = {"train": "train", "val": "held_out"}


def _held_out(storage: Storage, paths: list[str], settings: FolderSource) -> set[str] | None:
    """The ``held_out`` paths whose file name has the smallest SHA-256; None where a share is held out."""
    if settings.held_out is None:
        return None
    if settings.held_out >= len(paths):
        raise DataError(
            f"{settings.adapter}: held_out asks for {settings.held_out} of the {len(paths)} images of "
            f"{storage.address}, and leaves none; lower it"
        )
    by_hash = sorted(paths, key=lambda path: (hashlib.sha256(path.rpartition("/")[2].encode()).hexdigest(), path))
    return set(by_hash[: settings.held_out])
