"""Skies: a gradient, the sun's glow, and clouds on a plane above the camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.landscapes.canvas import View
from pipelines.landscapes.light import Light
from pipelines.landscapes.noise import Dice, Floats, fractal_noise, smooth_step


@dataclass(frozen=True)
class Clouds:
    """The clouds of a scene.

    Attributes:
        cover: 0 = clear, 1 = closed.
        size: how large a cloud is; 1 is a fair-weather cumulus.
        stretch: how much longer than deep clouds are (cirrus and layers are above 1).
        softness: 0 = hard edges, 1 = veils.
        salt: which clouds.
    """

    cover: float
    size: float
    stretch: float
    softness: float
    salt: int


def draw_clouds(dice: Dice) -> Clouds:
    """Clear, cumulus, cirrus or a layer."""
    salt = dice.salt()
    match dice.choice(("clear", "cumulus", "cumulus", "cumulus", "cirrus", "layer")):
        case "clear":
            return Clouds(dice.uniform(0.0, 0.15), 1.0, 1.5, 0.8, salt)
        case "cumulus":
            return Clouds(dice.uniform(0.35, 0.8), dice.uniform(0.8, 2.4), dice.uniform(1.0, 1.6), 0.15, salt)
        case "cirrus":
            return Clouds(dice.uniform(0.3, 0.6), dice.uniform(0.8, 1.5), dice.uniform(2.5, 4.0), 1.0, salt)
        case _:
            return Clouds(dice.uniform(0.7, 1.0), dice.uniform(1.0, 2.0), dice.uniform(1.5, 2.5), 0.6, salt)


def paint_sky(view: View, light: Light, clouds: Clouds, num_rows: int) -> Floats:
    """The top ``num_rows`` rows of an image of nothing but sky, (num_rows, width, 3) linear RGB."""
    above = view.horizon - view.y[:num_rows]
    # A long lens sees a narrow band of sky, which is close to the horizon's colour.
    rise = np.clip(above * np.float32(1.35 / view.focal), 0, 1)
    blend = 1 - (1 - rise) * (1 - rise)
    gradient = light.horizon + blend[:, None] * (light.zenith - light.horizon)
    glow = _glow(view, light, num_rows)
    colour: Floats = gradient[:, None, :] + glow[..., None] * (light.sun_colour * np.float32(0.5))
    if clouds.cover > 0.02:
        _add_clouds(colour, view, light, clouds, above, glow)
    return colour


def _glow(view: View, light: Light, num_rows: int) -> Floats:
    """(num_rows, width) brightness around the sun; a point behind the camera brightens nothing."""
    x, y, z = light.sun
    if z < 0.12:
        return np.zeros((num_rows, view.width), np.float32)
    dx = view.x - np.float32(view.focal * x / z)
    dy = view.y[:num_rows] - np.float32(view.horizon - view.focal * y / z)
    squared = (dy * dy)[:, None] + dx * dx
    halo = 1 / (1 + squared * 22)
    disc = smooth_step(0.0016 - squared, 0.0, 0.0008) * 3
    return halo * halo * np.float32(0.7) + disc


def _add_clouds(colour: Floats, view: View, light: Light, clouds: Clouds, above: Floats, glow: Floats) -> None:
    """Lay the clouds over the sky, in place."""
    distance = 1 / (np.maximum(above, 0) * np.float32(1 / view.focal) + 0.10)
    scale = np.float32(1.5 / clouds.size)
    x = view.x * np.float32(1 / view.focal) * distance[:, None] * (scale / np.float32(clouds.stretch))
    z = distance * scale
    thickness = fractal_noise(x, z, clouds.salt, 5, 0.55)
    # The same field a little nearer to the sun: where it is thinner, the cloud is lit.
    side = np.float32(0.16 * light.sun[0])
    towards_sun = fractal_noise(x + side, z - np.float32(0.20), clouds.salt, 3, 0.55)
    threshold = np.float32(0.75 - 1.3 * clouds.cover)
    density = smooth_step(thickness - threshold, 0.0, 0.18 + 0.7 * clouds.softness)
    density *= np.minimum(1, 0.35 + above * np.float32(4.5))[:, None] * np.float32(1 - 0.3 * clouds.softness)
    lit = np.clip(0.62 + 0.75 * (thickness - towards_sun) - 0.30 * (thickness - threshold), 0, 1)
    shade = light.cloud_dark + lit[..., None] * (light.cloud_bright - light.cloud_dark)
    shade += (glow * np.float32(0.35))[..., None] * light.sun_colour
    veil = light.haze_at(np.minimum(distance * np.float32(220), 4000.0)) * np.float32(0.75)
    shade += veil[:, None, None] * (light.horizon - shade)
    colour += density[..., None] * (shade - colour)
