"""Places that cannot be written to: one sentence and status 2 from every command, and nothing half-written."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image
from project import Project

ROOT = Path(__file__).resolve().parents[2]
INPAINT = ("inpaint", "photos", "--mask", "hole.png", "--model", "shipped", "-o")
OF_A_DATASET = ("--dataset", "mixed_scenes")


@pytest.fixture
def here(tmp_path: Path) -> Project:
    """A folder with settings and images; ``data`` and ``taken`` are files, ``lost`` is a link to nothing."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    project = Project(tmp_path)
    project.write_images()
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (48, 36)).save(tmp_path / "photos" / "a.png")
    for name in ("data", "taken"):
        (tmp_path / name).touch()
    (tmp_path / "lost").symlink_to("nowhere")
    return project


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        ("index", *OF_A_DATASET),
        ("shards", *OF_A_DATASET),
        ("example", "taken"),
        ("init", "photos", "-o", "taken/params.yaml"),
        ("export", "--model", "shipped", "-o", "taken/model.onnx"),
        *((*INPAINT, place) for place in ("taken", "taken/below", "lost", "photos/a.png")),
    ],
    ids=" ".join,
)
def test_what_is_in_the_way_is_said(here: Project, command: tuple[str, ...]) -> None:
    before = made(here)
    here.refused_here(*command)
    assert made(here) == before


def made(project: Project) -> set[Path]:
    """All that is there but the user's cache."""
    return {path for path in project.root.rglob("*") if "cache" not in path.parts}
