"""``docs/settings.md``: every setting with its type, default and meaning, from the types and their docstrings.

``python -m pipelines.settings.document`` prints it.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Iterator
from typing import Any, NamedTuple

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from pipelines.settings.params import Settings
from pipelines.settings.sources import Source

_HEAD = """# Settings

What `params.yaml` may say, generated from the code by `python -m pipelines.settings.document` (a test compares).
Where a default is *required*, the setting must be given. `<dataset>` stands for a dataset's name. `masks.<dataset>` and
`recipes.<dataset>` may start from a preset: `{preset: NAME}`, a file of `pipelines/settings/presets`.
"""

_REQUIRED = "*required*"


class _Field(NamedTuple):
    name: str
    type: Any
    default: str


def document() -> str:
    """The whole page, in Markdown."""
    pages = [_HEAD]
    waiting: list[tuple[str, type]] = [("", Settings)]
    described: dict[type, str] = {}
    while waiting:
        place, model = waiting.pop(0)
        rows, inside = [], []
        meanings = _meanings(model)
        for field in _fields(model):
            key = f"{place}.{field.name}" if place else field.name
            nested = [(f"{key}{suffix}", kind) for suffix, kind in _models(field.type)]
            for where, inner in nested:
                if inner not in described:
                    described[inner] = where
                    inside.append((where, inner))
            kind = " or ".join(f"`{described[model_type]}`" for _, model_type in nested) or _type_name(field.type)
            default = "" if nested else field.default
            rows.append(f"| `{field.name}` | {kind} | {default} | {meanings.get(field.name, '')} |")
        pages.append(_section(place, model, rows))
        waiting += inside
    return "\n".join(pages)


def _section(place: str, model: type, rows: list[str]) -> str:
    title = f"## `{place}`" if place else "## Top level"
    summary = _cell((inspect.getdoc(model) or "").split("\n\n")[0])
    table = ["| setting | type | default | meaning |", "| --- | --- | --- | --- |", *rows]
    return "\n".join([title, "", summary, "", *table, ""])


def _fields(model: Any) -> Iterator[_Field]:
    if issubclass(model, BaseModel):
        for name, info in model.model_fields.items():
            default = _REQUIRED if info.is_required() else _default(info.get_default(call_default_factory=True))
            yield _Field(name, info.annotation, default)
        return
    hints = typing.get_type_hints(model)
    for field in dataclasses.fields(model):
        if field.default_factory is not dataclasses.MISSING:
            default = _default(field.default_factory())
        else:
            default = _REQUIRED if field.default is dataclasses.MISSING else _default(field.default)
        yield _Field(field.name, hints[field.name], default)


def _default(value: Any) -> str:
    if value is PydanticUndefined:
        return _REQUIRED
    if isinstance(value, BaseModel) or dataclasses.is_dataclass(value) or value in ((), {}, ""):
        return "none" if value in ((), {}, "") else ""
    return f"`{list(value) if isinstance(value, tuple) else value}`".replace("'", "")


def _models(kind: Any) -> list[tuple[str, type]]:
    """The settings types within a type, each with what is written between this key and theirs."""
    if isinstance(kind, type) and (issubclass(kind, BaseModel) or dataclasses.is_dataclass(kind)):
        return [(_kind_of_source(kind), kind)]
    arguments = typing.get_args(kind)
    match typing.get_origin(kind):
        case origin if origin is dict:
            return [(f".<dataset>{suffix}", found) for suffix, found in _models(arguments[1])]
        case origin if origin is tuple:
            return [(f"[]{suffix}", found) for suffix, found in _models(arguments[0])]
        case typing.Annotated:
            return _models(arguments[0])
        case origin if origin in (typing.Union, types.UnionType):
            return [found for argument in arguments for found in _models(argument)]
    return []


def _kind_of_source(model: type) -> str:
    """`` (folder)`` for one of several types that may be in the same place, told apart by ``adapter``; else nothing."""
    return f" ({typing.get_args(model.model_fields['adapter'].annotation)[0]})" if issubclass(model, Source) else ""


def _type_name(kind: Any) -> str:
    arguments = typing.get_args(kind)
    match typing.get_origin(kind):
        case origin if origin is typing.Literal:
            return " or ".join(f"`{argument}`" for argument in arguments)
        case origin if origin is tuple:
            names = list(dict.fromkeys(_type_name(argument) for argument in arguments if argument is not ...))
            return f"list of {' or '.join(names)}"
        case origin if origin is dict:
            return f"{_type_name(arguments[0])} → {_type_name(arguments[1])}"
        case typing.Annotated:
            return _type_name(arguments[0])
        case origin if origin in (typing.Union, types.UnionType):
            return " or ".join(_type_name(argument) for argument in arguments if argument is not type(None))
    name: str = kind.__name__
    plain = {"int": "integer", "float": "number", "str": "text", "bool": "true or false"}
    return plain.get(name, name)


def _meanings(model: type) -> dict[str, str]:
    """The ``Attributes`` of a docstring, and of the types it inherits from; one entry may name several."""
    found: dict[str, str] = {}
    for base in reversed(model.__mro__):
        text = inspect.cleandoc(base.__dict__.get("__doc__") or "")
        _, _, attributes = text.partition("Attributes:\n")
        for names, meaning in re.findall(r"(?m)^ {4}([a-z_0-9, ]+): ((?:.*)(?:\n {8}.*)*)", attributes):
            found |= {name.strip(): _cell(meaning) for name in names.split(",")}
    return found


def _cell(text: str) -> str:
    text = " ".join(text.split()).replace("|", "\\|").replace("``", "`")
    return re.sub(r":\w+:`~?([\w.]+)`", lambda match: f"`{match[1].rpartition('.')[2]}`", text)


if __name__ == "__main__":
    print(document(), end="")
