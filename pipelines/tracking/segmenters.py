"""Fitted segmenters in the model registry: a version is the files that the run of the fitting logged."""

from __future__ import annotations

import json

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from pipelines.tracking.address import check_reachable, one_at_a_time, open_client, store_errors, tracking_uri
from pipelines.tracking.released import DIGESTS_TAG, SEGMENTER_TAG, digests_of


def register_segmenter(name: str, segmenter: str, run_id: str, path: str, weights_sha256: str) -> str:
    """Register a segmenter, unless a version has these weights already.

    Args:
        name: of the registered model, made where missing.
        path: of the folder with its files among the artifacts of the run of the fitting.

    Returns:
        The version's address, ``models:/NAME/VERSION``, as ``labels.<dataset>.checkpoint`` takes it.

    Raises:
        TrackingError: the store cannot be used.
    """
    check_reachable(tracking_uri())
    client = open_client()
    # Its files are in the output of the stage, and running it again registers them.
    with store_errors(f"{name} cannot be registered"), one_at_a_time():
        _make_model(client, name)
        found = client.search_model_versions(f"name = '{name}'")
        same = [version for version in found if digests_of(version.tags).get("weights") == weights_sha256]
        version = (
            same[0]
            if same
            else client.create_model_version(
                name,
                source=f"runs:/{run_id}/{path}",
                run_id=run_id,
                tags={DIGESTS_TAG: json.dumps({"weights": weights_sha256}), SEGMENTER_TAG: segmenter},
            )
        )
    return f"models:/{name}/{version.version}"


def _make_model(client: MlflowClient, name: str) -> None:
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
