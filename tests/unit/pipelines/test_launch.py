"""Where a training runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.settings.layout import DatasetPaths
from pipelines.settings.load import load
from pipelines.settings.params import ElasticWorkers, RunSettings
from pipelines.training.inputs import fetch_dataset
from pipelines.training.launch import trains_here
from sgenet.errors import DataError

PARAMS = Path(__file__).resolve().parents[3] / "params.yaml"


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


@pytest.mark.parametrize(
    ("storage", "first"),
    [("s3://bucket/store", ""), ("storage", "set storage to s3://BUCKET/PREFIX (it is storage), ")],
)
def test_a_job_for_which_nothing_was_published_says_what_comes_before_it(
    storage: str, first: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:6379")
    monkeypatch.chdir(tmp_path)
    settings, paths = load(PARAMS).model_copy(update={"storage": storage}), DatasetPaths("mine")
    with pytest.raises(DataError) as caught:
        fetch_dataset(settings, paths)
    assert f"published/mine.json lists nothing published: {first}prepare the data" in str(caught.value)
    assert "`python -m pipelines publish --dataset mine` before a job is submitted" in str(caught.value)
    monkeypatch.delenv("RAY_ADDRESS")
    with pytest.raises(DataError, match=r"mine/shards does not exist.*; run `dvc repro masks`$"):
        fetch_dataset(settings, paths)
    paths.shards.mkdir(parents=True)
    assert fetch_dataset(settings, paths) is None
