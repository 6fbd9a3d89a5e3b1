"""An adapter, and what those over folders of files share: finding images and label maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from pipelines.data.adapters.labels import LabelMap
from pipelines.data.adapters.samples import RawSample, checked_samples, some
from pipelines.settings.sources import FileSource
from pipelines.storage.store import Storage, open_storage
from sgenet.errors import DataError

IMAGE_SUFFIXES = frozenset({"jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff"})
LABEL_SUFFIXES = frozenset({"png"})


class Files(Protocol):
    """What an adapter reads: a :class:`~pipelines.storage.store.Storage`, or files that are made when they are read."""

    def read(self, path: str) -> bytes:
        """The content of a file. Raises DataError where it cannot be read."""


@dataclass(frozen=True)
class Adapter:
    """A source of raw samples: a plain value, which can be sent to other processes.

    Attributes:
        images, labels: where the image files and the PNGs of raw ids are read.
        map_label: raw ids (H, W) → ids of the dataset's label space (H, W), 255 = ignore; raises DataError naming
            the ids that mean nothing here.
        find: lists the samples, in any order; knows the layout.
        joined_as: the name of the source where a dataset has several, which its samples then carry.
    """

    images: Files
    labels: Files
    map_label: LabelMap
    find: Callable[[], list[RawSample]]
    joined_as: str | None = None

    def samples(self) -> list[RawSample]:
        """Every sample, sorted by split and key.

        Raises:
            DataError: saying what the layout lacks and where, or which names collide.
        """
        samples, name = checked_samples(self.find()), self.joined_as
        if name is None:
            return samples
        return [replace(sample, key=f"{name}-{sample.key}", source=name) for sample in samples]

    def read_image(self, sample: RawSample) -> bytes:
        """The image's file. Raises DataError where it cannot be read."""
        return self.images.read(sample.image_path)

    def read_label(self, sample: RawSample) -> bytes | None:
        """The label map's PNG file of raw ids; None for a sample without labels."""
        return None if sample.label_path is None else self.labels.read(sample.label_path)


def file_adapter(
    settings: FileSource,
    num_classes: int,
    find: Callable[[Storage], list[RawSample]],
    own_ids: Mapping[int, int] | None = None,
) -> Adapter:
    """An adapter over the files below a source's root; for ``own_ids`` see LabelMap."""
    storage = open_storage(settings.root)
    label_map = LabelMap(settings.adapter, num_classes, own_ids, settings.class_map)
    return Adapter(storage, storage, label_map, partial(find, storage))


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file of a listing: its path in the storage, and its path below the folder without the suffix."""

    stem: str
    path: str


def find_images(storage: Storage, folder: str = "") -> list[FoundFile]:
    """The images below a folder, at any depth, sorted by path. Hidden files are left out."""
    return _find(storage, folder, IMAGE_SUFFIXES)


def find_labels(storage: Storage, folder: str = "") -> dict[str, str]:
    """The label maps below a folder, at any depth: stem → path.

    Raises:
        DataError: where two label maps differ in nothing but the case of their suffix.
    """
    paths: dict[str, str] = {}
    for found in _find(storage, folder, LABEL_SUFFIXES):
        if paths.setdefault(found.stem, found.path) != found.path:
            raise DataError(
                f"duplicate names in {storage.address}: {paths[found.stem]} and {found.path} label the same image; "
                "remove one"
            )
    return paths


def paired_labels(source: str, images: list[FoundFile], labels: dict[str, str]) -> list[str]:
    """The label map of each image, in the images' order.

    Raises:
        DataError: where the two sets differ, with how many files have no counterpart and the first few.
    """
    stems = {image.stem for image in images}
    lonely_images = [image.path for image in images if image.stem not in labels]
    lonely_labels = [path for stem, path in labels.items() if stem not in stems]
    for lonely, all_files, kind, lacking in (
        (lonely_images, len(images), "images", "label map"),
        (lonely_labels, len(labels), "label maps", "image"),
    ):
        if lonely:
            raise DataError(
                f"{source}: {len(lonely)} of {all_files} {kind} have no {lacking} of the same name: {some(lonely)}; "
                "add the missing files or remove these"
            )
    return [labels[image.stem] for image in images]


def refuse_missing(storage: Storage, source: str, missing: list[str]) -> None:
    """Raise a DataError where a layout lacks something: ``missing`` says what and where."""
    if missing:
        if "://" not in storage.address and not Path(storage.address).is_dir():
            raise DataError(f"{source}: {storage.address} does not exist; correct its root, or copy the images there")
        raise DataError(f"{source}: {storage.address} has no {', no '.join(missing)}; check root and the layout")


def _find(storage: Storage, folder: str, suffixes: frozenset[str]) -> list[FoundFile]:
    start = len(folder) + 1 if folder else 0
    found = []
    for entry in storage.list(folder):
        stem, _, suffix = entry.path[start:].rpartition(".")
        hidden = any(part.startswith(".") for part in entry.path[start:].split("/"))
        if stem and suffix.lower() in suffixes and not hidden:
            found.append(FoundFile(stem, entry.path))
    return found
