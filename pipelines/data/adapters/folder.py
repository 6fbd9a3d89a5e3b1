"""A user's own pictures: any folder, at any depth, with or without label maps.

The label map of ``<root>/a/b.jpg`` is ``<label_root>/a/b.png``. A share of the pictures is held
out for evaluation, chosen by the hash of the key.
"""

from __future__ import annotations

from functools import partial

from pipelines.data.adapters.files import FileAdapter, find_images, find_labels, paired_labels, refuse_missing
from pipelines.data.adapters.labels import LabelMap
from pipelines.data.adapters.samples import Adapter, RawSample, hashed_split, sample_key
from pipelines.settings.params import SourceSettings
from pipelines.storage.store import Storage, join, open_storage


def folder(settings: SourceSettings, num_classes: int) -> Adapter:
    """The adapter of a folder; with ``label_root`` every picture must have its label map."""
    image_storage = open_storage(settings.root or "")
    label_storage = open_storage(settings.label_root) if settings.label_root else None
    label_map = LabelMap(settings.adapter, num_classes, class_map=settings.class_map)
    find = partial(_find, image_storage, label_storage, settings.adapter, settings.val_ratio)
    return FileAdapter(image_storage, label_storage or image_storage, label_map, find)


def _find(image_storage: Storage, label_storage: Storage | None, source: str, val_ratio: float) -> list[RawSample]:
    images = find_images(image_storage)
    labels: dict[str, str] = {}
    if label_storage is not None:
        labels = find_labels(label_storage)
        # Label maps are PNGs too: where they lie among the pictures, they must not become samples.
        label_files = {join(label_storage.address, path) for path in labels.values()}
        images = [image for image in images if join(image_storage.address, image.path) not in label_files]
        refuse_missing(label_storage, source, [] if labels else ["label PNGs (label_root)"])
    refuse_missing(image_storage, source, [] if images else ["pictures (jpg, png, webp, bmp or tiff)"])
    label_paths = paired_labels(source, images, labels) if label_storage is not None else [None] * len(images)
    samples = []
    for image, label_path in zip(images, label_paths, strict=True):
        key = sample_key(image.stem)
        split = hashed_split(key, val_ratio)
        samples.append(RawSample(key, split, image.path, label_path, source, image_storage.address))
    return samples
