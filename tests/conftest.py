"""For all tests: nothing is left on the machine or reached from outside; an S3 store on loopback for whoever asks."""

from __future__ import annotations

import gc
import itertools
import os
import sys
from collections.abc import Iterator

import pytest

from pipelines.parallel.loopback import keep_to_loopback

_bucket_numbers = itertools.count()


def pytest_configure() -> None:
    # Ray reads it while it is imported, which whichever test comes first may do.
    keep_to_loopback()
    # What is imported here stays until the end. Left to itself the collector goes through it again and again.
    gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _state_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Records for tracking stores wait in a folder of the tests, also those of the processes they start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(autouse=True)
def _no_store_of_an_earlier_test() -> Iterator[None]:
    """MLflow's store belongs to the process, and goes into its environment for the processes that it starts."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "MLFLOW_EXPERIMENT_ID"):
            # Restored at the end, also to being absent.
            patch.setenv(name, os.environ.get(name, ""))
            if not os.environ[name]:
                patch.delenv(name)
        yield
        if "mlflow" in sys.modules:
            import mlflow

            mlflow.set_tracking_uri(None)


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def s3_variables(s3_endpoint: str) -> dict[str, str]:
    """The environment in which processes find the S3 server."""
    return {
        "AWS_ENDPOINT_URL": s3_endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@pytest.fixture
def s3_environment(s3_variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**s3_variables, "AWS_MAX_ATTEMPTS": "1"}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def s3_bucket(s3_environment: None) -> str:
    """The name of a new, empty bucket."""
    import boto3

    name = f"bucket-{next(_bucket_numbers)}"
    boto3.client("s3").create_bucket(Bucket=name)
    return name
