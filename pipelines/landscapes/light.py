"""Times of day: the sun, the sky's light and the haze."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.landscapes.noise import Dice, Floats, Triple


@dataclass(frozen=True)
class Light:
    """What lights a scene. Colours are linear RGB, 1 = a white surface in daylight.

    Attributes:
        sun: unit vector towards the sun (x right, y up, z into the image).
        sun_colour, sky_colour: direct light, and the diffuse light of the sky.
        zenith, horizon: the sky's own colours.
        cloud_bright, cloud_dark: clouds on their lit and shaded side.
        haze_distance: metres after which most of the horizon's colour lies over a surface.
        exposure: factor before the tone curve.
        lamps: how brightly windows are lit from inside, 0–1.
    """

    sun: Triple
    sun_colour: Floats
    sky_colour: Floats
    zenith: Floats
    horizon: Floats
    cloud_bright: Floats
    cloud_dark: Floats
    haze_distance: float
    exposure: float
    lamps: float

    def on(self, facing: Floats) -> Floats:
        """Light on surfaces: ``facing`` (…) is the cosine to the sun, shadow included → (…, 3)."""
        return facing[..., None] * self.sun_colour + self.sky_colour

    def through_haze(self, colour: Floats, z: Floats) -> Floats:
        """Colours (…, 3) as they look from ``z`` (…) metres away."""
        veil = self.haze_at(z)[..., None]
        return colour + veil * (self.horizon - colour)

    def haze_at(self, z: Floats) -> Floats:
        """How much of the horizon's colour lies over a surface ``z`` metres away, 0–1."""
        thickness = z * np.float32(1 / self.haze_distance)
        return 1 - 1 / (1 + thickness * (0.6 + 0.5 * thickness))


@dataclass(frozen=True)
class _Hour:
    sun_colour: Triple
    sky_colour: Triple
    zenith: Triple
    horizon: Triple
    cloud_bright: Triple
    cloud_dark: Triple
    elevation: tuple[float, float]
    haze_distance: tuple[float, float]
    exposure: float
    lamps: float


NOON = _Hour(
    sun_colour=(2.35, 2.2, 1.95),
    sky_colour=(0.36, 0.45, 0.60),
    zenith=(0.10, 0.26, 0.62),
    horizon=(0.58, 0.74, 0.92),
    cloud_bright=(1.15, 1.14, 1.12),
    cloud_dark=(0.50, 0.56, 0.64),
    elevation=(0.7, 1.5),
    haze_distance=(1800, 5200),
    exposure=1.0,
    lamps=0.0,
)
GOLDEN = _Hour(
    sun_colour=(2.6, 1.62, 0.80),
    sky_colour=(0.42, 0.45, 0.56),
    zenith=(0.17, 0.31, 0.58),
    horizon=(0.98, 0.72, 0.44),
    cloud_bright=(1.25, 0.92, 0.62),
    cloud_dark=(0.44, 0.40, 0.46),
    elevation=(0.18, 0.4),
    haze_distance=(1100, 3000),
    exposure=1.05,
    lamps=0.15,
)
OVERCAST = _Hour(
    sun_colour=(0.42, 0.42, 0.42),
    sky_colour=(0.84, 0.88, 0.94),
    zenith=(0.46, 0.51, 0.58),
    horizon=(0.76, 0.79, 0.82),
    cloud_bright=(0.82, 0.84, 0.86),
    cloud_dark=(0.40, 0.43, 0.48),
    elevation=(0.8, 1.5),
    haze_distance=(700, 2200),
    exposure=1.0,
    lamps=0.1,
)
DUSK = _Hour(
    sun_colour=(0.85, 0.42, 0.30),
    sky_colour=(0.27, 0.28, 0.42),
    zenith=(0.07, 0.11, 0.30),
    horizon=(0.90, 0.46, 0.34),
    cloud_bright=(0.98, 0.46, 0.36),
    cloud_dark=(0.17, 0.15, 0.26),
    elevation=(0.08, 0.2),
    haze_distance=(1500, 4000),
    exposure=1.12,
    lamps=0.85,
)
MISTY = _Hour(
    sun_colour=(1.3, 1.1, 0.82),
    sky_colour=(0.58, 0.62, 0.68),
    zenith=(0.44, 0.54, 0.68),
    horizon=(0.88, 0.85, 0.80),
    cloud_bright=(1.0, 0.97, 0.92),
    cloud_dark=(0.60, 0.62, 0.66),
    elevation=(0.25, 0.6),
    haze_distance=(260, 700),
    exposure=1.0,
    lamps=0.05,
)
_HOURS = (NOON, NOON, NOON, NOON, GOLDEN, GOLDEN, GOLDEN, OVERCAST, OVERCAST, DUSK, MISTY)


def draw_light(dice: Dice) -> Light:
    """A time of day with its own weather."""
    hour = dice.choice(_HOURS)
    sun = (dice.uniform(0.35, 1.0) * (1 if dice.chance(0.5) else -1), dice.uniform(*hour.elevation))
    ahead = dice.uniform(-1.0, 0.55)
    length = float(np.sqrt(sun[0] * sun[0] + sun[1] * sun[1] + ahead * ahead))
    warmth = dice.uniform(-0.06, 0.06)
    tint = np.array([1 + warmth, 1, 1 - warmth], np.float32)
    return Light(
        sun=(sun[0] / length, sun[1] / length, ahead / length),
        sun_colour=_colour(hour.sun_colour) * tint,
        sky_colour=_colour(hour.sky_colour),
        zenith=_colour(hour.zenith) * np.float32(dice.uniform(0.8, 1.2)),
        horizon=_colour(hour.horizon) * tint,
        cloud_bright=_colour(hour.cloud_bright) * tint,
        cloud_dark=_colour(hour.cloud_dark),
        haze_distance=dice.uniform(*hour.haze_distance),
        exposure=hour.exposure * dice.uniform(0.88, 1.15),
        lamps=hour.lamps,
    )


def _colour(rgb: Triple) -> Floats:
    return np.array(rgb, np.float32)
