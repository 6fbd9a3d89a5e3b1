"""``params.yaml`` read and checked: unknown keys refused, every problem reported at once."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from pipelines.settings.complaints import innermost, sentences, without
from pipelines.settings.consistency import contradictions
from pipelines.settings.params import Settings
from pipelines.settings.presets import with_presets
from pipelines.settings.program import program
from pipelines.settings.sources import SOURCES, Source, SplitSource
from sgenet.errors import SettingsError, one_line


def load(path: Path) -> Settings:
    """Read and check a settings file.

    Raises:
        SettingsError: naming every unknown key, wrong type and contradiction of the file.
    """
    try:
        raw, repeated = _read_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        remedy = f"run this in the folder that has it, or write it with `{program()} init FOLDER`"
        raise SettingsError([f"{path} does not exist; {remedy}"]) from None
    except OSError as error:
        raise SettingsError([f"{path} cannot be read ({error.strerror}); check its path and permissions"]) from None
    except RecursionError:
        raise SettingsError([f"{path} is nested too deeply to be read; settings are a few levels deep"]) from None
    # PyYAML lets ValueError through for dates that no calendar has and for numbers of thousands of digits.
    except (yaml.YAMLError, ValueError) as error:
        place, said = "", one_line(error)
        if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
            place, said = f" in line {error.problem_mark.line + 1}", error.problem or said
        raise SettingsError([f"{path} is not valid YAML{place}: {said}"]) from None
    return parse(raw, str(path), [f"{path}: {problem}" for problem in repeated])


def parse(raw: Any, where: str = "params.yaml", known: Sequence[str] = ()) -> Settings:
    """Check settings that have been read already; see :func:`load`.

    ``network.image_size`` of a recipe that does not name it is the dataset's crop; a dataset of ``transfer`` is
    evaluated whole where its sources do not name ``val_ratio``.

    Args:
        where: what the problems' sentences call them.
        known: problems that were found while they were read.
    """
    raw, unknown = with_presets(raw, where)
    problems = [*known, *unknown.values()]
    raw = _with_whole_transfers(_with_image_sizes(raw))
    settings: Settings | None
    try:
        settings = Settings.model_validate(raw)
    except ValidationError as error:
        offences, names = innermost(error), _names()
        problems += sentences(offences, raw, where, names)
        settings = _parse_rest(without(raw, offences))
    if settings is not None:
        problems += [f"{where}: {problem}" for problem in contradictions(settings)]
    if settings is None or problems:
        # What a preset that does not exist would have set is at its default, of which nothing is said.
        parts = tuple(f"{where}: {part}." for part in unknown)
        told = [text for text in problems if text in unknown.values() or not (parts and text.startswith(parts))]
        raise SettingsError(list(dict.fromkeys(told)))
    return settings


def _with_image_sizes(raw: Any) -> Any:
    """A copy in which every recipe names ``network.image_size``, where the dataset has a crop."""
    data, recipes = (raw.get(key) if isinstance(raw, dict) else None for key in ("data", "recipes"))
    if not isinstance(data, dict) or not isinstance(recipes, dict):
        return raw
    sized = dict(recipes)
    for dataset, recipe in recipes.items():
        described = data.get(dataset)
        crop = described.get("crop") if isinstance(described, dict) else None
        network = recipe.get("network", {}) if isinstance(recipe, dict) else None
        if isinstance(crop, int) and isinstance(network, dict):
            sized[dataset] = {**recipe, "network": {"image_size": crop, **network}}
    return {**raw, "recipes": sized}


def _with_whole_transfers(raw: Any) -> Any:
    """A copy in which nothing of a dataset that is not trained on is held back for training."""
    data, transfer = (raw.get(key) if isinstance(raw, dict) else None for key in ("data", "transfer"))
    if not isinstance(data, dict) or not isinstance(transfer, list | tuple):
        return raw
    whole = dict(data)
    for name in [pair.get("dataset") for pair in transfer if isinstance(pair, dict)]:
        sources = data[name].get("sources") if isinstance(data.get(name), dict) else None
        if isinstance(sources, list | tuple):
            named = [{"val_ratio": 1.0, **source} if _is_split_by_us(source) else source for source in sources]
            whole[name] = {**data[name], "sources": named}
    return {**raw, "data": whole}


def _is_split_by_us(source: Any) -> bool:
    return isinstance(source, dict) and issubclass(SOURCES.get(str(source.get("adapter")), Source), SplitSource)


def _names() -> set[str]:
    """What settings are called, at any depth."""
    schema = Settings.model_json_schema()
    return {name for part in (schema, *schema["$defs"].values()) for name in part.get("properties", {})}


def _parse_rest(raw: Any) -> Settings | None:
    try:
        return None if raw is None else Settings.model_validate(raw)
    except ValidationError:
        return None


def _read_yaml(text: str) -> tuple[Any, list[str]]:
    """Parse a document, and name every key that is written twice in its mapping, a sentence each."""
    loader = _UniqueKeys(text)
    return loader.get_single_data(), loader.repeated


class _UniqueKeys(yaml.SafeLoader):
    """Notes keys that are not unique, as YAML demands; PyYAML keeps the last of two without a word."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.repeated: list[str] = []

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        first: dict[str, int] = {}
        # Before merges (`<<`) are resolved, whose keys may be overridden.
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            line = key.start_mark.line + 1
            if key.value in first:
                self.repeated.append(
                    f"the key '{key.value}' is written twice, in line {first[key.value]} and in line {line}; remove one"
                )
            first.setdefault(key.value, line)
        return super().construct_mapping(node, deep)
