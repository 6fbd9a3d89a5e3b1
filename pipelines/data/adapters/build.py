"""From settings to adapters, and what to do about a split for which they find nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.data.adapters.cityscapes import cityscapes
from pipelines.data.adapters.folder import folder
from pipelines.data.adapters.mixed_scenes import MixedScenes
from pipelines.data.adapters.outdoor_scenes import outdoor_scenes
from pipelines.data.adapters.paired import camvid, paired
from pipelines.data.adapters.places2 import places2
from pipelines.data.adapters.samples import Adapter, RawLabel, RawSample
from pipelines.settings.params import DataSettings
from pipelines.settings.sources import SplitSource

ADAPTERS: Mapping[str, Callable[[Any, int], Adapter]] = {
    "mixed_scenes": lambda source, num_classes: MixedScenes(source),
    "outdoor_scenes": outdoor_scenes,
    "cityscapes": cityscapes,
    "places2": places2,
    "camvid": camvid,
    "stanford_background": paired,
    "msrc_v2": paired,
    "folder": folder,
}
"""What reads a source, from its settings and the number of classes of the dataset's label space."""


def build_adapters(data: DataSettings) -> list[tuple[str, Adapter]]:
    """The adapters of a dataset's sources, in their order, each under a name of its own.

    A source is named after its adapter, the second of the same adapter ``<adapter>-2``, and so
    on. The adapters are ready to be joined: their samples carry the name as ``source`` and,
    where there are several sources, ``<name>-`` before the key.
    """
    adapters = [ADAPTERS[source.adapter](source, data.labels.num_classes) for source in data.sources]
    names = _unique_names([source.adapter for source in data.sources])
    if len(adapters) == 1:
        return [(names[0], adapters[0])]
    return [(name, _Joined(adapter, name)) for name, adapter in zip(names, adapters, strict=True)]


def empty_splits(counts: Mapping[str, int], needed: Iterable[str], data: DataSettings) -> list[str]:
    """What to do about each split that is needed and has no image, a sentence each."""
    total = sum(counts.values())
    ratios = ", ".join(str(source.val_ratio) for source in data.sources if isinstance(source, SplitSource))
    sentences = []
    for split in needed:
        if not counts.get(split):
            remedy = "add some to its sources"
            if ratios:
                change = "raise" if split == "val" else "lower"
                remedy = f"{change} val_ratio ({ratios}), the share that is held out, or add images"
            sentences.append(f"none of the {total} images is in the split '{split}'; {remedy}")
    return sentences


def _unique_names(adapters: list[str]) -> list[str]:
    names = []
    for index, adapter in enumerate(adapters):
        occurrence = adapters[: index + 1].count(adapter)
        names.append(adapter if occurrence == 1 else f"{adapter}-{occurrence}")
    return names


@dataclass(frozen=True)
class _Joined:
    """One of several sources: the adapter's samples under the source's name."""

    adapter: Adapter
    name: str

    def samples(self) -> list[RawSample]:
        return [replace(sample, key=f"{self.name}-{sample.key}", source=self.name) for sample in self.adapter.samples()]

    def read_image(self, sample: RawSample) -> bytes:
        return self.adapter.read_image(self._own(sample))

    def read_label(self, sample: RawSample) -> bytes | None:
        return self.adapter.read_label(self._own(sample))

    def map_label(self, raw: RawLabel) -> npt.NDArray[np.uint8]:
        return self.adapter.map_label(raw)

    def _own(self, sample: RawSample) -> RawSample:
        return replace(sample, key=sample.key.removeprefix(f"{self.name}-"))
