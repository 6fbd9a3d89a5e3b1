"""What pydantic says of a settings file, as sentences for the person who wrote it."""

from __future__ import annotations

import copy
import difflib
import textwrap
from collections.abc import Collection, Sequence
from typing import Any

from pydantic import ValidationError

RENAMED = {
    "critic": "discriminator",
    "critic_rate": "discriminator_lr",
    "critic_width": "discriminator_width",
    "floor": "baseline",
    "floors": "baselines",
    "generator_rate": "generator_lr",
    "min_pictures": "min_images",
    "num_figure_pictures": "num_figure_images",
    "num_sample_pictures": "num_sample_images",
    "num_worst_pictures": "num_worst_images",
}
"""Settings under the names they used to have: refused, with a hint."""

_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
_SECTION = "must be a section, with its settings indented below it"
_LIST = "must be a list, such as [a, b]"
_KINDS = {
    "dataclass_type": _SECTION,
    "dict_type": _SECTION,
    "model_attributes_type": _SECTION,
    "model_type": _SECTION,
    "list_type": _LIST,
    "tuple_type": _LIST,
}
"""What YAML calls the things that pydantic names by their Python types."""


def innermost(error: ValidationError) -> list[Any]:
    """The problems themselves: a list with a wrong item is also reported as too short, which would mislead."""
    places = [problem["loc"] for problem in error.errors()]

    def holds_another(place: tuple[Any, ...]) -> bool:
        return any(len(other) > len(place) and other[: len(place)] == place for other in places)

    return [problem for problem in error.errors() if not holds_another(problem["loc"])]


def sentences(problems: Sequence[Any], raw: Any, where: str, names: Collection[str]) -> list[str]:
    """Pydantic's problems as sentences of ours; that a setting is missing is not said beside its mistyped name.

    Args:
        raw: the settings that have them.
        where: the file.
        names: of all settings, one of which a mistyped one may mean.
    """
    meant = {(*problem["loc"][:-1], _closest(problem, names)) for problem in problems if problem["type"] in _UNKNOWN}
    return [
        _sentence(problem, ".".join(map(str, _keys(problem["loc"], raw))) or "(the whole file)", where, names)
        for problem in problems
        if problem["type"] != "missing" or problem["loc"] not in meant
    ]


def _closest(problem: Any, names: Collection[str]) -> str | None:
    """The setting that an unknown one may mean; one of the same name belongs elsewhere."""
    key = str(problem["loc"][-1])
    return next(iter(difflib.get_close_matches(key, set(names) - {key}, n=1)), None)


def _keys(place: tuple[Any, ...], raw: Any) -> list[Any]:
    """A place as the user wrote it: of a union, pydantic's also has the name of the type that it tried."""
    keys, container = [], raw
    for number, part in enumerate(place, start=1):
        try:
            container = container[part]
        except (KeyError, TypeError, IndexError):
            if number < len(place) or not isinstance(container, dict):
                continue
        keys.append(part)
    return keys


def _sentence(problem: Any, key: str, where: str, names: Collection[str]) -> str:
    if problem["type"] in _UNKNOWN:
        if new := RENAMED.get(str(problem["loc"][-1])):
            return f"{where}: {key} is now called {new}; rename it"
        if close := _closest(problem, names):
            return f"{where}: {key} is not a setting; did you mean {close}?"
        return f"{where}: {key} is not a setting; remove it or correct its spelling"
    said = _KINDS.get(problem["type"]) or f"{problem['msg'][0].lower()}{problem['msg'][1:]}"
    if problem["type"] == "missing":
        return f"{where}: {key}: {said}"
    value = "nothing" if problem["input"] is None else textwrap.shorten(repr(problem["input"]), 80)
    return f"{where}: {key}: {said}, found {value}"


def without(raw: Any, offences: list[Any]) -> Any | None:
    """What is left of the settings without the keys already complained about, so that the rest is checked too.

    None where the whole is at fault.
    """
    remaining = copy.deepcopy(raw)
    for offence in offences:
        if not offence["loc"]:
            return None
        container, holder, name = remaining, remaining, None
        for key in _keys(offence["loc"], raw):
            if isinstance(container, dict):
                # The last one: a list goes as a whole where one of its items is wrong.
                holder, name = container, key
                container = container.get(key)
            elif isinstance(container, list):
                container = container[key]
        holder.pop(name, None)
    return remaining
