"""The learning rate as a function of the step and of how much of the budget is used."""

from __future__ import annotations

from sgenet.settings import OptimizerSettings


def lr_factor(step: int, used: float, budget: float, settings: OptimizerSettings) -> float:
    """What the learning rates are multiplied by in the step after ``step`` finished ones, in [0, 1].

    Rises linearly over ``warmup_steps``, stays 1 up to ``decay_from`` of the budget, then falls
    linearly towards 0 at the end.

    Args:
        step: finished steps.
        used, budget: both in steps, or both in seconds.
    """
    warmup = min(1.0, (step + 1) / settings.warmup_steps) if settings.warmup_steps else 1.0
    decay_start = settings.decay_from * budget
    decays = settings.decay_from < 1 and used >= decay_start
    decay = (budget - used) / (budget - decay_start) if decays else 1.0
    return warmup * max(0.0, decay)
