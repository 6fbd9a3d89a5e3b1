"""What is searched: λ_p, λ_α and λ_s of Eq. 10 on a logarithmic scale, and τ of Eq. 4 for each scale."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipelines.settings.params import SearchSettings
from sgenet.errors import CheckpointError, SettingsError
from sgenet.methods.recipe import Recipe
from sgenet.methods.registry import METHODS as REGISTERED

METHODS = tuple(name for name, spec in REGISTERED.items() if spec.settings is None)
"""The methods that Eq. 10 trains; only the last of them has a τ."""

_TAU = "tau_"
_LOSSES = {"lambda_p": "perceptual", "lambda_alpha": "adversarial", "lambda_s": "segmentation"}
SYMBOLS = {"lambda_p": "λ_p", "lambda_alpha": "λ_α", "lambda_s": "λ_s"}


@dataclass(frozen=True)
class Dimension:
    """One number that is searched between bounds.

    Attributes:
        name: ``lambda_p``, ``lambda_alpha``, ``lambda_s``, or ``tau_0`` … ``tau_3``.
        logarithmic: whether its logarithm is drawn uniformly, rather than itself.
    """

    name: str
    low: float
    high: float
    logarithmic: bool


def dimensions(search: SearchSettings, method: str) -> tuple[Dimension, ...]:
    """The numbers that a method has of those that can be searched.

    Raises:
        SettingsError: the method has none of them.
    """
    if method not in METHODS:
        raise SettingsError([f"the search knows the methods {', '.join(METHODS)}, not {method}; choose one of them"])
    found = [
        Dimension("lambda_p", *search.lambda_p, logarithmic=True),
        Dimension("lambda_alpha", *search.lambda_alpha, logarithmic=True),
        Dimension("lambda_s", *search.lambda_s, logarithmic=True),
    ]
    if method == "sge_net":
        found += [Dimension(f"{_TAU}{scale}", *search.tau, logarithmic=False) for scale in range(4)]
    return tuple(found)


def not_searched(recipe: Recipe) -> dict[str, str]:
    """The λ that are left out of a search of a recipe, by name, each with why, in a sentence.

    What the recipe has off stays off: no logarithm is 0.
    """
    off = {
        name: f"{symbol} is not searched and stays 0, as losses.{_LOSSES[name]} of the recipe says"
        for name, symbol in SYMBOLS.items()
        if getattr(recipe.losses, _LOSSES[name]) == 0
    }
    if "lambda_p" in off:
        return off
    no_vgg = _without_vgg(recipe.losses.perceptual_weights)
    return off if no_vgg is None else {"lambda_p": f"λ_p is not searched and is 0: {no_vgg}", **off}


def _without_vgg(weights: str) -> CheckpointError | None:
    """Why VGG-16 cannot be had. Where its weights are fetched from the network, they are fetched here."""
    from sgenet.losses.perceptual import VGG16Features

    try:
        VGG16Features(weights)
    except CheckpointError as error:
        return error
    return None


def current_values(recipe: Recipe, searched: Sequence[Dimension]) -> dict[str, float] | None:
    """The recipe's own values; None where one of them lies outside of what is searched."""
    values = {dimension.name: _value(recipe, dimension.name) for dimension in searched}
    return None if outside_bounds(recipe, searched) else values


def outside_bounds(recipe: Recipe, searched: Sequence[Dimension]) -> str | None:
    """Why the recipe itself is not the first trial, in a sentence; None where all its values lie within the bounds."""
    outside = [
        f"{dimension.name} is {value:g}, searched from {dimension.low:g} to {dimension.high:g}"
        for dimension in searched
        if not dimension.low <= (value := _value(recipe, dimension.name)) <= dimension.high
    ]
    if not outside:
        return None
    return f"the first trial is not the recipe: {'; '.join(outside)}; widen these bounds in search to include it"


def _value(recipe: Recipe, name: str) -> float:
    if name.startswith(_TAU):
        return recipe.network.tau.ratios[int(name.removeprefix(_TAU))]
    value: float = getattr(recipe.losses, _LOSSES[name])
    return value


def with_values(recipe: Recipe, values: Mapping[str, float]) -> Recipe:
    """The recipe with other values; what is not named stays."""
    named: dict[str, Any] = {_LOSSES[name]: value for name, value in values.items() if name in _LOSSES}
    ratios = list(recipe.network.tau.ratios)
    for name, value in values.items():
        if name.startswith(_TAU):
            ratios[int(name.removeprefix(_TAU))] = value
    tau = replace(recipe.network.tau, ratios=(ratios[0], ratios[1], ratios[2], ratios[3]))
    return replace(recipe, losses=replace(recipe.losses, **named), network=replace(recipe.network, tau=tau))


def settings_of(recipe: Recipe, values: Mapping[str, float]) -> dict[str, Any]:
    """Values as keys of a recipe in ``params.yaml`` and their values: τ is one list."""
    changed = with_values(recipe, values)
    keys: dict[str, Any] = {f"losses.{_LOSSES[name]}": values[name] for name in _LOSSES if name in values}
    if any(name.startswith(_TAU) for name in values):
        keys["network.tau.ratios"] = list(changed.network.tau.ratios)
    return keys


def rounded(value: float) -> float:
    """Four significant digits: what a search can tell apart, and a person can read."""
    return 0.0 if value == 0 else round(value, 3 - math.floor(math.log10(abs(value))))
