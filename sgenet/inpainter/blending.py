"""Seams of a montage closed: Poisson blending (Pérez et al. 2003).

Copies keep their gradients, and a smooth correction makes neighbours meet as they would in either copy. Where two
copies differ much, as an object differs from what is behind it, the seam stays: a correction would spread the colour of
one over the other.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.linalg import cg, splu

from sgenet.inpainter.montage import Indices, Montage, neighbours
from sgenet.inpainter.pyramid import Floats

_CLOSED = 3 / 8
"""A seam is closed up to this share of the height at which it stays, and in between in part."""

_MOST_DIRECT = 60_000
"""Pixels up to which the equation is solved directly; above, step by step from what half the size gave."""

_TOLERANCE = 1e-3
_MOST_STEPS = 100
_STAYS = 1e-6
"""Weight of a ridge term: keeps the correction near 0 where no known pixel constrains it."""


def blend(montage: Montage, kept: float, guess: Floats | None = None) -> tuple[Floats, Floats]:
    """Copy the pixels of a hole and close the seams.

    Args:
        montage: of one size.
        kept: how high a seam is that stays; colours are in [-1, 1].
        guess: (h·w, 3), nearly the correction.

    Returns:
        (h·w, 3) each: the image with its hole filled, and the correction that is in it, 0 outside of the hole.
    """
    hole = montage.scene.hole.ravel()
    pixels = np.flatnonzero(hole)
    filled = montage.scene.image.reshape(-1, 3).copy()
    filled[pixels] = filled[montage.sources(pixels, montage.choice[pixels])[0]]
    first, second = neighbours(pixels, montage.scene)
    step = _missing_steps(montage, filled, first, second, kept)
    row_of = np.full(hole.size, -1)
    row_of[pixels] = np.arange(len(pixels))
    # The correction of known pixels is 0. One equation a pixel: its correction's differences to those of its neighbours
    # add up to the steps that are wanted.
    diagonal = np.full(len(pixels), _STAYS)
    wanted = np.zeros((len(pixels), 3))
    for rows, sign in ((row_of[first], 1), (row_of[second], -1)):
        inside = rows >= 0
        diagonal += np.bincount(rows[inside], minlength=len(pixels))
        for channel in range(3):
            wanted[:, channel] += sign * np.bincount(rows[inside], step[inside, channel], len(pixels))
    both = hole[first] & hole[second]
    one, other, every = row_of[first[both]], row_of[second[both]], np.arange(len(pixels))
    values = np.concatenate((diagonal, np.full(2 * len(one), -1.0)))
    places = np.concatenate((every, one, other)), np.concatenate((every, other, one))
    system = coo_array((values, places), shape=(len(pixels), len(pixels))).tocsc()
    correction = np.zeros_like(filled)
    if len(pixels) <= _MOST_DIRECT:
        correction[pixels] = splu(system).solve(wanted)
    else:
        for channel in range(3):
            start = None if guess is None else guess[pixels, channel].astype(np.float64)
            found, _ = cg(system, wanted[:, channel], start, rtol=_TOLERANCE, maxiter=_MOST_STEPS)
            correction[pixels, channel] = found
    filled += correction
    return filled, correction


def _missing_steps(montage: Montage, filled: Floats, first: Indices, second: Indices, kept: float) -> Floats:
    """(N, 3): how much more pairs of neighbours should differ than their copies do, 0 but at seams."""
    colours = montage.scene.image.reshape(-1, 3)
    wanted, known = np.zeros((len(first), 3), np.float32), np.zeros((len(first), 1), np.float32)
    for choice in (montage.choice[first], montage.choice[second]):
        (one, one_known), (other, other_known) = montage.sources(first, choice), montage.sources(second, choice)
        in_copy = (one_known & other_known)[:, None]
        wanted += np.where(in_copy, colours[one] - colours[other], np.float32(0))
        known += in_copy
    copied = filled[first] - filled[second]
    step = np.where(known > 0, wanted / known.clip(min=1), copied) - copied
    height = np.abs(step).max(axis=1, keepdims=True)
    seam = (montage.choice[first] != montage.choice[second])[:, None]
    closed = ((1 - height / kept) / (1 - _CLOSED)).clip(0, 1)
    return np.where(seam, step * closed, np.float32(0))
