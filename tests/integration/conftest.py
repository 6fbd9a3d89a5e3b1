from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow_store import make_store
from project import Project, make_project
from tiny import make_dataset
from two_ranks import TwoRanks

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def s3_client(s3_endpoint: str) -> Any:
    """Whoever looks into the S3 server, whatever the environment is."""
    import boto3

    return boto3.Session("test", "test", region_name="us-east-1").client("s3", endpoint_url=s3_endpoint)


@pytest.fixture(scope="session")
def tiny_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the raw images, ``shards`` and ``masks`` of a tiny dataset."""
    root = tmp_path_factory.mktemp("tiny")
    make_dataset(root)
    return root


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A folder as the demo leaves it: settings, data, and two versions of a model in the embedded store."""
    return make_project(tmp_path_factory.mktemp("project"))


@pytest.fixture
def here(tmp_path: Path) -> Project:
    """A folder with settings and two images, and no store."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    project = Project(tmp_path)
    project.write_images()
    return project


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowClient]:
    """The tracking store of the tests of a file, and a cache of theirs."""
    root = tmp_path_factory.mktemp("tracking")
    address = make_store(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", address)
        patch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        yield MlflowClient(address)


@pytest.fixture(scope="module")
def two_ranks() -> Iterator[TwoRanks]:
    """Two processes that run a function together."""
    ranks = TwoRanks()
    yield ranks
    ranks.kill()
