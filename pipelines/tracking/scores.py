"""An evaluation's scores in its run: few metrics to compare runs by, and a table of all."""

from __future__ import annotations

from collections.abc import Mapping

from pipelines.storage.csv_text import csv_text
from pipelines.tracking.logger import RunLogger

HEADLINE = ("psnr", "psnr_hole", "ssim", "vgg_distance", "lpips", "miou_hole", "miou_filled_hole")
"""What runs are compared by: metrics of these names, of the main set of holes, which is the first one."""

Scores = Mapping[str, Mapping[str, float]]
"""``{mask set: {score: value}}``."""


def log_scores(logger: RunLogger, scores: Scores, step: int) -> None:
    """Log the headline scores as metrics, and all scores as the table ``evaluation/scores.csv``.

    Raises:
        TrackingError: the store cannot be used.
    """
    logger.results(headline(scores), step)
    names = dict.fromkeys(name for values in scores.values() for name in values)
    rows = ([name, *(values.get(name, "") for values in scores.values())] for name in names)
    logger.text(csv_text(["score", *scores], rows), "evaluation/scores.csv")


def headline(scores: Scores) -> dict[str, float]:
    """The :data:`HEADLINE` scores that there are."""
    main = next(iter(scores.values()), {})
    return {name: main[name] for name in HEADLINE if name in main}


def to_markdown(scores: Scores) -> str:
    """The headline scores, an item for each set of holes: the registry's list of models shows no tables."""
    return "\n".join(
        f"- {mask_set}: " + ", ".join(f"{name} {values[name]:.4g}" for name in HEADLINE if name in values)
        for mask_set, values in scores.items()
    )
