"""Class names, their colours, and the id that means *ignore*."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

IGNORE_ID = 255
"""The label of a pixel that belongs to no class; no loss and no metric counts it."""


@dataclass(frozen=True)
class LabelSpace:
    """The semantic classes of a dataset: ids 0 … n-1 in the order of ``names``.

    Args:
        names: one name a class.
        colours: one RGB triple (0–255) a class, for pictures; made from the ids when empty.
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
            object.__setattr__(self, "colours", tuple(_spread_colour(i) for i in range(len(self.names))))

    @property
    def num_classes(self) -> int:
        """How many classes there are, *ignore* not counted."""
        return len(self.names)

    def colourise(self, label: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
        """Colour a label map (H, W) of class ids as RGB uint8 (H, W, 3); *ignore* is black."""
        palette = np.zeros((256, 3), np.uint8)
        palette[: self.num_classes] = self.colours
        return palette[label.astype(np.uint8)]


def _spread_colour(index: int) -> tuple[int, int, int]:
    """A colour for class ``index``: hues a golden ratio apart, so that neighbours differ."""
    hue = (index * 0.618034 + 0.1) % 1.0 * 6
    falling, rising = int(220 * (1 - hue % 1)), int(220 * (hue % 1))
    triples = [(220, rising, 40), (falling, 220, 40), (40, 220, rising), (40, falling, 220), (rising, 40, 220)]
    return (*triples, (220, 40, falling))[int(hue)]


OUTDOOR_SCENES = LabelSpace(
    ("background", "sky", "water", "grass", "mountain", "building", "plant", "animal"),
    (
        (150, 130, 115),
        (135, 190, 235),
        (45, 100, 200),
        (130, 200, 80),
        (125, 110, 150),
        (200, 90, 70),
        (25, 110, 45),
        (235, 180, 45),
    ),
)
"""The eight classes of Outdoor Scenes (Wang et al., CVPR 2018)."""

CITYSCAPES = LabelSpace(
    (
        "road",
        "sidewalk",
        "building",
        "wall",
        "fence",
        "pole",
        "traffic light",
        "traffic sign",
        "vegetation",
        "terrain",
        "sky",
        "person",
        "rider",
        "car",
        "truck",
        "bus",
        "train",
        "motorcycle",
        "bicycle",
    ),
    (
        (128, 64, 128),
        (244, 35, 232),
        (70, 70, 70),
        (102, 102, 156),
        (190, 153, 153),
        (153, 153, 153),
        (250, 170, 30),
        (220, 220, 0),
        (107, 142, 35),
        (152, 251, 152),
        (70, 130, 180),
        (220, 20, 60),
        (255, 0, 0),
        (0, 0, 142),
        (0, 0, 70),
        (0, 60, 100),
        (0, 80, 100),
        (0, 0, 230),
        (119, 11, 32),
    ),
)
"""The 19 training classes of Cityscapes (Cordts et al., CVPR 2016), by train id."""

CAMVID = LabelSpace(
    (
        "sky",
        "building",
        "pole",
        "road",
        "pavement",
        "tree",
        "sign",
        "fence",
        "car",
        "pedestrian",
        "bicyclist",
    ),
    (
        (128, 160, 220),
        (128, 0, 0),
        (192, 192, 128),
        (128, 64, 128),
        (60, 40, 222),
        (110, 128, 0),
        (192, 128, 128),
        (64, 64, 128),
        (64, 0, 128),
        (64, 64, 0),
        (0, 128, 192),
    ),
)
"""The 11 classes of CamVid as used by SegNet (Badrinarayanan et al., 2017)."""

STANFORD_BACKGROUND = LabelSpace(
    ("sky", "tree", "road", "grass", "water", "building", "mountain", "foreground object"),
)
"""The 8 classes of Stanford Background (Gould et al., ICCV 2009)."""
