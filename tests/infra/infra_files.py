"""The files of ``infra/``, as their readers see them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
INFRA = ROOT / "infra"


def read_yaml(path: Path) -> Any:
    """One document, in which no key is written twice: YAML's readers take the last and say nothing."""
    return yaml.load(path.read_text(encoding="utf-8"), Loader=_OnceOnly)


def environment(names: str) -> dict[str, str]:
    """``NAME=value`` lines, without comments."""
    lines = (line.strip() for line in names.splitlines())
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def strings(value: Any) -> Iterator[str]:
    """Every string inside, keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from strings(key)
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)


class _OnceOnly(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        repeated = {key for key in keys if keys.count(key) > 1}
        assert not repeated, f"{node.start_mark}: {repeated} is written twice"
        return super().construct_mapping(node, deep)
