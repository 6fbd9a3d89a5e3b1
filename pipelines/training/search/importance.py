"""Which of the searched numbers mattered: the share of each in the variance of the score (Hutter et al. 2014)."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

from pipelines.training.search.space import SYMBOLS, Dimension
from pipelines.training.search.trials import Trial

FEWEST_TRIALS = 4
"""With fewer scores nothing can be said."""


def importances(scored: Sequence[tuple[Trial, float]], searched: Sequence[Dimension], seed: int) -> dict[str, float]:
    """The share of each number in the variance of the scores, largest first; they add up to 1.

    Functional ANOVA over a random forest. Empty with fewer than :data:`FEWEST_TRIALS` finite scores.

    Args:
        scored: trials with their scores after the same number of steps.
        seed: of the forest.
    """
    import optuna

    finite = [(trial, score) for trial, score in scored if math.isfinite(score)]
    if len(finite) < FEWEST_TRIALS:
        return {}
    distributions: dict[str, optuna.distributions.BaseDistribution] = {
        dimension.name: optuna.distributions.FloatDistribution(dimension.low, dimension.high, log=dimension.logarithmic)
        for dimension in searched
    }
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study()
    study.add_trials(
        [
            optuna.trial.create_trial(params=dict(trial.values), distributions=distributions, value=score)
            for trial, score in finite
        ]
    )
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=seed)
    found: dict[str, float] = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def plot(shares: dict[str, float], num_trials: int, step: int, metric: str) -> bytes:
    """The shares as bars, a PNG; a sentence where there are none."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.2), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(f"Share in the variance of {metric} after {step} steps, {num_trials} trials", fontsize=10)
    if shares:
        names = [SYMBOLS.get(name, name.replace("tau_", "τ at scale ")) for name in shares]
        bars = axes.barh(names[::-1], list(shares.values())[::-1], color="#4c72b0")
        axes.bar_label(bars, fmt="{:.0%}", padding=3, fontsize=9)
        axes.set_xlim(0, 1)
        axes.spines[["top", "right"]].set_visible(False)
    else:
        axes.axis("off")
        axes.text(0.5, 0.5, f"fewer than {FEWEST_TRIALS} trials have a score", ha="center", va="center")
    content = io.BytesIO()
    # Without the version of matplotlib, so that the same search gives the same bytes.
    figure.savefig(content, format="png", dpi=130, metadata={"Software": None})
    return content.getvalue()
