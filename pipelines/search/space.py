"""What is searched: λ_p, λ_α and λ_s of Eq. 10 on a logarithmic scale, and τ of Eq. 4 for each scale."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipelines.params import SearchSettings
from sgenet.errors import CheckpointError, SettingsError
from sgenet.settings import Recipe

METHODS = ("base_net", "sg_net", "sge_net")
"""The methods that Eq. 10 trains; only the last of them has a τ."""

_TAU = "tau_"
_LOSSES = {"lambda_p": "perceptual", "lambda_alpha": "adversarial", "lambda_s": "segmentation"}


@dataclass(frozen=True)
class Dimension:
    """One number that is searched.

    Attributes:
        name: ``lambda_p``, ``lambda_alpha``, ``lambda_s``, or ``tau_0`` … ``tau_3``.
        low, high: its bounds.
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


def without_perceptual(recipe: Recipe) -> str | None:
    """Why λ_p cannot be searched, in a sentence: the recipe leaves VGG-16 out, or it cannot be had. None where it can.

    Where VGG-16's weights are fetched from the network, they are fetched here.
    """
    if recipe.losses.perceptual == 0:
        return "λ_p is not searched and stays 0, as losses.perceptual of the recipe says"
    from sgenet.losses.perceptual import VGG16Features

    try:
        VGG16Features(recipe.losses.perceptual_weights)
    except CheckpointError as error:
        return f"λ_p is not searched and is 0: {error}"
    return None


def current_values(recipe: Recipe, searched: Sequence[Dimension]) -> dict[str, float] | None:
    """The recipe's own values; None where one of them lies outside of what is searched."""
    values: dict[str, float] = {}
    for dimension in searched:
        if dimension.name.startswith(_TAU):
            value = recipe.network.tau.ratios[int(dimension.name.removeprefix(_TAU))]
        else:
            value = getattr(recipe.losses, _LOSSES[dimension.name])
        if not dimension.low <= value <= dimension.high:
            return None
        values[dimension.name] = value
    return values


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
    """Values as keys of a recipe in ``params.yaml`` and what stands there: τ is one list."""
    changed = with_values(recipe, values)
    keys: dict[str, Any] = {f"losses.{_LOSSES[name]}": values[name] for name in _LOSSES if name in values}
    if any(name.startswith(_TAU) for name in values):
        keys["network.tau.ratios"] = list(changed.network.tau.ratios)
    return keys


def rounded(value: float) -> float:
    """Four significant digits: what a search can tell apart, and a person can read."""
    return 0.0 if value == 0 else round(value, 3 - math.floor(math.log10(abs(value))))
