"""Where raw images come from: a class of settings for each adapter, told apart by its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, get_args

from pydantic import Field

from pipelines.landscapes import SMALLEST_SIDE
from pipelines.settings.strict import Strict
from sgenet.label_space import IGNORE_ID

MOST_SCENES = 1_000_000
"""In a split of ``mixed_scenes``: what six digits in a key can tell apart."""


class Source(Strict):
    """One place that raw samples come from.

    Attributes:
        adapter: which layout is read there.
        class_map: raw class id → id in the dataset's label space; ids not named become *ignore*.
            None keeps the adapter's own ids.
    """

    num_own_classes: ClassVar[int | None] = None
    """How many classes there are before any class map, their ids 0 … n-1; None: the dataset's own."""

    adapter: str
    class_map: dict[int, int] | None = None

    def problems(self, num_classes: int) -> list[str]:
        """What is wrong before any file is looked at, a sentence each.

        Args:
            num_classes: of the dataset's label space.
        """
        own = self.num_own_classes
        if self.class_map is not None:
            return _class_map_problems(self.adapter, self.class_map, own, num_classes)
        if own is None or own == num_classes:
            return []
        return [f"the source {self.adapter} has {own} classes, but the label space has {num_classes}; add a class_map"]


class MixedScenesSource(Source):
    """The embedded landscapes, drawn from a seed.

    Attributes:
        train, val: number of images to draw.
        size: their width and height in pixels.
        seed: of the draws.
    """

    num_own_classes = 8

    adapter: Literal["mixed_scenes"]
    train: int = Field(default=0, ge=0)
    val: int = Field(default=0, ge=0)
    size: tuple[int, int] = (256, 256)
    seed: int = 1

    def problems(self, num_classes: int) -> list[str]:
        """As of every source, and what keeps these scenes from being drawn."""
        problems = super().problems(num_classes)
        if self.train + self.val == 0:
            problems.append("the source mixed_scenes draws no images; set train and val to how many there shall be")
        problems += [
            f"the source mixed_scenes has {split}: {count}; ask for at most {MOST_SCENES}"
            for split, count in (("train", self.train), ("val", self.val))
            if count > MOST_SCENES
        ]
        if min(self.size) < SMALLEST_SIDE:
            problems.append(
                f"the source mixed_scenes has size: {list(self.size)}; "
                f"both sides (width, height) must be at least {SMALLEST_SIDE} pixels"
            )
        if self.seed < 0:
            problems.append(f"the source mixed_scenes has seed: {self.seed}; set 0 or more")
        return problems


class FileSource(Source):
    """Files in a folder or a bucket.

    Attributes:
        root: folder or ``s3://bucket/prefix``.
    """

    root: str = ""

    def problems(self, num_classes: int) -> list[str]:
        """As of every source, and whether it is said where the files are."""
        missing = f"the source {self.adapter} needs root: the folder or s3:// address of its images"
        return ([] if self.root else [missing]) + super().problems(num_classes)


class OutdoorScenesSource(FileSource):
    """Outdoor Scenes (Wang et al., CVPR 2018)."""

    num_own_classes = 8
    adapter: Literal["outdoor_scenes"]


class CityscapesSource(FileSource):
    """Cityscapes (Cordts et al., CVPR 2016).

    Attributes:
        unlabelled: also train on the 1,525 test images, without labels.
    """

    num_own_classes = 19
    adapter: Literal["cityscapes"]
    unlabelled: bool = True


class CamvidSource(FileSource):
    """CamVid (Brostow et al., ECCV 2008)."""

    num_own_classes = 11
    adapter: Literal["camvid"]


class StanfordBackgroundSource(FileSource):
    """Stanford Background (Gould et al., ICCV 2009)."""

    num_own_classes = 8
    adapter: Literal["stanford_background"]


class MSRCv2Source(FileSource):
    """MSRC v2 (Shotton et al., ECCV 2006)."""

    num_own_classes = 8
    adapter: Literal["msrc_v2"]


class SplitSource(FileSource):
    """Images that come without a split.

    Attributes:
        val_ratio: share of images held out for evaluation, by hash of the key: a tenth, and all of a dataset of
            ``transfer``, unless it is named.
    """

    val_ratio: float = Field(default=0.1, ge=0, le=1)


class Places2Source(SplitSource):
    """Places2 (Zhou et al., TPAMI 2018); where it has ``val_256``, no share is held out."""

    adapter: Literal["places2"]


class FolderSource(SplitSource):
    """A user's own images.

    Attributes:
        label_root: folder of label PNGs (None: no labels).
        held_out: so many images are held out instead of a share, those whose file name has the smallest SHA-256.
        part: which images there are: ``all``, or only one of the two sides of ``held_out``, so that one dataset trains
            on the one and another evaluates on the other.
    """

    adapter: Literal["folder"]
    label_root: str | None = None
    held_out: int | None = Field(default=None, gt=0)
    part: Literal["all", "train", "held_out"] = "all"


AnySource = Annotated[
    MixedScenesSource
    | OutdoorScenesSource
    | CityscapesSource
    | CamvidSource
    | StanfordBackgroundSource
    | MSRCv2Source
    | Places2Source
    | FolderSource,
    Field(discriminator="adapter"),
]
"""What an item of ``sources`` may be."""

SOURCES: Mapping[str, type[Source]] = {
    get_args(kind.model_fields["adapter"].annotation)[0]: kind for kind in get_args(get_args(AnySource)[0])
}
"""From an adapter's name to its settings."""


def _class_map_problems(
    adapter: str, class_map: Mapping[int, int], own_classes: int | None, num_classes: int
) -> list[str]:
    problems = []
    for raw, target in sorted(class_map.items()):
        if own_classes is not None and not 0 <= raw < own_classes:
            problems.append(f"class_map of {adapter} names the class {raw}, but its classes are 0 … {own_classes - 1}")
        if target != IGNORE_ID and not 0 <= target < num_classes:
            problems.append(
                f"class_map of {adapter} sends {raw} to {target}, but the label space's ids are 0 … {num_classes - 1}"
            )
    return problems
