"""From settings to adapters."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pipelines.data.adapters.camvid import camvid
from pipelines.data.adapters.cityscapes import cityscapes
from pipelines.data.adapters.folder import folder
from pipelines.data.adapters.mixed_scenes import MixedScenes
from pipelines.data.adapters.msrc_v2 import msrc_v2
from pipelines.data.adapters.outdoor_scenes import outdoor_scenes
from pipelines.data.adapters.places2 import places2
from pipelines.data.adapters.samples import Adapter, RawLabel, RawSample
from pipelines.data.adapters.stanford_background import stanford_background
from pipelines.settings.params import DataSettings, SourceSettings
from pipelines.settings.sources import source_problems
from sgenet.errors import SettingsError


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
