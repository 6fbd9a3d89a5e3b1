"""What grows or lies on the land: grass, flowers, soil, sand, paths, rock and snow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.landscapes.canvas import View
from pipelines.landscapes.light import Light
from pipelines.landscapes.noise import (
    Bytes,
    Floats,
    Triple,
    fractal_noise,
    graded_texture,
    random_at,
    smooth_step,
    texture_at,
    value_noise,
)
from pipelines.landscapes.terrain import Hits, Relief, Slices

BACKGROUND, SKY, WATER, GRASS, MOUNTAIN, BUILDING, PLANT, ANIMAL = range(8)
"""Class ids of ``sgenet.label_space.OUTDOOR_SCENES``."""


@dataclass(frozen=True)
class Cover:
    """The surface of the land.

    Attributes:
        grass: share of the ground under grass, 0–1.
        patch: size of bare patches, metres.
        path: half the width of a path, metres; 0 is none.
        path_at: where the path runs, metres to the right per metre of depth.
        beach: metres above the water up to which the shore is bare.
        meadow, dry_grass, soil, rock: linear RGB of the surfaces.
        flowers: share of the near grass in flower.
        snow_line: metres above which snow lies.
        green_line: metres below which mountains are green.
        salt: which ground.
    """

    grass: float
    patch: float
    path: float
    path_at: float
    beach: float
    meadow: Triple
    dry_grass: Triple
    soil: Triple
    rock: Triple
    flowers: float
    snow_line: float
    green_line: float
    salt: int


@dataclass(frozen=True)
class Ground:
    """The hit ground points, all (rows, W) but the colour.

    Attributes:
        colour: (rows, W, 3) linear RGB, before haze.
        label: class ids.
        x, z: metres to the right and of depth.
        height: metres above the water.
    """

    colour: Floats
    label: Bytes
    x: Floats
    z: Floats
    height: Floats


def colour_ground(view: View, light: Light, relief: Relief, cover: Cover, slices: Slices, hits: Hits) -> Ground:
    """Colour and label the ground of every pixel from ``hits.top`` down; water keeps the colour of its bed."""
    z = 1 / hits.between(np.broadcast_to((1 / slices.z)[:, None], slices.x.shape).copy())
    x = view.x * z * np.float32(1 / view.focal)
    height = hits.between(slices.height)
    rockiness = hits.between(slices.rockiness)
    facing = hits.between(slices.facing)
    bare = hits.between(_bareness(cover, slices))
    fine, coarse = _textures(view, cover, hits, x, z)
    label = np.where(bare + 0.22 * fine > 0, np.uint8(BACKGROUND), np.uint8(GRASS))
    if relief.shore is not None:
        label[height < np.float32(cover.beach) * (1 + 0.5 * fine)] = BACKGROUND
    rock = np.ones_like(z, bool) if relief.all_rock else rockiness > 5
    label[rock] = MOUNTAIN
    if relief.shore is not None:
        label[height < 0] = WATER
    albedo = _low_ground(view, cover, hits, label, fine, coarse, x, z)
    if rock.any():
        stone, relief_light = _mountain_side(view, cover, hits, slices, fine, x, height, z, light)
        blend = np.ones_like(z) if relief.all_rock else smooth_step(rockiness, 2, 9)
        albedo += blend[..., None] * (stone - albedo)
        facing = np.clip(facing + blend * relief_light, 0, 1)
    facing = np.clip(facing * (1 + 0.35 * fine), 0, 1)
    return Ground(albedo * light.on(facing), label, x, z, height)


def _bareness(cover: Cover, slices: Slices) -> Floats:
    """(K, W) above 0 where no grass grows."""
    scale = np.float32(1 / cover.patch)
    bare: Floats = fractal_noise(slices.x * scale, slices.z * scale, cover.salt, 3) + np.float32(1.5 - 3 * cover.grass)
    if cover.path:
        bend = value_noise(np.zeros((len(slices.z), 1), np.float32), slices.z * np.float32(1 / 28), cover.salt + 5)
        middle = slices.z[:, None] * np.float32(cover.path_at) + bend * np.minimum(slices.z, 60)[:, None] * 0.16
        bare = np.maximum(bare, (np.float32(cover.path) - np.abs(slices.x - middle)) * np.float32(1.2))
    return bare.clip(-1.5, 1.5)


def _textures(view: View, cover: Cover, hits: Hits, x: Floats, z: Floats) -> tuple[Floats, Floats]:
    """Fine (about a pixel) and coarse (many pixels) texture of the ground, finer with distance."""
    fine = graded_texture(x, z * np.float32(0.6), z, 0.8 * view.height / view.focal, cover.salt)
    coarse = texture_at(x * np.float32(6), z * np.float32(4), cover.salt + 77)
    return fine, coarse


def _low_ground(
    view: View, cover: Cover, hits: Hits, label: Bytes, fine: Floats, coarse: Floats, x: Floats, z: Floats
) -> Floats:
    """Albedo (rows, W, 3) of grass and bare ground."""
    rows = view.y[hits.top :, None] * np.float32(view.height)
    # Blades of grass stand up: strokes a pixel wide and several high, clearer near the camera.
    nearness = 1 / (1 + z * np.float32(0.09))
    pixels, strokes = view.x * np.float32(view.height), rows * np.float32(0.3)
    blades = texture_at(pixels, strokes, cover.salt + 9) - texture_at(pixels + 2, strokes + 1, cover.salt + 9)
    dryness = np.clip(0.35 + 0.55 * coarse + 0.4 * fine, 0, 1)[..., None]
    meadow, dry = np.array(cover.meadow, np.float32), np.array(cover.dry_grass, np.float32)
    grass = (meadow + dryness * (dry - meadow)) * (1 + 0.8 * nearness * blades + 0.55 * fine)[..., None]
    soil = np.array(cover.soil, np.float32) * (1 + 0.40 * fine + 0.30 * coarse)[..., None]
    albedo = np.where((label == GRASS)[..., None], grass, soil)
    if cover.flowers:
        _strew_flowers(cover, albedo, label, x, z)
    return np.maximum(albedo, np.float32(0.004))


def _strew_flowers(cover: Cover, albedo: Floats, label: Bytes, x: Floats, z: Floats) -> None:
    """Put dots of colour on the near grass, in place."""
    column = np.floor(x * np.float32(22)).astype(np.int32)
    row = np.floor(z * np.float32(13)).astype(np.int32)
    draw = random_at(column, row, cover.salt + 401)
    flower = (draw < np.float32(cover.flowers) * np.clip(1.2 - z * 0.05, 0, 1)) & (label == GRASS)
    palette = np.array([(0.8, 0.75, 0.7), (0.75, 0.5, 0.05), (0.55, 0.06, 0.08), (0.35, 0.2, 0.55)], np.float32)
    kind = (cover.salt + (draw[flower] * np.float32(2 / cover.flowers)).astype(np.int32)) & 3
    albedo[flower] = palette[kind]


def _mountain_side(
    view: View,
    cover: Cover,
    hits: Hits,
    slices: Slices,
    fine: Floats,
    x: Floats,
    height: Floats,
    z: Floats,
    light: Light,
) -> tuple[Floats, Floats]:
    """Albedo (rows, W, 3) of mountains, and what their fine relief adds to the light (rows, W)."""
    texels = 0.3 * view.height / view.focal
    step = z * np.float32(2.5 / texels)
    v = height * np.float32(1.5) + z * np.float32(0.5)
    bumps = graded_texture(x, v, z, texels, cover.salt + 55)
    shifted = graded_texture(
        x + step * np.float32(light.sun[0]), v + step * np.float32(0.7), z, texels, cover.salt + 55
    )
    crags = (bumps - shifted) * np.float32(0.8 * light.sun[1] + 0.2) + 0.12 * fine
    rough = bumps + 0.5 * fine
    rock = np.array(cover.rock, np.float32) * (1 + 0.45 * rough)[..., None]
    green = smooth_step(np.float32(cover.green_line) * (1 + 0.5 * rough) - height, 0, 40)[..., None]
    # Woods and alps from afar: the darker the hollow, the more trees.
    alps = np.array(cover.meadow, np.float32) * np.clip(0.55 + 0.55 * rough, 0.2, 1)[..., None]
    rock += green * (alps - rock)
    steep = hits.between(np.abs(_slope(slices)))
    line = np.float32(cover.snow_line) * (1 + 0.16 * rough) + steep * np.float32(28)
    snow = smooth_step(height - line, 0, 14)[..., None]
    rock += snow * (np.array([0.80, 0.84, 0.90], np.float32) - rock)
    return rock, crags * (1 - 0.6 * snow[..., 0])


def _slope(slices: Slices) -> Floats:
    """(K, W) rise of the mountains to the right, metres a metre."""
    slope = np.zeros_like(slices.rockiness)
    rise = slices.rockiness[:, 2:] - slices.rockiness[:, :-2]
    slope[:, 1:-1] = rise / np.maximum(slices.x[:, 2:] - slices.x[:, :-2], np.float32(1e-3))
    return slope
