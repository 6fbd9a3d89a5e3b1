"""Places2: photographs of scenes, without label maps (Zhou et al., TPAMI 2018).

Layout, as distributed at 256×256: images at any depth below ``data_256`` (or ``train_256``)
and below ``val_256``. Without ``val_256`` a share of the training images is held out.
"""

from __future__ import annotations

from functools import partial

from pipelines.data.adapters.files import Adapter, file_adapter, find_images, refuse_missing
from pipelines.data.adapters.samples import RawSample, hashed_split, sample_key
from pipelines.settings.sources import Places2Source
from pipelines.storage.store import Storage


def places2(settings: Places2Source, num_classes: int) -> Adapter:
    """The adapter of Places2; its samples have no labels."""
    return file_adapter(settings, num_classes, partial(_find, settings.adapter, settings.val_ratio))


def _find(source: str, val_ratio: float, storage: Storage) -> list[RawSample]:
    train_images = find_images(storage, "data_256") or find_images(storage, "train_256")
    val_images = find_images(storage, "val_256")
    refuse_missing(storage, source, [] if train_images else ["images in data_256 or train_256"])

    def sample(stem: str, path: str, split: str) -> RawSample:
        return RawSample(sample_key(stem), split, path, None, source, storage.address)

    held_out_ratio = 0.0 if val_images else val_ratio
    return [sample(image.stem, image.path, "val") for image in val_images] + [
        sample(image.stem, image.path, hashed_split(sample_key(image.stem), held_out_ratio)) for image in train_images
    ]
