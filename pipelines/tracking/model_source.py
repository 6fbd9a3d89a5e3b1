"""Which model to use: the champion, a version of the registry, a run's, a folder's, or the one shipped with the code.

What comes from elsewhere is copied once into a cache of this user (``$XDG_CACHE_HOME/sgenet/models``, by
default ``~/.cache/sgenet/models``), which may be deleted at any time.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pipelines.settings.program import program
from pipelines.storage.files import sha256_of_file, writing
from sgenet.errors import CheckpointError, UserError
from sgenet.methods.files import DESCRIPTION, WEIGHTS

if TYPE_CHECKING:
    from pipelines.tracking.released import ReleasedModels, StoredVersion

# MLflow and boto3 take seconds to import: they are loaded for the models that need them.

CHAMPION, CANDIDATE, SHIPPED = "champion", "candidate", "shipped"
SPECS = "champion, candidate, NAME@ALIAS, models:/NAME/VERSION, runs:/ID, a folder, s3://…, or shipped"
"""What :func:`find_model` takes, for help texts."""

SHIPPED_FOLDER = "registry/shipped"
"""Where the shipped model lies, below the package."""


@dataclass(frozen=True)
class ModelSource:
    """A released model on this machine, and where it came from.

    Attributes:
        name: what a person would call it: ``NAME@alias``, ``models:/NAME/3``, ``runs:/ID``, a folder, ``shipped``.
        folder: holds ``model.json`` and ``model.safetensors``; only read it.
        origin: what kind of place it came from.
        version: of a registered model.
        reason: why it is this one, where nobody named it.
    """

    name: str
    folder: Path
    origin: Literal["shipped", "folder", "registry", "run"]
    version: str | None = None
    reason: str | None = field(default=None, compare=False)

    @property
    def described(self) -> str:
        """The name, with the version that it stands for now, and why it was taken where nobody named it."""
        details = [f"version {self.version}"] if self.version is not None and "@" in self.name else []
        details += [] if self.reason is None else [self.reason]
        return f"{self.name} ({', '.join(details)})" if details else self.name

    @property
    def method(self) -> str:
        """The name of its method.

        Raises:
            CheckpointError: the folder does not hold a released model.
        """
        path = self.folder / DESCRIPTION
        try:
            return str(json.loads(path.read_text(encoding="utf-8"))["method"])
        except FileNotFoundError:
            raise _no_model(self.folder) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"{path} is damaged ({error}); copy the model again") from error


def find_model(spec: str | None = None, method: str | None = None) -> ModelSource:
    """The model that a person means.

    Args:
        spec: ``champion`` or ``candidate`` (the one version with this alias), ``NAME@ALIAS``, ``models:/NAME@ALIAS``,
            ``models:/NAME/VERSION``, ``runs:/ID`` (or ``runs:/ID/PATH`` where its artifacts lie elsewhere than in
            ``model``), a folder, ``s3://bucket/folder``, or ``shipped``. None is the champion where there is one
            and the shipped model otherwise.
        method: only models of this method. Without ``spec``, registered ones in this order: a champion, a
            candidate, the newest version; then the shipped one.

    Raises:
        TrackingError: the registry cannot be used, or does not hold what is asked for.
        CheckpointError: a folder does not hold a released model, a copy is damaged, or the method is another.
        UserError: several models fit; the message names them.
    """
    if spec is None:
        return _preferred_model(method)
    if spec in (CHAMPION, CANDIDATE):
        version = _only_one(_registry().versions_with_alias(spec), spec, method)
        return _fetched(version, f"{version.name}@{spec}")
    source = _named_model(spec)
    if method is not None and source.method != method:
        raise CheckpointError(
            f"the method of the model {source.name} is {source.method}, not {method}; leave out --method or --model"
        )
    return source


def shipped_model() -> ModelSource:
    """The small model that comes with the code.

    Raises:
        CheckpointError: this copy of the code comes without.
    """
    folder = Path(__file__).parents[1] / SHIPPED_FOLDER
    if not _is_model(folder):
        raise CheckpointError(
            f"no model is shipped with this copy of the code ({folder} holds none); name one with --model ({SPECS})"
        )
    return ModelSource(SHIPPED, folder, "shipped")


def list_models() -> list[ModelSource]:
    """The models there are to choose from: every version with an alias, then the shipped one.

    Raises:
        UserError: as :func:`find_model`.
    """
    from pipelines.tracking.address import store_exists

    sources = []
    if store_exists():
        sources = [_fetched(version) for version in _registry().versions_with_alias()]
    return [*sources, *_shipped_if_any()]


def _preferred_model(method: str | None) -> ModelSource:
    """A champion, else (for a method) what comes closest, else the shipped model."""
    from pipelines.tracking.address import may_hold_alias, store_exists

    if method is None:
        if not store_exists():
            return replace(shipped_model(), reason="there is no registry in this folder")
        champions = _registry().versions_with_alias(CHAMPION) if may_hold_alias(CHAMPION) else []
        if not champions:
            return replace(shipped_model(), reason="the registry has no champion of this project")
        return _fetched(_only_one(champions, CHAMPION))
    if store_exists():
        for versions in _best_first(_registry(), method):
            if versions:
                return _fetched(_only_one(versions, "model", method))
    for shipped in _shipped_if_any():
        if shipped.method == method:
            return shipped
    raise CheckpointError(
        f"there is no model of the method {method}, neither registered nor shipped; train and register one, or name "
        f"one with --model ({SPECS})"
    )


def _best_first(registry: ReleasedModels, method: str) -> Iterator[list[StoredVersion]]:
    for alias in (CHAMPION, CANDIDATE):
        yield [version for version in registry.versions_with_alias(alias) if version.method == method]
    yield registry.versions_of_method(method)


def _only_one(versions: list[StoredVersion], what: str, method: str | None = None) -> StoredVersion:
    versions = [version for version in versions if method in (None, version.method)]
    of_method = f" of the method {method}" if method else ""
    if not versions:
        raise UserError(
            f"there is no registered {what}{of_method} yet; "
            f"register one with `{program()} register --dataset DATASET`, or name a model with --model"
        )
    if len(versions) > 1:
        names = ", ".join(_address(version) for version in versions)
        raise UserError(f"there are several registered {what}s{of_method}; choose one with --model: {names}")
    return versions[0]


def _named_model(spec: str) -> ModelSource:
    if spec == SHIPPED:
        return shipped_model()
    if spec.startswith("models:/"):
        return _registered_model(spec.removeprefix("models:/").strip("/"), spec)
    if spec.startswith("runs:/"):
        return _run_model(spec)
    if "://" in spec:
        return _stored_model(spec)
    if Path(spec).exists():
        return _folder_model(Path(spec))
    if "@" in spec:
        return _registered_model(spec, spec)
    raise CheckpointError(f"there is no model '{spec}': no folder of that name; give {SPECS}")


def _folder_model(folder: Path) -> ModelSource:
    if not _is_model(folder):
        raise _no_model(folder)
    return ModelSource(str(folder), folder, "folder")


def _registered_model(address: str, spec: str) -> ModelSource:
    name, at, alias = address.rpartition("@")
    if not at:
        name, _, version = address.rpartition("/")
        if not name or not version.isdigit():
            raise UserError(f"{spec} names no version; write models:/NAME/VERSION or models:/NAME@ALIAS")
        return _fetched(_registry().version(name, version), f"models:/{name}/{version}")
    return _fetched(_registry().version_of_alias(name, alias), address)


def _run_model(spec: str) -> ModelSource:
    run_id, _, path = spec.removeprefix("runs:/").strip("/").partition("/")
    if not run_id:
        raise UserError(f"{spec} names no run; write runs:/ID")
    registry = _registry()
    folder = _cached_copy(f"run-{run_id[:8]}", lambda work: registry.copy_run(run_id, path or None, work))
    return ModelSource(spec.rstrip("/"), folder, "run")


def _stored_model(address: str) -> ModelSource:
    from pipelines.storage.store import open_storage

    storage = open_storage(address)

    def download(work: Path) -> Path:
        for name in (WEIGHTS, DESCRIPTION):
            storage.download(name, work / "model" / name)
        return work / "model"

    return ModelSource(address, _cached_copy("stored", download), "folder")


def _fetched(version: StoredVersion, asked_for: str | None = None) -> ModelSource:
    """The cached copy of a version, made where it is missing or spoilt, under the name that someone asked for it by.

    Trained again, the same settings give the same weights, but not the same description: other code may have written
    it. So a copy belongs to one run, whose ID no other store has.
    """
    shown = asked_for or _address(version)
    run = version.run_id[:8] or "unknown"
    cached = _cache() / f"{_safe(version.name)}-v{version.version}-{run}-{version.weights_sha256[:16]}"
    if not _holds(cached, version.weights_sha256):
        with _workspace() as work:
            copied = _registry().copy_version(version, work)
            if not _holds(copied, version.weights_sha256):
                raise CheckpointError(
                    f"the weights of {shown} (version {version.version}) are damaged: their SHA-256 is not the "
                    f"{version.weights_sha256[:16]}… they were registered with; register the model again"
                )
            _publish(copied, cached, version.weights_sha256)
    return ModelSource(shown, cached, "registry", version.version)


def _address(version: StoredVersion) -> str:
    """``NAME@alias`` for a version with an alias, the champion's first; ``models:/NAME/3`` otherwise."""
    if not version.aliases:
        return f"models:/{version.name}/{version.version}"
    return f"{version.name}@{CHAMPION if CHAMPION in version.aliases else version.aliases[0]}"


def _cached_copy(label: str, copy: Callable[[Path], Path]) -> Path:
    """A copy of a model whose hash is not known beforehand, under the hash that it turns out to have."""
    with _workspace() as work:
        copied = copy(work)
        weights = sha256_of_file(copied / WEIGHTS)
        cached = _cache() / f"{label}-{weights[:16]}-{sha256_of_file(copied / DESCRIPTION)[:8]}"
        _publish(copied, cached, weights)
    return cached


def _publish(copied: Path, cached: Path, weights_sha256: str) -> None:
    """Give a finished copy its name, unless another process did so first."""
    with writing(cached):
        if cached.exists() and not _holds(cached, weights_sha256):
            cached.replace(copied.with_name(f"{copied.name}.spoilt"))
        try:
            copied.replace(cached)
        except OSError:
            if not _holds(cached, weights_sha256):
                raise


def _holds(folder: Path, weights_sha256: str) -> bool:
    return _is_model(folder) and sha256_of_file(folder / WEIGHTS) == weights_sha256


@contextmanager
def _workspace() -> Iterator[Path]:
    """An empty folder in the cache, removed afterwards."""
    cache = _cache()
    with writing(cache):
        cache.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".copying-", dir=cache))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME", "").strip()
    return (Path(home) if home else Path.home() / ".cache") / "sgenet" / "models"


def _safe(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name)


def _is_model(folder: Path) -> bool:
    return (folder / DESCRIPTION).is_file() and (folder / WEIGHTS).is_file()


def _no_model(folder: Path) -> CheckpointError:
    missing = WEIGHTS if (folder / DESCRIPTION).is_file() else DESCRIPTION
    return CheckpointError(f"{folder / missing} does not exist; a model is a folder with {DESCRIPTION} and {WEIGHTS}")


def _shipped_if_any() -> list[ModelSource]:
    try:
        return [shipped_model()]
    except CheckpointError:
        return []


def _registry() -> ReleasedModels:
    from pipelines.tracking.address import TrackingError, store_exists

    if not store_exists():
        raise TrackingError(
            "there is no model registry here: no mlflow/mlflow.db below this folder, and MLFLOW_TRACKING_URI is not "
            "set; run this in the folder of params.yaml, or name a model's folder"
        )
    from pipelines.tracking.released import ReleasedModels

    return ReleasedModels()
