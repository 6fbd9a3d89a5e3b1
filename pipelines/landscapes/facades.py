"""The surface of buildings: masonry, windows, doors and tiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipelines.landscapes.light import Light
from pipelines.landscapes.noise import Floats, Triple, random_at, texture_at

Face = Literal["front", "wall", "gable", "roof"]
Material = Literal["plaster", "brick", "wood", "glass"]


@dataclass(frozen=True)
class Facade:
    """How walls look.

    Attributes:
        material: what they are made of.
        paint, frame: linear RGB of the wall and of the window frames.
        floor, bay: height of a floor and width of a window's bay, metres.
        pane: share of a bay that is window, in each direction.
        door: whether the front has one.
        salt: which facade.
    """

    material: Material
    paint: Triple
    frame: Triple
    floor: float
    bay: float
    pane: tuple[float, float]
    door: bool
    salt: int


@dataclass(frozen=True)
class _Bays:
    """The grid of windows: whole numbers of floors and bays, and where in its bay each point lies (0–1)."""

    column: Floats
    floor: Floats
    across: Floats
    upward: Floats
    num_columns: int


def face_colour(
    light: Light,
    facade: Facade,
    tiles: Triple,
    kind: Face,
    along: Floats,
    upward: Floats,
    metres: tuple[float, float],
    facing: float,
    footprint: Floats,
) -> Floats:
    """Colours (h, w, 3) of a face before haze.

    Args:
        light: the scene's.
        facade, tiles: of the building.
        kind: which face.
        along, upward: (h, w) position on the face, 0–1.
        metres: width and height of the face.
        facing: cosine between the face and the sun, not below 0.
        footprint: (h, w) metres that a pixel covers.
    """
    across_metres, up_metres = along * np.float32(metres[0]), upward * np.float32(metres[1])
    stains = texture_at(across_metres * 14, up_metres * 14, facade.salt)
    direct = np.full_like(along, np.float32(facing))
    if kind == "roof":
        albedo = _tiles(tiles, across_metres, up_metres, stains, footprint)
        return albedo * light.on(direct)
    albedo = _masonry(facade, across_metres, up_metres, stains, footprint)
    # Under the eaves and at the foot of a wall less of the sky is seen.
    seen = np.clip((1 - upward) * np.float32(metres[1] * 2.2), 0.55, 1) * np.clip(0.7 + up_metres, 0.7, 1)
    colour: Floats = albedo * light.on(direct) * (seen if kind != "gable" else np.ones_like(seen))[..., None]
    if kind != "gable":
        _set_windows(light, facade, kind, colour, along, upward, metres, direct)
    return colour


def _masonry(facade: Facade, across: Floats, up: Floats, stains: Floats, footprint: Floats) -> Floats:
    """Albedo of the bare wall."""
    paint = np.array(facade.paint, np.float32)
    # Courses finer than two pixels would only alias.
    clearness = np.clip(np.float32(0.22) / footprint - 1, 0, 1)
    match facade.material:
        case "brick":
            course = np.floor(up * np.float32(4))
            shifted = across * np.float32(2) + course * np.float32(0.5)
            brick = random_at(np.floor(shifted).astype(np.int32), course.astype(np.int32), facade.salt) - 0.5
            mortar = ((up * 4 - course < 0.16) | (shifted - np.floor(shifted) < 0.08)) * np.float32(0.45)
            tone = 1 + 0.2 * stains + clearness * (0.5 * brick + mortar)
        case "wood":
            plank = up * np.float32(5)
            within = plank - np.floor(plank)
            tone = 1 + 0.25 * stains - clearness * 0.45 * (within < 0.2)
        case _:
            tone = 1 + 0.14 * stains
    albedo: Floats = paint * tone[..., None]
    return albedo


def _tiles(tiles: Triple, across: Floats, up: Floats, stains: Floats, footprint: Floats) -> Floats:
    """Albedo of a roof in rows of tiles."""
    course = up * np.float32(2.6)
    within = course - np.floor(course)
    one = random_at(np.floor(across * 3).astype(np.int32), np.floor(course).astype(np.int32), 77) - 0.5
    clearness = np.clip(np.float32(0.4) / footprint - 1, 0, 1)
    tone = 1 + 0.25 * stains + clearness * (0.25 * one - 0.35 * (within < 0.22))
    albedo: Floats = np.array(tiles, np.float32) * tone[..., None]
    return albedo


def _set_windows(
    light: Light,
    facade: Facade,
    kind: Face,
    colour: Floats,
    along: Floats,
    upward: Floats,
    metres: tuple[float, float],
    direct: Floats,
) -> None:
    """Put windows and a door into a wall, in place."""
    bays = _bays(facade, along, upward, metres)
    half_width, half_height = facade.pane[0] / 2, facade.pane[1] / 2
    dx, dy = np.abs(bays.across - 0.5), np.abs(bays.upward - 0.52)
    opening = (dx < half_width) & (dy < half_height)
    frame = (dx < half_width + 0.055) & (dy < half_height + 0.06) & ~opening
    frame |= opening & (dx < 0.025) & (facade.material != "glass")
    lintel = opening & (bays.upward > 0.52 + half_height - 0.09)
    door = np.zeros_like(opening)
    if facade.door and kind == "front":
        entrance = bays.column == bays.num_columns // 2
        door = entrance & (bays.floor == 0) & (bays.upward < 0.72) & (dx < 0.24)
        frame &= ~(entrance & (bays.floor == 0))
        opening &= ~(entrance & (bays.floor == 0))
    colour[frame] = (np.array(facade.frame, np.float32) * light.on(direct))[frame]
    panes = _glass(light, facade, bays, kind)
    panes[lintel] *= np.float32(0.45)
    colour[opening & ~frame] = panes[opening & ~frame]
    colour[door] = (np.array([0.10, 0.055, 0.03], np.float32) * light.on(direct))[door]


def _bays(facade: Facade, along: Floats, upward: Floats, metres: tuple[float, float]) -> _Bays:
    num_columns = max(int(metres[0] / facade.bay), 1)
    num_floors = max(int(metres[1] / facade.floor), 1)
    across, up = along * np.float32(num_columns), upward * np.float32(num_floors)
    column, floor = np.floor(across), np.floor(up)
    return _Bays(column, floor, across - column, up - floor, num_columns)


def _glass(light: Light, facade: Facade, bays: _Bays, kind: Face) -> Floats:
    """Colour of the panes: some mirror the sky, some are dark, and at dusk some are lit."""
    column = bays.column.astype(np.int32)
    draw = random_at(column, bays.floor.astype(np.int32), facade.salt + (0 if kind == "front" else 61))
    mirror = (0.10 + 0.30 * draw + 0.16 * bays.upward)[..., None]
    if facade.material == "glass":
        mirror = mirror + np.float32(0.28)
    panes: Floats = np.array([0.012, 0.015, 0.02], np.float32) + mirror * (light.zenith * 0.7 + light.horizon * 0.3)
    lit = (draw * 7 - np.floor(draw * 7)) < np.float32(light.lamps * 0.6)
    panes[lit] = np.array([1.5, 0.85, 0.32], np.float32)
    return panes
