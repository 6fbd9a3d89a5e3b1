"""What is wrong with a source before its files are looked at."""

from __future__ import annotations

from pipelines.landscapes import SMALLEST_SIDE
from pipelines.settings.params import SourceSettings
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

MOST_SCENES = 1_000_000
"""In a split of ``mixed_scenes``: what six digits in a key can tell apart."""


def source_problems(source: SourceSettings, num_classes: int) -> list[str]:
    """What is wrong with a source before its files are looked at, a sentence each."""
    name, problems = source.adapter, []
    if name == "mixed_scenes":
        problems += scene_problems(source)
    elif not source.root:
        problems.append(f"the source {name} needs root: the folder or s3:// address of its images")
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


def scene_problems(source: SourceSettings) -> list[str]:
    """What keeps these scenes from being drawn, a sentence each."""
    problems = []
    if source.train + source.val == 0:
        problems.append("the source mixed_scenes draws no images; set train and val to how many there shall be")
    problems += [
        f"the source mixed_scenes has {split}: {count}; ask for at most {MOST_SCENES}"
        for split, count in (("train", source.train), ("val", source.val))
        if count > MOST_SCENES
    ]
    if min(source.size) < SMALLEST_SIDE:
        problems.append(
            f"the source mixed_scenes has size: {list(source.size)}; "
            f"both sides (width, height) must be at least {SMALLEST_SIDE} pixels"
        )
    if source.seed < 0:
        problems.append(f"the source mixed_scenes has seed: {source.seed}; set 0 or more")
    return problems
