"""The examples: embedded scenes, drawn when they are asked for, and photographs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from pipelines.inference.images import Photo, decode_photo
from pipelines.inference.page.images import Pixels, shrink
from pipelines.landscapes import render_scene

HEIGHT, WIDTH = 240, 320
CREDIT = "Photographs: Aitzol Berasategi 2018, CC BY 4.0, made smaller."
_PHOTOS = Path(__file__).with_name("photos")
_THUMBNAIL_SIDE = 160


@dataclass(frozen=True)
class ExampleImage:
    """An image to try.

    Attributes:
        title: what a person would call it.
        seed: of an embedded scene; None for a photograph.
        file: of a photograph, below ``photos``.
    """

    title: str
    seed: int | None = None
    file: str = ""


EXAMPLES = (
    ExampleImage("Grazing sheep", 19),
    ExampleImage("Mountain lake", 44),
    ExampleImage("Brick house", 5),
    ExampleImage("Cattle by a lake", 71),
    ExampleImage("Autumn shore", 116),
    ExampleImage("Mountain meadow (photograph)", file="mountain_meadow.jpg"),
    ExampleImage("Forest stream (photograph)", file="forest_stream.jpg"),
    ExampleImage("Rocky path (photograph)", file="rocky_path.jpg"),
)
"""Mixed scenes of three to seven classes. The seeds are far below those that training draws from, and the photographs
were never trained on."""


def example_photo(number: int) -> Photo:
    """An example as if it were uploaded."""
    example = EXAMPLES[number]
    if example.seed is None:
        return decode_photo((_PHOTOS / example.file).read_bytes(), f"the example {example.title}")
    return Photo(example_image(number))


@lru_cache(maxsize=len(EXAMPLES))
def example_image(number: int) -> Pixels:
    """The pixels of an example, uint8 RGB, (240, 320, 3) of a scene; not to be written to."""
    seed = EXAMPLES[number].seed
    pixels = example_photo(number).rgb if seed is None else render_scene(seed, HEIGHT, WIDTH).image
    pixels = np.ascontiguousarray(pixels)
    pixels.flags.writeable = False
    return pixels


@lru_cache(maxsize=len(EXAMPLES))
def example_thumbnail(number: int) -> Pixels:
    """The same, small."""
    return shrink(example_image(number), _THUMBNAIL_SIDE)
