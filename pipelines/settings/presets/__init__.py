"""Holes and recipes under a name: what ``{preset: NAME}`` in ``params.yaml`` stands for.

A preset is a file of this folder with the sections ``masks`` and ``recipe``. What is written beside ``preset`` in
``params.yaml``, or in a preset that builds on another one, is laid over it, key by key; lists are replaced.
"""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path
from typing import Any

import yaml

PRESET = "preset"

_FOLDER = Path(__file__).parent
_SECTIONS = {"masks": "masks", "recipes": "recipe"}


def preset_names() -> list[str]:
    """Every preset, sorted."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def with_presets(raw: Any, where: str) -> tuple[Any, dict[str, str]]:
    """Settings as read from YAML with every ``preset`` replaced by what it stands for.

    Args:
        raw: the whole file; it is left as it is.
        where: the file, for messages.

    Returns:
        The settings, and a sentence for each section, such as ``recipes.mine``, whose preset is not known.
    """
    problems: dict[str, str] = {}
    if not isinstance(raw, dict):
        return raw, problems
    expanded = copy.deepcopy(raw)
    for section, part in _SECTIONS.items():
        datasets = expanded.get(section)
        if not isinstance(datasets, dict):
            continue
        for dataset, given in datasets.items():
            if not isinstance(given, dict) or PRESET not in given:
                continue
            name = given.pop(PRESET)
            if name in preset_names():
                datasets[dataset] = _laid_over(_section(name, part), given)
            else:
                place = f"{section}.{dataset}"
                known = ", ".join(preset_names())
                problems[place] = f"{where}: {place}.{PRESET}: there is no preset '{name}'; use one of {known}"
    return expanded, problems


def _section(name: str, part: str) -> Any:
    own = dict(_read(name).get(part, {}))
    below = own.pop(PRESET, None)
    return own if below is None else _laid_over(_section(below, part), own)


@cache
def _read(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load((_FOLDER / f"{name}.yaml").read_text(encoding="utf-8")))


def _laid_over(below: Any, above: Any) -> Any:
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return copy.deepcopy(above)
    merged = copy.deepcopy(below)
    for key, value in above.items():
        merged[key] = _laid_over(merged[key], value) if key in merged else copy.deepcopy(value)
    return merged
