"""Buildings: walls and roofs as planes in perspective, with windows, doors and masonry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from pipelines.landscapes.canvas import Canvas, Patch, View, patch_of, stamp
from pipelines.landscapes.facades import Facade, Face, face_colour
from pipelines.landscapes.ground import BUILDING
from pipelines.landscapes.light import Light
from pipelines.landscapes.noise import Floats, Triple

Roof = Literal["gable", "hip", "flat"]
Vector = npt.NDArray[np.float64]
_NEAREST = 1.2
"""Metres. A building that reaches closer to the camera's plane than this is not drawn."""


@dataclass(frozen=True)
class Building:
    """A box with a roof on it.

    Attributes:
        x, z: middle of its footprint, metres.
        width, depth: of the footprint, metres.
        height: of the walls, metres.
        turn: (cosine, sine) of its rotation about the vertical.
        roof, roof_height: shape and height above the walls, metres.
        facade: its walls.
        tiles: linear RGB of the roof.
    """

    x: float
    z: float
    width: float
    depth: float
    height: float
    turn: tuple[float, float]
    roof: Roof
    roof_height: float
    facade: Facade
    tiles: Triple


@dataclass(frozen=True)
class _Plane:
    """A planar face: ``origin`` + a·``across`` + b·``up`` for 0 ≤ a, b ≤ 1, metres; the edges are at right angles.

    At b = 1 its sides have moved in by ``lean`` of its width: ½ makes it a triangle.
    """

    origin: Vector
    across: Vector
    up: Vector
    lean: float = 0.0


def paint_building(view: View, canvas: Canvas, light: Light, building: Building, foot: float) -> None:
    """Draw a building whose ground floor lies ``foot`` metres above the water."""
    for kind, plane in _faces(building, foot):
        _paint(view, canvas, light, building, plane, kind)


def _faces(building: Building, foot: float) -> list[tuple[Face, _Plane]]:
    """Four walls, gables, roof planes, in the order of painting; across × up points inwards."""
    cosine, sine = building.turn
    a = np.array([cosine, 0, sine], np.float64) * building.width
    c = np.array([-sine, 0, cosine], np.float64) * building.depth
    up = np.array([0, building.height, 0], np.float64)
    base = np.array([building.x, foot - 0.3, building.z], np.float64) - a / 2 - c / 2
    walls = [_Plane(base, a, up), _Plane(base + a, c, up), _Plane(base + a + c, -a, up), _Plane(base + c, -c, up)]
    faces: list[tuple[Face, _Plane]] = [("front" if number == 0 else "wall", wall) for number, wall in enumerate(walls)]
    rise = np.array([0, building.roof_height, 0], np.float64)
    eaves = base + up
    if building.roof == "gable":
        faces += [("gable", _Plane(eaves + a, c, rise, 0.5)), ("gable", _Plane(eaves + c, -c, rise, 0.5))]
        faces += [("roof", _pitch(eaves, a, c / 2 + rise)), ("roof", _pitch(eaves + a + c, -a, -c / 2 + rise))]
    elif building.roof == "hip":
        inset = min(0.5, 0.5 * building.depth / building.width)
        faces += [("roof", plane) for plane in _hip(eaves, a, c, rise, inset)]
    return faces


def _pitch(eaves: Vector, across: Vector, up: Vector) -> _Plane:
    """One side of a gable roof, which overhangs the walls on three sides."""
    return _Plane(eaves - 0.05 * across - 0.14 * up, across * 1.1, up * 1.14)


def _hip(eaves: Vector, a: Vector, c: Vector, rise: Vector, inset: float) -> list[_Plane]:
    """Four planes that meet in a ridge, or in a point where ``inset`` is ½."""
    return [
        _Plane(eaves, a, c / 2 + rise, inset),
        _Plane(eaves + a + c, -a, -c / 2 + rise, inset),
        _Plane(eaves + a, c, -a * inset + rise, 0.5),
        _Plane(eaves + c, -c, a * inset + rise, 0.5),
    ]


def _paint(view: View, canvas: Canvas, light: Light, building: Building, plane: _Plane, kind: Face) -> None:
    """Draw one face, unless it turns away from the camera."""
    corner = plane.origin - np.array([0, view.eye, 0])
    normal = _cross(plane.across, plane.up)
    offset = _dot(normal, corner)
    patch = _bounds(view, plane) if offset > 1e-3 else None
    if patch is None:
        return
    ray_x = patch.x * np.float32(1 / view.focal)
    ray_y = (np.float32(view.horizon) - patch.y) * np.float32(1 / view.focal)
    approach = np.float32(normal[0]) * ray_x + (np.float32(normal[1]) * ray_y + np.float32(normal[2]))
    z = np.float32(offset) / np.maximum(approach, np.float32(1e-6))
    along = _coordinate(plane.across, corner, ray_x, ray_y, z)
    upward = _coordinate(plane.up, corner, ray_x, ray_y, z)
    shape = (upward >= 0) & (upward <= 1)
    shape &= (along >= upward * np.float32(plane.lean)) & (along <= 1 - upward * np.float32(plane.lean))
    metres = _length(plane.across), _length(plane.up)
    facing = max(-_dot(normal, np.array(light.sun)), 0.0)
    colour = face_colour(
        light,
        building.facade,
        building.tiles,
        kind,
        along,
        upward,
        metres,
        facing,
        z * np.float32(1 / (view.focal * view.height)),
    )
    stamp(canvas, patch, light.through_haze(colour, z), shape, BUILDING, z)


def _coordinate(edge: Vector, corner: Vector, ray_x: Floats, ray_y: Floats, z: Floats) -> Floats:
    """How far along ``edge`` (0–1) the points at depth ``z`` of the rays lie, from ``corner``."""
    squared = _dot(edge, edge)
    scaled = (edge / squared).astype(np.float32)
    share: Floats = z * (scaled[0] * ray_x + (scaled[1] * ray_y + scaled[2])) - np.float32(_dot(edge, corner) / squared)
    return share


def _bounds(view: View, plane: _Plane) -> Patch | None:
    """The pixels that a face may cover."""
    corners = [plane.origin + a * plane.across + b * plane.up for a in (0, 1) for b in (0, 1)]
    if min(corner[2] for corner in corners) < _NEAREST:
        return None
    x = [view.column(corner[0], corner[2]) for corner in corners]
    y = [view.row(corner[1], corner[2]) for corner in corners]
    return patch_of(view, min(x), max(x), min(y), max(y))


def _cross(a: Vector, b: Vector) -> Vector:
    """Unit normal of two edges."""
    normal = np.array([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])
    return normal / _length(normal)


def _dot(a: Vector, b: Vector) -> float:
    # Spelled out: a library's dot product may add in another order, or fuse, on another machine.
    return float(a[0]) * float(b[0]) + float(a[1]) * float(b[1]) + float(a[2]) * float(b[2])


def _length(a: Vector) -> float:
    return float(np.sqrt(_dot(a, a)))
