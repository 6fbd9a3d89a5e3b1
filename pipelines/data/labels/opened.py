"""The segmenter that the stage ``fit_segmenter`` chose: finding it, opening it, and the images it is shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from pipelines.data.labels.manifest import SegmenterManifest
from pipelines.data.shards.reader import Pixels, ShardDataset
from pipelines.data.shards.schema import SampleTable
from pipelines.parallel.device import check_device, device_of_workers
from pipelines.settings.labels import LabelSettings
from pipelines.settings.params import Settings
from pipelines.storage.files import digest_files, sha256_of_file
from sgenet.errors import CheckpointError, DataError
from sgenet.label_space import LabelSpace
from sgenet.methods.files import DESCRIPTION, WEIGHTS
from sgenet.precision import autocast
from sgenet.segmenters.pretrained import load_transformers
from sgenet.segmenters.release import load_segmenter
from sgenet.segmenters.segmenter import label_pixels
from sgenet.segmenters.windows import class_probabilities
from sgenet.training.determinism import make_deterministic, one_thread


@dataclass(frozen=True, kw_only=True)
class SegmenterPlace:
    """All that a worker needs to know to label with a segmenter.

    Attributes:
        folder: of the stage ``fit_segmenter``, or of a checkpoint of ``transformers``.
        sha256: of the weights that must be found there.
    """

    folder: Path
    sha256: str
    label_space: LabelSpace
    settings: LabelSettings
    device: str = "cpu"


def chosen_segmenter(settings: Settings, dataset: str, folder: Path) -> SegmenterPlace:
    """The segmenter that the settings ask for, from the folder of the stage ``fit_segmenter``.

    Raises:
        DataError: the stage has not run with these settings.
        SettingsError: a GPU is asked for and there is none on this machine, where it does the work.
    """
    manifest, wanted = SegmenterManifest.read(folder), settings.labels_of(dataset).segmenter
    if manifest.sha256 is None or manifest.segmenter != wanted:
        raise DataError(
            f"{folder} holds {manifest.segmenter or 'no segmenter'}, but labels.{dataset} asks for {wanted}; run the "
            "stage fit_segmenter again"
        )
    return segmenter_place(settings, dataset, folder, manifest.sha256)


def segmenter_of_filled(settings: Settings, dataset: str, folder: Path) -> SegmenterPlace | None:
    """The segmenter of the dataset, for its filled images; None where the settings ask for none.

    Raises:
        DataError, SettingsError: see :func:`chosen_segmenter`.
    """
    return chosen_segmenter(settings, dataset, folder) if settings.labels_of(dataset).needs_segmenter else None


def segmenter_place(settings: Settings, dataset: str, folder: Path, sha256: str) -> SegmenterPlace:
    """Where workers find the segmenter that lies in a folder of the stage ``fit_segmenter``.

    Raises:
        SettingsError: a GPU is asked for and there is none on this machine, where it does the work.
    """
    return SegmenterPlace(
        folder=segmenter_folder(settings, dataset, folder),
        sha256=sha256,
        label_space=settings.data[dataset].labels,
        settings=settings.labels_of(dataset),
        device=device_of_workers(settings.run),
    )


def segmenter_folder(settings: Settings, dataset: str, folder: Path) -> Path:
    """Where the weights lie: a checkpoint of ``transformers`` stays where it is, as it may be large."""
    labels = settings.labels_of(dataset)
    return Path(labels.checkpoint or "") if labels.segmenter == "transformers" else folder


class OpenSegmenter:
    """A segmenter ready to label images; the same probabilities for the same batches every time.

    Args:
        network: in evaluation mode, a :class:`~sgenet.segmenters.segmenter.Segmenter`.
        place: how it is used.

    Raises:
        SettingsError: a GPU is asked for and this process has none.
    """

    def __init__(self, network: nn.Module, place: SegmenterPlace) -> None:
        check_device(place.device)
        self.device = torch.device(place.device)
        self.settings = place.settings
        self.num_classes = place.label_space.num_classes
        make_deterministic(self.device)
        self._network = network.to(self.device).eval()

    @torch.inference_mode()
    def probabilities(self, image: Tensor) -> Tensor:
        """Each pixel's class probabilities: (B, 3, H, W) uint8 → (B, C or C + 1, H, W) float32 on the device."""
        settings = self.settings
        images = image.to(self.device, torch.float32).div(127.5).sub(1.0)
        with autocast(self.device, settings.precision):
            return class_probabilities(self._network, images, settings.window, settings.overlap)

    def label(self, image: Tensor) -> Tensor:
        """The most probable class of each pixel, however sure: (B, 3, H, W) uint8 → (B, H, W) uint8 on the CPU.

        255 where a segmenter with classes of its own says *none of them*.
        """
        return label_pixels(self.probabilities(image), self.num_classes, threshold=0.0).label.cpu()


def open_segmenter(place: SegmenterPlace) -> OpenSegmenter:
    """Load a segmenter; its network is kept for the next call.

    Raises:
        CheckpointError: it is missing, damaged, of other classes, or not the one that was chosen.
        SettingsError: it is a checkpoint of ``transformers`` that cannot be used; a GPU is asked for and there is none.
    """
    settings = place.settings
    class_map = None if settings.class_map is None else tuple(sorted(settings.class_map.items()))
    loaded = _loaded(settings.segmenter, place.folder, place.sha256, place.label_space, class_map)
    return OpenSegmenter(loaded, place)


def weights_digest(segmenter: str, folder: Path) -> str:
    """What identifies the weights in a folder: all its files, for a checkpoint of ``transformers``.

    Raises:
        CheckpointError: there are none.
    """
    if segmenter == "transformers":
        files = [path for path in folder.rglob("*") if path.is_file()]
        if not files:
            raise CheckpointError(f"{folder} holds no checkpoint of transformers; correct labels.….checkpoint")
        return digest_files(files, folder)
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise CheckpointError(f"{weights} does not exist; a segmenter is a folder with {DESCRIPTION} and {WEIGHTS}")
    return sha256_of_file(weights)


@lru_cache(maxsize=1)
def _loaded(
    segmenter: str, folder: Path, sha256: str, label_space: LabelSpace, class_map: tuple[tuple[int, int], ...] | None
) -> nn.Module:
    if weights_digest(segmenter, folder) != sha256:
        raise CheckpointError(f"the segmenter in {folder} changed since it was chosen; run fit_segmenter again")
    if segmenter == "transformers":
        return load_transformers(folder, None if class_map is None else dict(class_map), label_space)
    released = load_segmenter(folder)
    if released.name != segmenter:
        raise CheckpointError(f"{folder} holds a {released.name}, not a {segmenter}; correct labels.….segmenter")
    if released.label_space.names != label_space.names:
        raise CheckpointError(
            f"the segmenter in {folder} knows the classes {', '.join(released.label_space.names)}, the dataset has "
            f"{', '.join(label_space.names)}; fit one to the dataset"
        )
    return released.network


def threads_for(device: str) -> AbstractContextManager[None]:
    """The threads of labelling: one where it runs on the CPU."""
    return one_thread() if device == "cpu" else nullcontext()


class WholeImages(NamedTuple):
    """Some samples of one size.

    Attributes:
        rows: their places in the table.
        image: (B, 3, H, W) uint8.
        label: (B, H, W) uint8, what people labelled; 255 where there is none.
    """

    rows: tuple[int, ...]
    image: Tensor
    label: Tensor


def whole_images(table: SampleTable, batch_size: int) -> Iterator[WholeImages]:
    """Every sample once, as stored, in the table's order; a batch ends where the next image has another size.

    Raises:
        DataError: a sample cannot be read.
    """
    dataset = ShardDataset(table, _as_it_is)
    for rows in _runs_of_one_size(table, batch_size):
        pairs = [dataset.image(row) for row in rows]
        yield WholeImages(
            rows,
            torch.from_numpy(np.stack([image.transpose(2, 0, 1) for image, _ in pairs])),
            torch.from_numpy(np.stack([label for _, label in pairs])),
        )


def _runs_of_one_size(table: SampleTable, most: int) -> Iterable[tuple[int, ...]]:
    run: list[int] = []
    for row in range(len(table)):
        if run and (len(run) == most or not np.array_equal(table.sizes[row], table.sizes[run[0]])):
            yield tuple(run)
            run = []
        run.append(row)
    if run:
        yield tuple(run)


def _as_it_is(image: Pixels, label: Pixels, rng: np.random.Generator) -> tuple[Pixels, Pixels]:
    return image, label
