"""Places that cannot be written to: one sentence and status 2 from every command, and nothing half-written."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from project import Project

INPAINT = ("inpaint", "photos", "--mask", "hole.png", "--model", "shipped", "-o")
OF_A_DATASET = ("--dataset", "mixed_scenes")


@pytest.fixture
def taken(here: Project) -> Project:
    """``data`` and ``taken`` are files, ``lost`` is a link to nothing."""
    (here.root / "photos").mkdir()
    Image.new("RGB", (48, 36)).save(here.root / "photos" / "a.png")
    for name in ("data", "taken"):
        (here.root / name).touch()
    (here.root / "lost").symlink_to("nowhere")
    return here


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
def test_what_is_in_the_way_is_said(taken: Project, command: tuple[str, ...]) -> None:
    before = made(taken)
    taken.refused_here(*command)
    assert made(taken) == before


def made(project: Project) -> set[Path]:
    """All that is there but the user's cache."""
    return {path for path in project.root.rglob("*") if "cache" not in path.parts}
