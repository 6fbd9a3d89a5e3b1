"""Opening the segmenter that the stage ``fit_segmenter`` chose, for labelling and scoring."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor, nn

from pipelines.parallel.device import check_device
from pipelines.settings.labels import LabelSettings
from pipelines.storage.files import digest_files, sha256_of_file
from sgenet.errors import CheckpointError
from sgenet.label_space import LabelSpace
from sgenet.methods.release import DESCRIPTION, WEIGHTS
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
        label_space: what is labelled with.
        settings: how.
        device: ``cpu`` or ``cuda``.
    """

    folder: Path
    sha256: str
    label_space: LabelSpace
    settings: LabelSettings
    device: str = "cpu"


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
