"""Fitted segmenters in the model registry: a version is the files that the run of the fitting logged."""

from __future__ import annotations

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from pipelines.tracking.address import (
    TrackingError,
    check_reachable,
    one_at_a_time,
    open_client,
    tracking_uri,
    without_secrets,
)
from pipelines.tracking.released import SEGMENTER_TAG, WEIGHTS_TAG


def register_segmenter(name: str, segmenter: str, run_id: str, path: str, weights_sha256: str) -> str:
    """Register a segmenter, unless a version has these weights already.

    Args:
        name: of the registered model, made where missing.
        segmenter: which one it is.
        run_id: of the fitting.
        path: of the folder with its files among the run's artifacts.
        weights_sha256: of its weights.

    Returns:
        The version's address, ``models:/NAME/VERSION``, as ``labels.<dataset>.checkpoint`` takes it.

    Raises:
        TrackingError: the store cannot be used.
    """
    address = tracking_uri()
    try:
        check_reachable(address)
        client = open_client(address)
        with one_at_a_time(address):
            _make_model(client, name)
            found = client.search_model_versions(f"name = '{name}'")
            same = [version for version in found if version.tags.get(WEIGHTS_TAG) == weights_sha256]
            version = (
                same[0]
                if same
                else client.create_model_version(
                    name,
                    source=f"runs:/{run_id}/{path}",
                    run_id=run_id,
                    tags={WEIGHTS_TAG: weights_sha256, SEGMENTER_TAG: segmenter},
                )
            )
    except MlflowException as error:
        raise TrackingError(
            f"{name} cannot be registered in {without_secrets(address)} ({str(error).splitlines()[0]}); its files are "
            "in the output of the stage, and running it again registers them"
        ) from error
    return f"models:/{name}/{version.version}"


def _make_model(client: MlflowClient, name: str) -> None:
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
