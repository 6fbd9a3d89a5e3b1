from __future__ import annotations

from typing import Any

import pytest
from every_dataset import every_dataset

from pipelines.settings.presets import with_presets


@pytest.fixture
def raw() -> dict[str, Any]:
    """The settings of every dataset as they are read, with presets replaced by what they stand for."""
    content: dict[str, Any] = with_presets(every_dataset(), "params.yaml")[0]
    return content
