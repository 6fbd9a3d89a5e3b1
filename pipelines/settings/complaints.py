"""What pydantic says of a settings file, as sentences for the person who wrote it."""

from __future__ import annotations

import copy
import difflib
import re
import textwrap
from collections.abc import Collection, Iterable, Sequence
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
_INTEGER, _NUMBER, _TRUTH = "must be an integer", "must be a number", "must be true or false"
_SAID = {
    "bool_parsing": _TRUTH,
    "bool_type": _TRUTH,
    "dataclass_type": _SECTION,
    "dict_type": _SECTION,
    "float_parsing": _NUMBER,
    "float_type": _NUMBER,
    "int_from_float": _INTEGER,
    "int_parsing": _INTEGER,
    "int_type": _INTEGER,
    "list_type": _LIST,
    "literal_error": "must be {expected}",
    "missing": "is missing; add it",
    "model_attributes_type": _SECTION,
    "model_type": _SECTION,
    "string_type": "must be text",
    "too_long": "has too many items (at most {max_length})",
    "too_short": "has too few items (at least {min_length})",
    "tuple_type": _LIST,
    "union_tag_invalid": "must be one of {expected_tags}",
    "union_tag_not_found": "must name its {discriminator}",
}
"""Pydantic's problems by type, as the person who wrote YAML says them; others in pydantic's words."""


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name that a mistyped one may mean; None where none is similar."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1)), None)


def innermost(error: ValidationError) -> list[Any]:
    """The problems themselves: pydantic also reports a list with a wrong item as too short, and a section with a wrong
    setting as no text where text would do, which would mislead."""
    places = [problem["loc"] for problem in error.errors()]

    def holds_another(place: tuple[Any, ...]) -> bool:
        return any(len(other) > len(place) and other[: len(place)] == place for other in places)

    return [problem for problem in error.errors() if not holds_another(_without_type(problem["loc"]))]


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
    return closest(key, set(names) - {key})


def _without_type(place: tuple[Any, ...]) -> tuple[Any, ...]:
    """A place without the plain type that pydantic tried there."""
    return place[:-1] if place and place[-1] in ("str", "int", "float", "bool") else place


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
    said = _SAID.get(problem["type"], "").format_map(problem.get("ctx", {})) or _in_pydantics_words(problem["msg"])
    if problem["type"] == "missing":
        return f"{where}: {key} {said}"
    found = problem["input"]
    if problem["type"] == "union_tag_invalid":
        tag = problem["ctx"]["discriminator"].strip("'")
        key, found = f"{key}.{tag}", problem["ctx"]["tag"]
    close = _close_value(found, problem.get("ctx", {}).get("expected", ""))
    value = "nothing" if found is None else textwrap.shorten(repr(found), 80)
    return f"{where}: {key} {said}, found {value}{close}"


def _in_pydantics_words(message: str) -> str:
    said = message.replace("Input should be", "must be").replace("greater than or equal to", "at least")
    return said.replace("less than or equal to", "at most")


def _close_value(found: Any, expected: str) -> str:
    """A question for who mistyped one of a few values."""
    close = closest(str(found), re.findall(r"'([^']*)'", expected))
    return f"; did you mean {close}?" if close else ""


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
