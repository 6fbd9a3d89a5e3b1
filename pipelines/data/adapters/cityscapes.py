"""Cityscapes: street scenes in 19 classes (Cordts et al., CVPR 2016).

Layout, as distributed: ``leftImg8bit/{train,val,test}/<city>/<frame>_leftImg8bit.png`` and
``gtFine/{train,val}/<city>/<frame>_gtFine_labelIds.png``. SGE-Net trains on the 2,975 training
frames with their labels and on the 1,525 test frames without, and is evaluated on the 500 of val.
"""

from __future__ import annotations

from functools import partial

from pipelines.data.adapters.files import (
    Adapter,
    FoundFile,
    file_adapter,
    find_images,
    find_labels,
    paired_labels,
    refuse_missing,
)
from pipelines.data.adapters.samples import RawSample, sample_key
from pipelines.settings.sources import CityscapesSource
from pipelines.storage.store import Storage
from sgenet.label_space import IGNORE_ID

_IMAGE_ENDING = "_leftImg8bit"
_LABEL_ENDING = "_gtFine_labelIds"

# fmt: off
_EVALUATED_IDS = (
    7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33,
)
# fmt: on
TRAIN_IDS = dict.fromkeys(range(34), IGNORE_ID) | {raw: train_id for train_id, raw in enumerate(_EVALUATED_IDS)}
"""The id in a ``labelIds`` file → the train id, as the benchmark defines it."""


def cityscapes(settings: CityscapesSource, num_classes: int) -> Adapter:
    """The adapter of Cityscapes; its own ids are the train ids, as in ``label_space.CITYSCAPES``."""
    return file_adapter(settings, num_classes, partial(_find, settings.adapter, settings.unlabelled), TRAIN_IDS)


def _find(source: str, unlabelled: bool, storage: Storage) -> list[RawSample]:
    """The samples of the paper's two splits.

    Raises:
        DataError: naming the folders without frames or label maps, or the frames without a label map.
    """
    frames = {split: _frames(storage, split) for split in ("train", "val")}
    maps = {split: _label_maps(storage, split) for split in ("train", "val")}
    test_frames = _frames(storage, "test") if unlabelled else []
    missing = [f"*{_IMAGE_ENDING}.png in leftImg8bit/{split}" for split in frames if not frames[split]]
    missing += [f"*{_LABEL_ENDING}.png in gtFine/{split}" for split in maps if not maps[split]]
    if unlabelled and not test_frames:
        missing.append(f"*{_IMAGE_ENDING}.png in leftImg8bit/test (needed unless unlabelled is false)")
    refuse_missing(storage, source, missing)

    def sample(frame: FoundFile, split: str, label_path: str | None) -> RawSample:
        key = sample_key(frame.stem.rpartition("/")[2])
        return RawSample(key, split, frame.path, label_path, source, storage.address)

    samples = [sample(frame, "train", None) for frame in test_frames]
    for split in frames:
        for frame, label_path in zip(frames[split], paired_labels(source, frames[split], maps[split]), strict=True):
            samples.append(sample(frame, split, label_path))
    return samples


def _frames(storage: Storage, split: str) -> list[FoundFile]:
    """The frames of a split, by ``<city>/<frame>``."""
    found = find_images(storage, f"leftImg8bit/{split}")
    return [
        FoundFile(image.stem.removesuffix(_IMAGE_ENDING), image.path)
        for image in found
        if image.stem.endswith(_IMAGE_ENDING)
    ]


def _label_maps(storage: Storage, split: str) -> dict[str, str]:
    """The label maps of a split: ``<city>/<frame>`` → path. gtFine holds other PNGs beside them."""
    found = find_labels(storage, f"gtFine/{split}")
    return {stem.removesuffix(_LABEL_ENDING): path for stem, path in found.items() if stem.endswith(_LABEL_ENDING)}
