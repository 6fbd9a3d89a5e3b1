"""Round bodies in an image: unions of capsules with a normal at every pixel, for animals and tree crowns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.landscapes.noise import Bytes, Floats


@dataclass(frozen=True)
class Capsule:
    """A rounded limb from (x0, y0) with radius r0 to (x1, y1) with radius r1, in the body's own units."""

    x0: float
    y0: float
    x1: float
    y1: float
    r0: float
    r1: float


@dataclass(frozen=True)
class Body:
    """A union of capsules, evaluated at (h, w) points.

    Attributes:
        depth: above 0 inside: 1 on a limb's axis, 0 on its edge.
        part: index of the capsule that is seen.
        light: cosine between the surface and the sun, not below 0.
    """

    depth: Floats
    part: Bytes
    light: Floats


def join(limbs: tuple[Capsule, ...], u: Floats, v: Floats, sun: tuple[float, float, float]) -> Body:
    """Evaluate the union of ``limbs`` at (1, w) ``u`` to the right and (h, 1) ``v`` upwards."""
    shape = np.broadcast_shapes(u.shape, v.shape)
    depth = np.full(shape, -1e3, np.float32)
    light = np.zeros(shape, np.float32)
    part = np.zeros(shape, np.uint8)
    for number, limb in enumerate(limbs):
        dx, dy, squared = _offset(limb, u, v)
        inside = 1 - squared
        # A normal that points at the camera where the limb is thickest.
        towards = np.sqrt(np.maximum(inside, 0))
        cosine = dx * np.float32(sun[0]) + dy * np.float32(sun[1]) - towards * np.float32(sun[2])
        seen = inside > depth
        np.copyto(depth, inside, where=seen)
        np.copyto(light, cosine, where=seen)
        np.copyto(part, np.uint8(number), where=seen)
    return Body(depth, part, np.maximum(light, 0))


def _offset(limb: Capsule, u: Floats, v: Floats) -> tuple[Floats, Floats, Floats]:
    """Offset from the limb's axis in radii, and its square."""
    along = (limb.x1 - limb.x0, limb.y1 - limb.y0)
    squared_length = along[0] * along[0] + along[1] * along[1]
    x, y = u - np.float32(limb.x0), v - np.float32(limb.y0)
    if squared_length == 0:
        dx, dy = x * np.float32(1 / limb.r0), y * np.float32(1 / limb.r1)
        return dx, dy, dx * dx + dy * dy
    share = np.clip(x * np.float32(along[0] / squared_length) + y * np.float32(along[1] / squared_length), 0, 1)
    scale = 1 / (np.float32(limb.r0) + share * np.float32(limb.r1 - limb.r0))
    dx = (x - share * np.float32(along[0])) * scale
    dy = (y - share * np.float32(along[1])) * scale
    return dx, dy, dx * dx + dy * dy
