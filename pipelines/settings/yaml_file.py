"""YAML whose keys are unique, as its standard demands; PyYAML keeps the last of two without a word."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import yaml


def read_yaml(text: str) -> tuple[Any, list[str]]:
    """Parse a document, and name every key that is written twice in its mapping, a sentence each.

    Raises:
        yaml.YAMLError: it is not YAML.
    """
    loader = _Loader(text)
    return loader.get_single_data(), loader.repeated


class _Loader(yaml.SafeLoader):
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
