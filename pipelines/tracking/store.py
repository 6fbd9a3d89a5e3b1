"""One sentence for whatever goes wrong with the tracking store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import requests
from mlflow.exceptions import MlflowException

from pipelines.tracking.address import TrackingError, without_secrets

_REFUSED = (401, 403)


@contextmanager
def store_errors(address: str, failed: str) -> Iterator[None]:
    """Raise what MLflow raises as a :class:`TrackingError`.

    Args:
        address: of the store.
        failed: what could not be done, such as "the run cannot be opened".
    """
    try:
        yield
    except (MlflowException, requests.RequestException) as error:
        reason = str(error).replace(address, without_secrets(address)).split("\n", 1)[0].split(". ", 1)[0]
        raise TrackingError(
            f"{failed}: the tracking store {without_secrets(address)} cannot be used ({reason}); {_remedy(error)}, and "
            "run the same command again"
        ) from error


def _remedy(error: MlflowException | requests.RequestException) -> str:
    if isinstance(error, MlflowException) and error.get_http_status_code() in _REFUSED:  # type: ignore[no-untyped-call]
        return "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD to a login that may do this"
    return "check MLFLOW_TRACKING_URI and that its server is running"
