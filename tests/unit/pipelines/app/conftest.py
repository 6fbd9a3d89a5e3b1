"""Tiny random models, and a shelf that offers them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pipelines.inference.page.models import ModelShelf
from pipelines.tracking.model_source import ModelSource
from sgenet.label_space import OUTDOOR_SCENES
from sgenet.methods.build import build_generator
from sgenet.methods.gated_conv.settings import GatedConvSettings
from sgenet.methods.recipe import Recipe
from sgenet.methods.release import save_released
from sgenet.settings import NetworkSettings

METHODS = ("sge_net", "base_net", "gated_conv")


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[ModelSource]:
    root = tmp_path_factory.mktemp("models")
    recipe = Recipe(
        network=NetworkSettings(widths=(4, 4, 4, 4, 4), context_blocks=1, modulation_width=4),
        gated_conv=GatedConvSettings(width=4),
    )
    for method in METHODS:
        torch.manual_seed(3)
        generator = build_generator(method, recipe, OUTDOOR_SCENES.num_classes)
        save_released(root / method, method, generator, recipe, OUTDOOR_SCENES)
    return [ModelSource(method, root / method, "folder") for method in METHODS]


@pytest.fixture
def shelf(sources: list[ModelSource]) -> ModelShelf:
    shelf = ModelShelf(lambda: sources, most_loaded=2)
    shelf.refresh()
    return shelf


@pytest.fixture
def upload(tmp_path: Path):
    """Write bytes as a browser's upload would lie on disk."""

    def write(content: bytes, name: str = "my photo.png") -> Path:
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return write
