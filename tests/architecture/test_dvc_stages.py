"""What ``dvc.yaml`` says a stage depends on is what it imports."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from source_tree import ROOT

from pipelines.storage.code import modules_run_by

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]


def code_of(stage: str) -> set[str]:
    """The files that a stage's commands run, relative to the repository; without what only carries results."""
    commands = STAGES[stage]["cmd"]
    names = re.findall(r"python -m pipelines (\w+)", " ".join(commands if isinstance(commands, list) else [commands]))
    doors = [
        f"pipelines.{folder}.{name}"
        for name in names
        for folder in ("stages", "commands")
        if (ROOT / "pipelines" / folder / f"{name}.py").is_file()
    ]
    assert len(doors) == len(names), f"{stage} runs {names}"
    return {path.relative_to(ROOT).as_posix() for path in modules_run_by(*doors).values()}


def code_dependencies(stage: str) -> list[str]:
    """Presets are settings, in files beside the code."""
    code = [path for path in STAGES[stage]["deps"] if path.startswith(("pipelines", "sgenet"))]
    return [path for path in code if path != "pipelines/settings/presets"]


def covers(dependency: str, path: str) -> bool:
    return path == dependency or path.startswith(f"{dependency}/")


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_the_code_that_it_imports(stage: str) -> None:
    missing = {
        path
        for path in code_of(stage)
        # A package's first line of documentation decides nothing.
        if Path(path).name != "__init__.py" and not any(covers(name, path) for name in code_dependencies(stage))
    }
    assert sorted(missing) == []


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_no_code_that_it_does_not_import(stage: str) -> None:
    used = code_of(stage)
    assert [name for name in code_dependencies(stage) if not any(covers(name, path) for path in used)] == []
