"""Mixed scenes: landscapes drawn from a seed, with exact labels in the eight classes of Outdoor Scenes.

Nothing is read from disk. Image n of a split is a function of (settings' seed, split, n, size) alone,
so asking for more images leaves the ones before as they were.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from functools import lru_cache, partial

from PIL import Image

from pipelines.data.adapters.files import Adapter
from pipelines.data.adapters.labels import LabelMap
from pipelines.data.adapters.samples import RawSample
from pipelines.landscapes import Scene, render_scene
from pipelines.settings.sources import MOST_SCENES, MixedScenesSource
from sgenet.errors import DataError

_SPLITS = ("train", "val")


def mixed_scenes(settings: MixedScenesSource, num_classes: int) -> Adapter:
    """The adapter of the embedded data; its own ids are as in ``label_space.OUTDOOR_SCENES``."""
    files = DrawnFiles(settings)
    label_map = LabelMap(settings.adapter, num_classes, class_map=settings.class_map)
    return Adapter(files, files, label_map, partial(_find, settings))


def _find(settings: MixedScenesSource) -> list[RawSample]:
    keys = [(split, f"{split}-{n:06d}") for split in _SPLITS for n in range(getattr(settings, split))]
    name = settings.adapter
    return [RawSample(key, split, f"{key}.png", f"{key}_label.png", name, name) for split, key in keys]


@dataclass(frozen=True)
class DrawnFiles:
    """``{train,val}-<n>.png`` and ``{train,val}-<n>_label.png``, drawn when they are read."""

    settings: MixedScenesSource

    def read(self, path: str) -> bytes:
        """An image, or a label map of ids 0 … 7, as a PNG. Raises DataError for any other path."""
        matched = re.fullmatch(r"(train|val)-(\d{6})(_label)?\.png", path)
        if matched is None or int(matched[2]) >= getattr(self.settings, matched[1]):
            raise DataError(f"mixed_scenes has no file {path}; they are train-000000.png …, val-000000.png …")
        width, height = self.settings.size
        scene = _render(scene_seed(self.settings.seed, matched[1], int(matched[2])), height, width)
        content = io.BytesIO()
        # Fast rather than small: grain hardly compresses.
        Image.fromarray(scene.label if matched[3] else scene.image).save(content, "PNG", compress_level=1)
        return content.getvalue()


def scene_seed(seed: int, split: str, number: int) -> int:
    """The seed of a scene: its own for every (seed, split, number), since each has its own digits."""
    return (seed * MOST_SCENES + number) * len(_SPLITS) + _SPLITS.index(split)


# The image and the label map of a sample are read one after the other: one drawing serves both.
@lru_cache(maxsize=1)
def _render(seed: int, height: int, width: int) -> Scene:
    return render_scene(seed, height, width)
