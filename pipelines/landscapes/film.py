"""From light to a photograph: lens blur, vignette, tone curve, grain."""

from __future__ import annotations

import numpy as np

from pipelines.landscapes.canvas import View
from pipelines.landscapes.noise import Bytes, Dice, Floats, fade


def expose(view: View, colour: Floats, exposure: float, dice: Dice) -> Bytes:
    """Linear RGB (H, W, 3) → uint8 RGB (H, W, 3)."""
    light = _lens_blur(colour, dice.uniform(0.12, 0.2))
    light *= (_vignette(view, dice.uniform(0.15, 0.4)) * np.float32(1.4 * exposure))[..., None]
    # Extended Reinhard with white at 2.2; the square root stands for the display's gamma.
    toned = np.sqrt(np.clip(light * (1 + light * np.float32(1 / 4.84)) / (1 + light), 0, 1))
    contrast = toned + np.float32(0.55) * (fade(toned) - toned)
    grain = dice.grain(view.height, view.width) * np.float32(dice.uniform(0.008, 0.024))
    contrast += grain[..., None] * (np.float32(1.1) - contrast)
    photograph: Bytes = np.clip(contrast * 255 + np.float32(0.5), 0, 255).astype(np.uint8)
    return photograph


def _lens_blur(colour: Floats, side: float) -> Floats:
    """Blur by (side, 1 - 2 side, side) both ways: the softness of a lens, and smooth outlines."""
    edge, middle = np.float32(side), np.float32(1 - 2 * side)
    across = colour * middle
    across[:, 1:] += edge * colour[:, :-1]
    across[:, :-1] += edge * colour[:, 1:]
    across[:, 0] += edge * colour[:, 0]
    across[:, -1] += edge * colour[:, -1]
    both = across * middle
    both[1:] += edge * across[:-1]
    both[:-1] += edge * across[1:]
    both[0] += edge * across[0]
    both[-1] += edge * across[-1]
    return both


def _vignette(view: View, strength: float) -> Floats:
    """(H, W) darkening towards the corners."""
    dy = (view.y - np.float32(0.5)) * 2
    dx = view.x * np.float32(2 * view.height / view.width)
    return 1 - np.float32(strength / 2) * ((dy * dy)[:, None] + dx * dx)
