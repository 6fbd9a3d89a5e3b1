"""From settings to adapters."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pipelines.datasets.camvid import camvid
from pipelines.datasets.cityscapes import cityscapes
from pipelines.datasets.folder import folder
from pipelines.datasets.mixed_scenes import MixedScenes, scene_problems
from pipelines.datasets.msrc_v2 import msrc_v2
from pipelines.datasets.outdoor_scenes import outdoor_scenes
from pipelines.datasets.places2 import places2
from pipelines.datasets.samples import Adapter, RawLabel, RawSample
from pipelines.datasets.stanford_background import stanford_background
from pipelines.params import DataSettings, SourceSettings
from sgenet.errors import SettingsError
from sgenet.label_space import IGNORE_ID

NUM_OWN_CLASSES = {
    "mixed_scenes": 8,
    "outdoor_scenes": 8,
    "cityscapes": 19,
    "camvid": 11,
    "stanford_background": 8,
    "msrc_v2": 8,
}
"""How many classes a source has before any class map: its own ids are 0 … n-1."""


def build_adapters(data: DataSettings) -> list[tuple[str, Adapter]]:
    """The adapters of a dataset's sources, in their order, each under a name of its own.

    A source is named after its adapter, the second of the same adapter ``<adapter>-2``, and so
    on. The adapters are ready to be joined: their samples carry the name as ``source`` and,
    where there are several sources, ``<name>-`` before the key.

    Raises:
        SettingsError: with every problem of every source.
    """
    problems = [problem for source in data.sources for problem in source_problems(source, data.labels.num_classes)]
    if problems:
        raise SettingsError(problems)
    adapters = [build_adapter(source, data.labels.num_classes) for source in data.sources]
    names = _unique_names([source.adapter for source in data.sources])
    if len(adapters) == 1:
        return [(names[0], adapters[0])]
    return [(name, _Joined(adapter, name)) for name, adapter in zip(names, adapters, strict=True)]


def build_adapter(source: SourceSettings, num_classes: int) -> Adapter:
    """The adapter of one source, whose labels are ids below ``num_classes`` or 255.

    Raises:
        SettingsError: with every problem of the source.
    """
    problems = source_problems(source, num_classes)
    if problems:
        raise SettingsError(problems)
    match source.adapter:
        case "mixed_scenes":
            return MixedScenes(source)
        case "outdoor_scenes":
            return outdoor_scenes(source, num_classes)
        case "cityscapes":
            return cityscapes(source, num_classes)
        case "places2":
            return places2(source, num_classes)
        case "camvid":
            return camvid(source, num_classes)
        case "stanford_background":
            return stanford_background(source, num_classes)
        case "msrc_v2":
            return msrc_v2(source, num_classes)
        case "folder":
            return folder(source, num_classes)


def source_problems(source: SourceSettings, num_classes: int) -> list[str]:
    """What is wrong with a source before its files are looked at, a sentence each."""
    name, problems = source.adapter, []
    if name == "mixed_scenes":
        problems += scene_problems(source)
    elif not source.root:
        problems.append(f"the source {name} needs root: the folder or s3:// address of its pictures")
    own = NUM_OWN_CLASSES.get(name)
    if source.class_map is None:
        if own is not None and own != num_classes:
            problems.append(
                f"the source {name} has {own} classes, but the label space has {num_classes}; add a class_map"
            )
        return problems
    for raw, target in sorted(source.class_map.items()):
        if own is not None and not 0 <= raw < own:
            problems.append(f"class_map of {name} names the class {raw}, but its classes are 0 … {own - 1}")
        if target != IGNORE_ID and not 0 <= target < num_classes:
            problems.append(
                f"class_map of {name} sends {raw} to {target}, but the label space's ids are 0 … {num_classes - 1}"
            )
    return problems


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
