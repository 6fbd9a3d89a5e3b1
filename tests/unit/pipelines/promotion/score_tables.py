"""Hand-made scores of two models on the same images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipelines.registry.gate.images import ImageTable

COUNT = 30
SETS = ("centre", "irregular")
STRATA = ("low", "moderate", "high")

GOOD = {"psnr": 20.0, "psnr_hole": 15.0, "ssim": 0.8, "ssim_hole": 0.5, "l1": 0.05, "l1_hole": 0.2}


def table(seed: int = 0, count: int = COUNT, **changes: float) -> ImageTable:
    """A model's scores: images differ as the first seed says, the model itself as ``seed`` and ``changes`` say.

    Args:
        seed: of the model's own noise.
        count: images; the strata take turns.
        changes: by how much a score differs from :data:`GOOD` on every image.
    """
    rows = tuple((mask_set, f"image-{number:02d}") for mask_set in SETS for number in range(count))
    strata = tuple(STRATA[number % len(STRATA)] for _ in SETS for number in range(count))
    difficulty = np.random.default_rng(99).normal(0, 1, len(rows))
    noise = np.random.default_rng(seed).normal(0, 0.02, len(rows))
    scores = {
        name: GOOD[name] * (1 + 0.1 * difficulty) + GOOD[name] * 0.1 * noise + changes.get(name, 0.0) for name in GOOD
    }
    return ImageTable(rows, strata, scores)


def with_counts(scores: ImageTable, right: int) -> ImageTable:
    """The same with two classes, of each of which ``right`` of 100 pixels were recognised."""
    matrix = np.array([[right, 100 - right], [100 - right, right]])
    counts = np.repeat(matrix[None], len(scores.rows), axis=0)
    return replace(scores, counts={"miou": counts, "miou_hole": counts})


def changed(scores: ImageTable, score: str, where: np.ndarray, by: float) -> ImageTable:
    """The same with one score changed on some of the rows."""
    values = scores.scores[score].copy()
    values[where] += by
    return replace(scores, scores={**scores.scores, score: values})


def rows_of(scores: ImageTable, mask_set: str, stratum: str) -> np.ndarray:
    """Which rows belong to a stratum of a mask set."""
    return np.array([row[0] == mask_set for row in scores.rows]) & (np.array(scores.strata) == stratum)
