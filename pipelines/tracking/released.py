"""Released models that the tracking store keeps: found by name, alias or run, and copied out of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import mlflow
import mlflow.artifacts
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException

from pipelines.settings.program import program
from pipelines.tracking.address import (
    TrackingError,
    check_reachable,
    open_client,
    store_errors,
    tracking_uri,
    without_secrets,
)
from sgenet.errors import first_line
from sgenet.methods.files import DESCRIPTION, WEIGHTS

DATASET_TAG = "dataset"
METHOD_TAG = "method"
SEGMENTER_TAG = "segmenter"
DIGESTS_TAG = "digests"
"""JSON: the hash of a version's ``weights``, of its ``evidence``, and of what it was trained and evaluated on."""

_UNREADABLE = "the registry cannot be read"
_RUN_FOLDER = "model"  # where the stage `train` puts the released model among a run's artifacts
_VERSION_FOLDER = "artifacts"  # where a pyfunc keeps what it was made from


@dataclass(frozen=True, kw_only=True)
class StoredVersion:
    """A version of a registered model, as the registry describes it.

    Attributes:
        name, version: address it as ``models:/<name>/<version>``.
        aliases: what points at it, sorted.
        method, dataset: names, or None where the registry does not say.
        weights_sha256: what ``model.safetensors`` must hash to.
        evidence_sha256: what its scores of single images must hash to; None where it has none.
        run_id: of the training.
        tags: all of them.
    """

    name: str
    version: str
    aliases: tuple[str, ...]
    method: str | None
    weights_sha256: str
    dataset: str | None = None
    evidence_sha256: str | None = None
    run_id: str = ""
    tags: Mapping[str, str] = field(default_factory=dict, compare=False)


class ReleasedModels:
    """The released models of one tracking store.

    Every method raises a TrackingError where the store cannot be used.
    """

    def __init__(self) -> None:
        check_reachable(tracking_uri(), must_exist=True)
        self._client = open_client()
        self._store = without_secrets(tracking_uri())

    def versions_with_alias(self, alias: str | None = None) -> list[StoredVersion]:
        """Every version of this project that an alias points at, or one certain alias; sorted by name and version."""
        with store_errors(_UNREADABLE):
            wanted = {
                (model.name, int(version))
                for model in mlflow.search_registered_models()
                for name, version in model.aliases.items()
                if alias in (None, name)
            }
            found = [self._client.get_model_version(name, str(version)) for name, version in sorted(wanted)]
        return [_describe(stored) for stored in found if "weights" in digests_of(stored.tags)]

    def versions_of(self, name: str) -> list[StoredVersion]:
        """Every version of a model that this project registered, oldest first."""
        self._model(name)
        with store_errors(_UNREADABLE):
            found = all_versions(name)
        return [_describe(stored) for stored in found if "weights" in digests_of(stored.tags)]

    def versions_of_method(self, method: str) -> list[StoredVersion]:
        """The newest version of each registered model that was trained with a method, sorted by name."""
        with store_errors(_UNREADABLE):
            found = self._client.search_model_versions(
                f"tags.`{METHOD_TAG}` = '{method}'", order_by=["version_number DESC"]
            )
        newest: dict[str, ModelVersion] = {}
        for stored in found:
            newest.setdefault(stored.name, stored)
        return [self.version(name, str(stored.version)) for name, stored in sorted(newest.items())]

    def version_of_alias(self, name: str, alias: str) -> StoredVersion:
        """The version that an alias of a registered model points at."""
        aliases = {key: str(version) for key, version in self._model(name).aliases.items()}
        if alias not in aliases:
            known = f"it has {', '.join(sorted(aliases))}" if aliases else "it has none"
            raise TrackingError(f"the model {name} has no alias '{alias}' ({known}); choose one, or promote a version")
        return self.version(name, aliases[alias])

    def version(self, name: str, version: str) -> StoredVersion:
        """One version by its number."""
        self._model(name)
        try:
            stored = self._client.get_model_version(name, version)
        except MlflowException as error:
            known = ", ".join(str(each.version) for each in all_versions(name)) or "none"
            raise TrackingError(
                f"the model {name} has no version {version} in {self._store} (versions: {known}); correct it"
            ) from error
        if "weights" not in digests_of(stored.tags):
            raise TrackingError(
                f"models:/{name}/{version} does not say the hash of its weights (tag '{DIGESTS_TAG}'): it was not "
                f"registered by this project; register it with `{program()} register --dataset DATASET`"
            )
        return _describe(stored)

    def copy_version(self, version: StoredVersion, folder: Path) -> Path:
        """Copy a version's released model below ``folder``; its hash is not checked yet.

        Returns:
            The folder that holds ``model.json`` and ``model.safetensors``.
        """
        uri = f"models:/{version.name}/{version.version}"
        # A segmenter's version is its files themselves.
        return self._copy(uri, uri if SEGMENTER_TAG in version.tags else f"{uri}/{_VERSION_FOLDER}", folder)

    def copy_run(self, run_id: str, path: str | None, folder: Path) -> Path:
        """Copy the released model that a run logged below ``folder``.

        Args:
            path: where among the run's artifacts; ``model``, as the stage ``train`` logs it, by default.

        Returns:
            The folder that holds ``model.json`` and ``model.safetensors``.
        """
        try:
            self._client.get_run(run_id)
        except MlflowException as error:
            raise TrackingError(
                f"there is no run {run_id} in {self._store}; copy the id from the run's page in the MLflow UI"
            ) from error
        return self._copy(f"the run {run_id}", f"runs:/{run_id}/{path or _RUN_FOLDER}", folder)

    def _copy(self, what: str, uri: str, folder: Path) -> Path:
        try:
            mlflow.artifacts.download_artifacts(uri, dst_path=str(folder))
        # Every kind of artifact store has errors of its own.
        except Exception as error:
            raise TrackingError(
                f"the files of {what} cannot be fetched from {self._store} ({first_line(error)}); check that its "
                "artifact store is there and holds them"
            ) from error
        found = [path.parent for path in sorted(folder.rglob(DESCRIPTION)) if path.with_name(WEIGHTS).is_file()]
        if not found:
            raise TrackingError(
                f"{what} holds no released model ({DESCRIPTION} and {WEIGHTS}); only a finished training logs one"
            )
        # A run may hold a model twice: as its training logged it, and within the version registered from it.
        return min(found, key=lambda path: len(path.parts))

    def _model(self, name: str) -> RegisteredModel:
        try:
            return self._client.get_registered_model(name)
        except MlflowException as error:
            with store_errors(_UNREADABLE):
                known = ", ".join(model.name for model in mlflow.search_registered_models())
            if not known:
                raise TrackingError(
                    f"nothing is registered yet in {self._store}; `dvc repro register` registers what is trained"
                ) from error
            raise TrackingError(
                f"there is no registered model '{name}' in {self._store} (registered: {known}); correct the name"
            ) from error


def all_versions(name: str) -> list[ModelVersion]:
    """Every version of a registered model, oldest first."""
    return mlflow.search_model_versions(filter_string=f"name = '{name}'", order_by=["version_number ASC"])


def digests_of(tags: Mapping[str, str]) -> dict[str, str]:
    """The digests that a version's tags hold, see :data:`DIGESTS_TAG`."""
    digests: dict[str, str] = json.loads(tags.get(DIGESTS_TAG, "{}"))
    return digests


def _describe(stored: ModelVersion) -> StoredVersion:
    digests = digests_of(stored.tags)
    return StoredVersion(
        name=stored.name,
        version=str(stored.version),
        aliases=tuple(sorted(stored.aliases)),
        method=stored.tags.get(METHOD_TAG),
        weights_sha256=digests["weights"],
        dataset=stored.tags.get(DATASET_TAG),
        evidence_sha256=digests.get("evidence"),
        run_id=stored.run_id or "",
        tags=dict(stored.tags),
    )
