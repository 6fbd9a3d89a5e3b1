"""Tiny random models, and a shelf that offers them."""

from __future__ import annotations

from pathlib import Path

import pytest
from inpainting_files import make_model

from pipelines.inference.page.models import ModelShelf
from pipelines.tracking.model_source import ModelSource

METHODS = ("sge_net", "base_net", "gated_conv")


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[ModelSource]:
    root = tmp_path_factory.mktemp("models")
    return [ModelSource(method, make_model(root / method, method, image_size=256), "folder") for method in METHODS]


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
