"""Where a training runs."""

from __future__ import annotations

import pytest

from pipelines.settings.params import ElasticWorkers, RunSettings
from pipelines.training.launch import trains_here


@pytest.mark.parametrize(
    ("workers", "address", "here"),
    [
        (0, "", True),
        (1, "", True),
        (2, "", False),
        (ElasticWorkers(min=1, max=2), "", False),
        (0, "head:6379", True),
        (1, "head:6379", False),
    ],
)
def test_one_worker_needs_no_cluster_unless_one_is_addressed(
    workers: int | ElasticWorkers, address: str, here: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    assert trains_here(RunSettings(workers=workers)) is here
