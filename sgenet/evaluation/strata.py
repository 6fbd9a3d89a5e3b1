"""Groups of images that the scores are broken down by: scene complexity and hole ratio."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from sgenet.label_space import IGNORE_ID

STRATA = ("low", "moderate", "high")
"""Scene complexity as in Table 2: 1–2, 3–4 and more than 4 semantic classes."""

UNLABELLED = "unlabelled"
"""The stratum of an image in which no class counts."""

MIN_SHARE = 0.005
"""Share of an image's pixels from which on a class counts as part of the scene (*ours*)."""


def count_classes(label: npt.NDArray[np.integer]) -> int:
    """How many semantic classes a scene (H, W) of class ids, 255 = ignore, holds: see :data:`MIN_SHARE`."""
    counts = np.bincount(label.ravel(), minlength=IGNORE_ID + 1)
    counts[IGNORE_ID] = 0
    return int(((counts > 0) & (counts >= MIN_SHARE * label.size)).sum())


def stratum(num_classes: int) -> str:
    """Name the complexity of a scene with that many semantic classes."""
    if num_classes < 1:
        return UNLABELLED
    if num_classes <= 2:
        return "low"
    return "moderate" if num_classes <= 4 else "high"


def hole_ratio_bin(hole_ratio: float, edges: Sequence[float]) -> str:
    """Name the bin ``[lower, upper)`` that a hole ratio falls into.

    Args:
        hole_ratio: share of missing pixels, 0–1.
        edges: rising bounds of the bins; ratios outside them get an open bin.
    """
    position = bisect_right(edges, hole_ratio)
    if position == 0:
        return f"below {edges[0]:g}"
    if position == len(edges):
        return f"{edges[-1]:g} and above"
    return f"{edges[position - 1]:g}–{edges[position]:g}"


def ratio_bins(edges: Sequence[float]) -> list[str]:
    """All bins' names in rising order, the open ones included."""
    inner = [f"{lower:g}–{upper:g}" for lower, upper in pairwise(edges)]
    return [f"below {edges[0]:g}", *inner, f"{edges[-1]:g} and above"]
