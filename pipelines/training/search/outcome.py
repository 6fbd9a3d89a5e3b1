"""What a search leaves behind: the best settings as a settings file, the table of its trials, a plot, a summary."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipelines.settings.load import parse
from pipelines.storage.files import publish_folder
from pipelines.training.search.plan import SearchPlan
from pipelines.training.search.space import SYMBOLS, Dimension, rounded, settings_of
from pipelines.training.search.trials import Trial, best_trial, common_scores, table
from sgenet.errors import UserError

BEST = "best.yaml"
TRIALS = "trials.csv"
IMPORTANCE = "importance.png"
SUMMARY = "search.json"

FEWEST_TRIALS = 4
"""With fewer scores nothing can be said."""


@dataclass(frozen=True)
class Outcome:
    """What was found.

    Attributes:
        changed: the keys of the dataset's recipe that it changes, and their values there.
        shares: of each number in the variance of the score.
    """

    best: Trial
    changed: dict[str, Any]
    shares: dict[str, float]


def judge(plan: SearchPlan, trials: Sequence[Trial], perceptual: bool) -> Outcome:
    """Compare the trials.

    Args:
        perceptual: whether λ_p was searched; where it could not be, the settings say 0.

    Raises:
        UserError: no trial was scored.
    """
    best = best_trial(trials, plan.maximises)
    if best is None:
        errors = [f"; the first error: {trial.error}" for trial in trials if trial.error]
        raise UserError(f"no trial of the search was scored{errors[0] if errors else ''}")
    values = {name: rounded(value) for name, value in best.values.items()}
    changed = settings_of(plan.job.recipe, values if perceptual else {"lambda_p": 0.0, **values})
    _, scored = common_scores(trials)
    return Outcome(best, changed, importances(scored, plan.searched, plan.settings.seed))


def write_outcome(output: Path, plan: SearchPlan, trials: Sequence[Trial], outcome: Outcome, params: Path) -> None:
    """Fill the folder ``output``, which appears whole.

    Args:
        params: the settings file that was searched from; the best settings are all of it with other values.
    """
    step, scored = common_scores(trials)
    names = [dimension.name for dimension in plan.searched]
    metric = plan.settings.metric
    raw = with_settings(yaml.safe_load(params.read_text(encoding="utf-8")), plan.job.dataset, outcome.changed)
    parse(raw, BEST)
    header = (
        f"# {params.name} with what the search {plan.key} found best for {plan.job.dataset}/{plan.job.method}:\n"
        f"# {metric} {outcome.best.score:.5g} after {outcome.best.step} steps.\n"
    )
    with publish_folder(output) as folder:
        text = yaml.safe_dump(raw, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None)
        (folder / BEST).write_text(header + text, encoding="utf-8")
        (folder / TRIALS).write_text(table(trials, names, metric), encoding="utf-8")
        (folder / IMPORTANCE).write_bytes(plot(outcome.shares, len(scored), step, metric))
        (folder / SUMMARY).write_text(_summary(plan, trials, outcome, step), encoding="utf-8")


def importances(scored: Sequence[tuple[Trial, float]], searched: Sequence[Dimension], seed: int) -> dict[str, float]:
    """The share of each number in the variance of the scores (Hutter et al. 2014), largest first; they add up to 1.

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


def with_settings(raw: dict[str, Any], dataset: str, changed: dict[str, Any]) -> dict[str, Any]:
    """Settings as read from a file, with other values in a dataset's recipe; sections that are missing are made."""
    recipe = raw["recipes"].setdefault(dataset, {})
    for key, value in changed.items():
        *sections, last = key.split(".")
        inside = recipe
        for section in sections:
            inside = inside.setdefault(section, {})
        inside[last] = value
    return raw


def overrides(raw: dict[str, Any], dataset: str, changed: dict[str, Any]) -> list[str]:
    """The same as arguments of ``dvc exp run -S``; a key that the file does not name needs a ``+``."""
    found = []
    for key, value in changed.items():
        inside: Any = raw["recipes"].get(dataset, {})
        for section in key.split("."):
            inside = inside.get(section) if isinstance(inside, dict) else None
        sign = "" if inside is not None else "+"
        found.append(f"{sign}recipes.{dataset}.{key}={json.dumps(value, separators=(',', ':'))}")
    return found


def _summary(plan: SearchPlan, trials: Sequence[Trial], outcome: Outcome, step: int) -> str:
    content = {
        "search": plan.key,
        "dataset": plan.job.dataset,
        "method": plan.job.method,
        "metric": plan.settings.metric,
        "trials": len(trials),
        "failed": sum(trial.error is not None for trial in trials),
        "best": {
            "trial": outcome.best.trial_id,
            "step": outcome.best.step,
            "score": outcome.best.score,
            "settings": outcome.changed,
        },
        "importance": {"step": step, "shares": outcome.shares},
    }
    return json.dumps(content, indent=2) + "\n"
