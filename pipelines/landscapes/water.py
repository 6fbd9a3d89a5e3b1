"""Water: it mirrors what stands on the far shore, broken by ripples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.landscapes.canvas import Canvas, View
from pipelines.landscapes.ground import WATER, Ground
from pipelines.landscapes.light import Light
from pipelines.landscapes.noise import Floats, Integers, Triple, fractal_noise, smooth_step


@dataclass(frozen=True)
class Ripples:
    """The water's surface.

    Attributes:
        strength: 0 = a mirror, 1 = choppy.
        colour: linear RGB of its depth.
        foam: strength of the surf at the shore, 0–1.
        salt: which waves.
    """

    strength: float
    colour: Triple
    foam: float
    salt: int


def paint_water(view: View, canvas: Canvas, light: Light, ripples: Ripples, ground: Ground, top: int) -> None:
    """Colour all pixels labelled water from what is painted above them, in place."""
    water = canvas.label[top:] == WATER
    rows = np.flatnonzero(water.any(axis=1))
    if not len(rows):
        return
    first = top + int(rows[0])
    water = canvas.label[first:] == WATER
    x, z = ground.x[first - top :], ground.z[first - top :]
    middle = z[:, view.width // 2]
    waves = _waves(ripples, x, middle)
    shore = _shore_rows(canvas, first)
    mirrored = _mirror(view, canvas, ripples, waves, shore, first)
    # Fresnel: the flatter the gaze, the more the water mirrors.
    steepness = view.eye / np.sqrt(middle * middle + np.float32(view.eye * view.eye))
    reflectance = np.clip(0.94 - 1.5 * steepness, 0.30, 0.9)[:, None]
    reflectance = np.clip(reflectance + waves * np.float32(0.22 * ripples.strength), 0.12, 0.95)[..., None]
    body = np.array(ripples.colour, np.float32) * (light.sky_colour + light.sun_colour * np.float32(0.5 * light.sun[1]))
    colour = body + reflectance * (mirrored - body)
    colour *= (1 + waves * np.float32(0.16 * ripples.strength))[..., None]
    _add_glitter(view, light, colour, waves, first)
    if ripples.foam:
        _add_surf(light, ripples, colour, ground.height[first - top :], waves)
    hazy = light.through_haze(colour, z)
    canvas.colour[first:][water] = hazy[water]


def _waves(ripples: Ripples, x: Floats, z: Floats) -> Floats:
    """(n, W) slope of the waves in about -1 … 1, long along the shore and short towards the camera."""
    swell = fractal_noise(x * np.float32(0.35), z * np.float32(0.9), ripples.salt, 2)
    chop = fractal_noise(x * np.float32(1.9), z * np.float32(4.5), ripples.salt + 17, 2)
    return swell * np.float32(0.5) + chop * np.float32(0.6)


def _shore_rows(canvas: Canvas, first: int) -> Integers:
    """(n, W) the last row above each pixel that shows no water."""
    rows = np.arange(first - 1, canvas.label.shape[0], dtype=np.int32)[:, None]
    start = max(first - 1, 0)
    dry = np.where(canvas.label[start:] == WATER, np.int32(first - 1), rows[rows[:, 0] >= start])
    return np.maximum.accumulate(dry, axis=0)[first - start :]


def _mirror(view: View, canvas: Canvas, ripples: Ripples, waves: Floats, shore: Integers, first: int) -> Floats:
    """(n, W, 3) what the water mirrors: the image turned over at the shore, shaken by the waves."""
    rows = np.arange(first, view.height, dtype=np.float32)[:, None]
    below = rows - shore
    shake = waves * (below * np.float32(0.55 * ripples.strength) + np.float32(0.004 * view.height))
    # What lies above the image's edge is unknown; the sky just below the edge stands for it.
    source = np.minimum(np.abs(np.minimum(shore - below + shake, shore)), view.height - 1).astype(np.int32)
    sideways = (waves * np.float32(0.012 * ripples.strength * view.height)).astype(np.int32)
    column = np.clip(np.arange(view.width, dtype=np.int32) + sideways, 0, view.width - 1)
    flat = canvas.colour.reshape(-1, 3)
    mirrored: Floats = flat.take(source * np.int32(view.width) + column, axis=0)
    return mirrored


def _add_glitter(view: View, light: Light, colour: Floats, waves: Floats, first: int) -> None:
    """The sun's path on the water, where the sun stands ahead."""
    if light.sun[2] < 0.12:
        return
    sun_x = np.float32(view.focal * light.sun[0] / light.sun[2])
    across = (view.x - sun_x) / (
        np.float32(0.05) + (view.y[first:, None] - np.float32(view.horizon)) * np.float32(0.35)
    )
    sparkle = smooth_step(waves, 0.25, 0.6) / (1 + across * across)
    colour += sparkle[..., None] * (light.sun_colour * np.float32(0.5))


def _add_surf(light: Light, ripples: Ripples, colour: Floats, height: Floats, waves: Floats) -> None:
    """Foam in shallow water, in place."""
    shallow = smooth_step(height + np.float32(0.28) + waves * np.float32(0.25), 0.0, 0.22)
    white = np.array([0.75, 0.78, 0.8], np.float32) * (light.sky_colour + light.sun_colour * np.float32(light.sun[1]))
    colour += (shallow * np.float32(ripples.foam))[..., None] * (white - colour)
