"""Class names, their colours, and the id that means *ignore*."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

IGNORE_ID = 255
"""The label of a pixel that belongs to no class; no loss and no metric counts it."""

Colour = tuple[int, int, int]
"""RGB, 0–255."""

_TOO_NEAR = 40
"""Two colours are hard to tell apart when no channel differs by more."""

_FEW = 12
"""So many classes always find colours that are easily told apart."""

_NATURAL: dict[str, Colour] = {
    "background": (150, 130, 115),
    "sky": (135, 190, 235),
    "cloud": (215, 225, 235),
    "water": (45, 100, 200),
    "sea": (45, 100, 200),
    "river": (45, 100, 200),
    "lake": (45, 100, 200),
    "grass": (130, 200, 80),
    "field": (170, 190, 90),
    "mountain": (125, 110, 150),
    "rock": (140, 130, 125),
    "building": (200, 90, 70),
    "house": (200, 90, 70),
    "wall": (170, 140, 110),
    "plant": (25, 110, 45),
    "tree": (25, 110, 45),
    "vegetation": (25, 110, 45),
    "forest": (15, 85, 35),
    "animal": (235, 180, 45),
    "person": (220, 20, 60),
    "road": (95, 90, 100),
    "path": (190, 165, 125),
    "sand": (235, 215, 160),
    "snow": (240, 245, 250),
    "car": (110, 30, 140),
}


@dataclass(frozen=True)
class LabelSpace:
    """The semantic classes of a dataset: ids 0 … n-1 in the order of ``names``.

    Args:
        names: one name a class.
        colours: one RGB triple (0–255) a class, for the images that show labels; when empty, known names such as
            ``sky`` get their natural colour and the others one that differs from all before.
    """

    names: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= len(self.names) < IGNORE_ID:
            raise ValueError(f"a label space has 1 to {IGNORE_ID - 1} classes, found {len(self.names)}")
        if len(set(self.names)) != len(self.names):
            raise ValueError(f"class names must differ, found {self.names}")
        if self.colours and len(self.colours) != len(self.names):
            raise ValueError(f"{len(self.names)} classes need as many colours, found {len(self.colours)}")
        if not self.colours:
            object.__setattr__(self, "colours", _natural_colours(self.names))

    @classmethod
    def coloured(cls, colours: Mapping[str, Colour]) -> LabelSpace:
        """The classes of these names, in their order, with these colours."""
        return cls(tuple(colours), tuple(colours.values()))

    @property
    def num_classes(self) -> int:
        """How many classes there are, *ignore* not counted."""
        return len(self.names)

    def colourise(self, label: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
        """Colour a label map (H, W) of class ids as RGB uint8 (H, W, 3); *ignore* is black."""
        palette = np.zeros((256, 3), np.uint8)
        palette[: self.num_classes] = self.colours
        return palette[label.astype(np.uint8)]


def _natural_colours(names: Sequence[str]) -> tuple[Colour, ...]:
    """A colour a class: that of a known name, or of a hue that none of them has."""
    found: list[Colour | None] = []
    for name in names:
        colour = _NATURAL.get(name.lower())
        found.append(None if colour in found else colour)
    spread = itertools.count()
    for index, colour in enumerate(found):
        while colour is None:
            new = _spread_colour(next(spread))
            near = [other for other in found if other is not None and _distance(other, new) < _TOO_NEAR]
            # Where there are many classes, some are alike.
            colour = new if not near or len(names) > _FEW else None
        found[index] = colour
    return tuple(colour for colour in found if colour is not None)


def _distance(first: Colour, second: Colour) -> int:
    return max(abs(a - b) for a, b in zip(first, second, strict=True))


def _spread_colour(index: int) -> Colour:
    """A colour for class ``index``: hues a golden ratio apart, so that neighbours differ."""
    hue = (index * 0.618034 + 0.1) % 1.0 * 6
    falling, rising = int(220 * (1 - hue % 1)), int(220 * (hue % 1))
    triples = [(220, rising, 40), (falling, 220, 40), (40, 220, rising), (40, falling, 220), (rising, 40, 220)]
    return (*triples, (220, 40, falling))[int(hue)]


OUTDOOR_SCENES = LabelSpace(("background", "sky", "water", "grass", "mountain", "building", "plant", "animal"))
"""The eight classes of Outdoor Scenes (Wang et al., CVPR 2018)."""

CITYSCAPES = LabelSpace.coloured(
    {
        "road": (128, 64, 128),
        "sidewalk": (244, 35, 232),
        "building": (70, 70, 70),
        "wall": (102, 102, 156),
        "fence": (190, 153, 153),
        "pole": (153, 153, 153),
        "traffic light": (250, 170, 30),
        "traffic sign": (220, 220, 0),
        "vegetation": (107, 142, 35),
        "terrain": (152, 251, 152),
        "sky": (70, 130, 180),
        "person": (220, 20, 60),
        "rider": (255, 0, 0),
        "car": (0, 0, 142),
        "truck": (0, 0, 70),
        "bus": (0, 60, 100),
        "train": (0, 80, 100),
        "motorcycle": (0, 0, 230),
        "bicycle": (119, 11, 32),
    }
)
"""The 19 training classes of Cityscapes (Cordts et al., CVPR 2016), by train id."""

CAMVID = LabelSpace.coloured(
    {
        "sky": (128, 160, 220),
        "building": (128, 0, 0),
        "pole": (192, 192, 128),
        "road": (128, 64, 128),
        "pavement": (60, 40, 222),
        "tree": (110, 128, 0),
        "sign": (192, 128, 128),
        "fence": (64, 64, 128),
        "car": (64, 0, 128),
        "pedestrian": (64, 64, 0),
        "bicyclist": (0, 128, 192),
    }
)
"""The 11 classes of CamVid as used by SegNet (Badrinarayanan et al., 2017)."""

STANFORD_BACKGROUND = LabelSpace(
    ("sky", "tree", "road", "grass", "water", "building", "mountain", "foreground object"),
)
"""The 8 classes of Stanford Background (Gould et al., ICCV 2009)."""
