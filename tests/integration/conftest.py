from __future__ import annotations

from pathlib import Path

import pytest
from tiny import make_dataset


@pytest.fixture(scope="session")
def tiny_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the raw pictures, ``shards`` and ``masks`` of a tiny dataset."""
    root = tmp_path_factory.mktemp("tiny")
    make_dataset(root)
    return root
