"""What to do about a split without images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pipelines.settings.params import DataSettings
from pipelines.settings.sources import SplitSource


def empty_splits(counts: Mapping[str, int], needed: Iterable[str], data: DataSettings) -> list[str]:
    """What to do about each split that is needed and has no image, a sentence each."""
    total = sum(counts.values())
    return [
        f"none of the {total} images is in the split '{split}'; {_remedy(split, data)}"
        for split in needed
        if not counts.get(split)
    ]


def _remedy(split: str, data: DataSettings) -> str:
    ratios: Sequence[float] = [source.val_ratio for source in data.sources if isinstance(source, SplitSource)]
    if not ratios:
        return "add some to its sources"
    change = "raise" if split == "val" else "lower"
    return f"{change} val_ratio ({', '.join(map(str, ratios))}), the share that is held out, or add images"
