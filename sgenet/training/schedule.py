"""The learning rate as a function of the step alone."""

from __future__ import annotations

from sgenet.settings import OptimizerSettings


def rate_factor(step: int, total_steps: int, settings: OptimizerSettings) -> float:
    """What the learning rates are multiplied by in the step after ``step`` finished ones, in [0, 1].

    Rises linearly over ``warmup_steps``, stays 1 up to ``decay_from`` of all steps, then falls
    linearly towards 0 at the end.
    """
    warmup = min(1.0, (step + 1) / settings.warmup_steps) if settings.warmup_steps else 1.0
    decay_start = settings.decay_from * total_steps
    decays = settings.decay_from < 1 and step >= decay_start
    decay = (total_steps - step) / (total_steps - decay_start) if decays else 1.0
    return warmup * max(0.0, decay)
