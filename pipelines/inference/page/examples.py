"""The example pictures: embedded scenes, drawn when they are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from pipelines.inference.page.pictures import Pixels
from pipelines.landscapes import render_scene

HEIGHT, WIDTH = 240, 320
_THUMBNAIL_SHRINKS = 3


@dataclass(frozen=True)
class Example:
    """A scene to try: its seed, and what a person would call it."""

    seed: int
    title: str


EXAMPLES = (
    Example(19, "Grazing sheep"),
    Example(44, "Mountain lake"),
    Example(5, "Brick house"),
    Example(71, "Cattle by a lake"),
    Example(116, "Autumn shore"),
    Example(3, "Village path"),
)
"""Mixed scenes of three to seven classes. Their seeds are far below those that training draws from."""


@lru_cache(maxsize=len(EXAMPLES))
def example_picture(number: int) -> Pixels:
    """The picture of an example, (240, 320, 3) uint8; not to be written to."""
    pixels = render_scene(EXAMPLES[number].seed, HEIGHT, WIDTH).image
    pixels.flags.writeable = False
    return pixels


@lru_cache(maxsize=len(EXAMPLES))
def example_thumbnail(number: int) -> Pixels:
    """The same scene, small."""
    seed = EXAMPLES[number].seed
    return render_scene(seed, HEIGHT // _THUMBNAIL_SHRINKS, WIDTH // _THUMBNAIL_SHRINKS).image
