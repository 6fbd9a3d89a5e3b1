"""Mixed scenes: landscapes drawn from a seed, with exact labels in the eight classes of Outdoor Scenes.

Nothing is read from disk. Image n of a split is a function of (settings' seed, split, n, size) alone,
so asking for more images leaves the ones before as they were.
"""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image

from pipelines.data.adapters.labels import LabelMap
from pipelines.data.adapters.samples import RawLabel, RawSample
from pipelines.landscapes import Scene, render_scene
from pipelines.settings.sources import MOST_SCENES, MixedScenesSource
from sgenet.errors import DataError
from sgenet.label_space import OUTDOOR_SCENES

_SPLITS = ("train", "val")


class MixedScenes:
    """The adapter of the embedded data.

    Args:
        source: the number of images (``train``, ``val``), their ``size`` = (width, height) in
            pixels, the ``seed``, and perhaps a ``class_map`` from the eight classes.
    """

    def __init__(self, source: MixedScenesSource) -> None:
        self._source = source
        self._counts = {"train": source.train, "val": source.val}
        self._map = LabelMap(source.adapter, OUTDOOR_SCENES.num_classes, class_map=source.class_map)

    def samples(self) -> list[RawSample]:
        """Every sample, sorted by split and key: ``train-000000`` …, ``val-000000`` …"""
        return [
            RawSample(
                key=f"{split}-{number:06d}",
                split=split,
                image_path=f"{split}-{number:06d}.png",
                label_path=f"{split}-{number:06d}_label.png",
                source=self._source.adapter,
                storage=self._source.adapter,
            )
            for split in _SPLITS
            for number in range(self._counts[split])
        ]

    def read_image(self, sample: RawSample) -> bytes:
        """The image as a PNG. Raises DataError for a key that is not one of :meth:`samples`."""
        return _png(self._scene(sample).image)

    def read_label(self, sample: RawSample) -> bytes | None:
        """The label map as a PNG of ids 0 … 7. Raises DataError for a key that is not one of :meth:`samples`."""
        return _png(self._scene(sample).label)

    def map_label(self, raw: RawLabel) -> npt.NDArray[np.uint8]:
        """Ids 0 … 7 (H, W) → ids of the dataset's label space (H, W), 255 = ignore.

        Raises:
            DataError: naming ids that are not among them.
        """
        return self._map(raw)

    def _scene(self, sample: RawSample) -> Scene:
        split, _, number = sample.key.partition("-")
        if not (number.isascii() and number.isdigit() and int(number) < self._counts.get(split, 0)):
            raise DataError(f"mixed_scenes has no sample '{sample.key}'; keys are train-000000 …, val-000000 …")
        width, height = self._source.size
        return _render(_scene_seed(self._source.seed, split, int(number)), height, width)


def _scene_seed(seed: int, split: str, number: int) -> int:
    """The seed of a scene: its own for every (seed, split, number), since each has its own digits."""
    return (seed * MOST_SCENES + number) * len(_SPLITS) + _SPLITS.index(split)


# The image and the label map of a sample are read one after the other: one drawing serves both.
@lru_cache(maxsize=1)
def _render(seed: int, height: int, width: int) -> Scene:
    return render_scene(seed, height, width)


def _png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """A PNG file; fast rather than small, since grain hardly compresses."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG", compress_level=1)
    return file.getvalue()
