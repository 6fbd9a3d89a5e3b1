"""The modules of both packages as syntax trees, and what each of them imports."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Module:
    """A source file: its path, dotted name and syntax tree."""

    path: Path
    name: str
    tree: ast.Module

    @property
    def imports(self) -> frozenset[str]:
        """Dotted names of everything it imports, inside functions and for type checkers too."""
        names: set[str] = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.name} uses a relative import; write the whole name"
                assert node.module is not None
                names.update(f"{node.module}.{alias.name}" for alias in node.names)
        return frozenset(names)


@cache
def modules(package: str) -> tuple[Module, ...]:
    """Every module of a package, sorted by name."""
    found = []
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found.append(Module(path, name, ast.parse(path.read_text(encoding="utf-8"), str(path))))
    assert found, f"{ROOT / package} holds no modules"
    return tuple(found)


def is_within(name: str, package: str) -> bool:
    """Whether a dotted name is a package or lies below it."""
    return name == package or name.startswith(package + ".")
