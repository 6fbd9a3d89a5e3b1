"""Animals: bodies of rounded limbs, seen from the side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipelines.landscapes.canvas import Canvas, View, cast_shadow, patch_of, stamp
from pipelines.landscapes.ground import ANIMAL
from pipelines.landscapes.light import Light
from pipelines.landscapes.noise import Triple, texture_at
from pipelines.landscapes.solids import Capsule, join

Kind = Literal["cow", "horse", "sheep", "deer", "stork"]


@dataclass(frozen=True)
class Animal:
    """One animal: its feet are ``x`` metres to the right at depth ``z``.

    Attributes:
        x, z: where it stands, metres.
        height: at the shoulder, metres.
        kind: which animal.
        grazing: with its head down.
        facing_right: else it looks to the left.
        coat, patches: linear RGB of its hair, and of patches in it (the same for none).
        salt: which individual.
    """

    x: float
    z: float
    height: float
    kind: Kind
    grazing: bool
    facing_right: bool
    coat: Triple
    patches: Triple
    salt: int


def paint_animal(view: View, canvas: Canvas, light: Light, animal: Animal, foot: float) -> None:
    """Draw an animal that stands at ``foot`` metres above the water."""
    scale = view.focal * animal.height / animal.z
    middle, base = view.column(animal.x, animal.z), view.row(foot, animal.z)
    patch = patch_of(view, middle - 1.75 * scale, middle + 1.75 * scale, base - 2.0 * scale, base)
    if patch is None:
        return
    cast_shadow(view, canvas, animal.x, foot, animal.z, animal.height * 0.8, light.sun)
    direction = 1 if animal.facing_right else -1
    u = (patch.x - np.float32(middle)) * np.float32(direction / scale)
    v = (np.float32(base) - patch.y) * np.float32(1 / scale)
    sun = (light.sun[0] * direction, light.sun[1], light.sun[2])
    limbs, dark = _anatomy(animal)
    body = join(limbs, u, v, sun)
    hair = texture_at(patch.x * view.height, patch.y * view.height, animal.salt)
    spots = texture_at(u * 26, v * 26, animal.salt + 3)
    woolly = 0.25 if animal.kind == "sheep" else 0.0
    albedo = np.where(
        (spots > 0.12)[..., None], np.array(animal.patches, np.float32), np.array(animal.coat, np.float32)
    )
    albedo = albedo * (1 + (0.22 + woolly) * hair)[..., None]
    albedo[np.isin(body.part, dark)] = np.array([0.03, 0.026, 0.024], np.float32) + 0.25 * np.array(animal.coat)
    belly = 0.55 + 0.45 * np.clip((v - 0.25) * 1.6, 0, 1)
    colour = np.maximum(albedo, 0.004) * light.on(np.clip(body.light + 0.08 * hair, 0, 1)) * belly[..., None]
    hazy = light.through_haze(colour, np.full((1, 1), animal.z, np.float32))
    stamp(canvas, patch, hazy, body.depth + woolly * hair > 0, ANIMAL, animal.z)


def _anatomy(animal: Animal) -> tuple[tuple[Capsule, ...], list[int]]:
    """The limbs, in shoulder heights, facing right; and which of them are dark."""
    match animal.kind:
        case "cow":
            return _cow(animal.grazing), [10]
        case "horse":
            return _horse(animal.grazing), [10, 11]
        case "sheep":
            return _sheep(animal.grazing), [0, 1, 2, 3, 5]
        case "deer":
            return _deer(animal.grazing), []
        case _:
            return _stork(animal.grazing), [0, 1, 4, 5]


def _legs(rear: float, front: float, top: float, thickness: float) -> tuple[Capsule, ...]:
    """Four legs; the far pair a little inside the near one."""
    feet = (rear, rear + 0.15, front, front - 0.15)
    return tuple(Capsule(x, top, x + 0.01, thickness * 0.6, thickness * 1.5, thickness * 0.75) for x in feet)


def _cow(grazing: bool) -> tuple[Capsule, ...]:
    neck, nose = ((0.98, 0.38), (1.12, 0.10)) if grazing else ((1.02, 0.98), (1.28, 0.80))
    return (
        *_legs(-0.62, 0.58, 0.5, 0.068),
        Capsule(-0.52, 0.72, 0.50, 0.72, 0.29, 0.28),
        Capsule(-0.05, 0.62, 0.15, 0.62, 0.27, 0.27),
        Capsule(0.52, 0.78, neck[0], neck[1], 0.23, 0.13),
        Capsule(neck[0], neck[1], nose[0], nose[1], 0.14, 0.085),
        Capsule(neck[0] - 0.05, neck[1] + 0.1, neck[0] - 0.17, neck[1] + 0.13, 0.035, 0.02),
        Capsule(neck[0] + 0.03, neck[1] + 0.12, neck[0] + 0.1, neck[1] + 0.25, 0.022, 0.01),
        Capsule(-0.80, 0.86, -0.86, 0.28, 0.03, 0.045),
    )


def _horse(grazing: bool) -> tuple[Capsule, ...]:
    neck, nose = ((0.92, 0.42), (1.0, 0.12)) if grazing else ((0.86, 1.28), (1.12, 1.08))
    return (
        *_legs(-0.52, 0.50, 0.62, 0.052),
        Capsule(-0.42, 0.80, 0.40, 0.80, 0.24, 0.22),
        Capsule(-0.48, 0.72, -0.48, 0.66, 0.20, 0.16),
        Capsule(0.42, 0.86, neck[0], neck[1], 0.20, 0.10),
        Capsule(neck[0], neck[1], nose[0], nose[1], 0.11, 0.065),
        Capsule(neck[0] - 0.03, neck[1] + 0.1, neck[0] - 0.01, neck[1] + 0.2, 0.03, 0.012),
        Capsule(0.44, 0.70, 0.46, 0.66, 0.16, 0.14),
        Capsule(0.36, 1.0, neck[0] - 0.09, neck[1] + 0.05, 0.045, 0.045),
        Capsule(-0.64, 0.88, -0.74, 0.34, 0.05, 0.05),
    )


def _sheep(grazing: bool) -> tuple[Capsule, ...]:
    head, nose = ((0.78, 0.40), (0.86, 0.16)) if grazing else ((0.80, 0.92), (0.98, 0.80))
    return (
        *_legs(-0.42, 0.40, 0.4, 0.055),
        Capsule(head[0], head[1], nose[0], nose[1], 0.13, 0.08),
        Capsule(0.40, 0.70, head[0] - 0.06, head[1], 0.22, 0.15),
        Capsule(-0.38, 0.68, 0.38, 0.68, 0.34, 0.33),
        Capsule(0.0, 0.62, 0.0, 0.60, 0.40, 0.36),
    )


def _deer(grazing: bool) -> tuple[Capsule, ...]:
    neck, nose = ((0.80, 0.40), (0.88, 0.14)) if grazing else ((0.66, 1.20), (0.88, 1.08))
    return (
        *_legs(-0.44, 0.40, 0.6, 0.036),
        Capsule(-0.38, 0.80, 0.32, 0.78, 0.20, 0.21),
        Capsule(-0.42, 0.74, -0.42, 0.66, 0.17, 0.13),
        Capsule(0.34, 0.84, neck[0], neck[1], 0.17, 0.085),
        Capsule(neck[0], neck[1], nose[0], nose[1], 0.095, 0.05),
        Capsule(neck[0] - 0.05, neck[1] + 0.07, neck[0] - 0.18, neck[1] + 0.13, 0.035, 0.02),
        Capsule(-0.56, 0.88, -0.62, 0.74, 0.05, 0.03),
    )


def _stork(grazing: bool) -> tuple[Capsule, ...]:
    head, beak = ((0.50, 0.36), (0.66, 0.06)) if grazing else ((0.44, 1.30), (0.86, 1.22))
    return (
        Capsule(-0.02, 0.5, -0.03, 0.02, 0.035, 0.022),
        Capsule(0.08, 0.5, 0.10, 0.02, 0.035, 0.022),
        Capsule(-0.30, 0.70, 0.20, 0.80, 0.15, 0.20),
        Capsule(0.26, 0.86, head[0], head[1], 0.11, 0.06),
        Capsule(head[0], head[1], beak[0], beak[1], 0.075, 0.018),
        Capsule(-0.30, 0.70, -0.62, 0.58, 0.10, 0.04),
    )
