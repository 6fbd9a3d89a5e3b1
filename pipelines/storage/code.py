"""Which source files a piece of code runs: what stages of ``dvc.yaml`` depend on and stored results are keyed by.

One function follows imports, within functions and for type checkers too; nothing keeps a list of files by hand.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Collection, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("sgenet", "pipelines")

CARRIERS = ("pipelines.parallel", "pipelines.settings", "pipelines.storage", "pipelines.tracking")
"""Code that carries results from place to place and decides none of them: settings count by their values."""


def modules_run_by(*modules: str, without: Collection[str] = CARRIERS) -> dict[str, Path]:
    """The modules of this project that some of its modules import, directly or through others, and their files.

    Args:
        modules: dotted names to start from; they are part of the result.
        without: packages and modules that are left out, with what only they import.
    """
    found: dict[str, Path] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        path = _file_of(name)
        if path is None or name in found or any(name == left or name.startswith(f"{left}.") for left in without):
            continue
        found[name] = path
        waiting += _imports(path)
    return found


def digest_code(*modules: str, without: Collection[str] = CARRIERS) -> str:
    """Hash the names and the bytes of :func:`modules_run_by`; where the project is installed does not matter."""
    digest = hashlib.sha256()
    for name, path in sorted(modules_run_by(*modules, without=without).items()):
        digest.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


@cache
def _imports(path: Path) -> tuple[str, ...]:
    return tuple(_imported(ast.parse(path.read_text(encoding="utf-8"))))


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            # What is imported from a package may be a module of it, or a name that it defines.
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def _package_folder(package: str) -> Path:
    spec = find_spec(package)
    assert spec is not None, f"{package} is part of this project"
    assert spec.origin is not None, f"{package} has an __init__.py"
    return Path(spec.origin).parent


def _file_of(name: str) -> Path | None:
    """The file of a module of this project; None for what is no module or another project's."""
    package, *below = name.split(".")
    if package not in PACKAGES:
        return None
    path = _package_folder(package).joinpath(*below)
    candidates = (path / "__init__.py", path.with_suffix(".py")) if below else (path / "__init__.py",)
    return next((candidate for candidate in candidates if candidate.is_file()), None)
