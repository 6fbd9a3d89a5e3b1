"""An evaluation's scores in its run: few metrics to compare runs by, and a table of all."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping

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
    logger.text(to_csv(scores), "evaluation/scores.csv")


def headline(scores: Scores) -> dict[str, float]:
    """The :data:`HEADLINE` scores that there are."""
    main = next(iter(scores.values()), {})
    return {name: main[name] for name in HEADLINE if name in main}


def to_csv(scores: Scores) -> str:
    """A row for each score, a column for each set of holes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["score", *scores])
    for name in dict.fromkeys(name for values in scores.values() for name in values):
        writer.writerow([name, *(values.get(name, "") for values in scores.values())])
    return text.getvalue()


def to_markdown(scores: Scores) -> str:
    """The headline scores, an item for each set of holes: the registry's list of models shows no tables."""
    return "\n".join(
        f"- {mask_set}: " + ", ".join(f"{name} {values[name]:.4g}" for name in HEADLINE if name in values)
        for mask_set, values in scores.items()
    )
