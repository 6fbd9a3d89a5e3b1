"""From settings to adapters, and what to do about a split for which they find nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from pipelines.data.adapters.cityscapes import cityscapes
from pipelines.data.adapters.files import Adapter
from pipelines.data.adapters.folder import folder
from pipelines.data.adapters.mixed_scenes import mixed_scenes
from pipelines.data.adapters.paired import camvid, outdoor_scenes, paired
from pipelines.data.adapters.places2 import places2
from pipelines.settings.params import DataSettings
from pipelines.settings.sources import SplitSource

ADAPTERS: Mapping[str, Callable[[Any, int], Adapter]] = {
    "mixed_scenes": mixed_scenes,
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
    occurrences: Counter[str] = Counter()
    adapters = []
    for source in data.sources:
        occurrences[source.adapter] += 1
        number = occurrences[source.adapter]
        name = source.adapter if number == 1 else f"{source.adapter}-{number}"
        adapter = ADAPTERS[source.adapter](source, data.labels.num_classes)
        adapters.append((name, replace(adapter, joined_as=name) if len(data.sources) > 1 else adapter))
    return adapters


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
