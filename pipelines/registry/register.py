"""The model registry: a version with its evidence, loaded back before it is called a candidate.

The evidence is what the gate compares two versions by. It lies in the version itself, where it cannot be
taken for another's: ``artifacts/evidence/`` holds the evaluation's ``images.parquet`` and ``evaluation.json``.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import mlflow
from mlflow import MlflowClient
from mlflow.models import Model

from pipelines.inference.server.pairs import answer
from pipelines.registry.pyfunc import ARTIFACT, MODEL_CONFIG, SIGNATURE, example_input, read_row
from pipelines.storage.files import digest_files, sha256_of_file
from pipelines.tracking.address import TrackingError, open_client, store_errors
from pipelines.tracking.model_source import CANDIDATE
from pipelines.tracking.released import DIGESTS_TAG
from sgenet.inpainter import Inpainter
from sgenet.methods.files import WEIGHTS

VERIFIED_TAG = "verified"

EVIDENCE = "evidence"
"""The artifact that holds :data:`EVIDENCE_FILES`."""

EVIDENCE_FILES = ("evaluation.json", "images.parquet")
"""What of an evaluation is kept with a version."""

_CODE = Path(__file__).with_name("served_model.py")


def register(
    released: Path,
    name: str,
    run_id: str,
    *,
    step: int,
    tags: Mapping[str, str],
    side: int,
    digests: Mapping[str, str] | None = None,
    description: str = "",
    evaluation: Path | None = None,
) -> str:
    """Register a released model as a new version and let the alias ``candidate`` point at it.

    The version is loaded back and must draw what the :class:`~sgenet.inpainter.Inpainter` draws, bit
    for bit, before the alias moves; the alias is read back after it was written, since the last
    writer wins in MLflow.

    Args:
        released: folder with ``model.safetensors`` and ``model.json``.
        name: of the registered model, made where missing.
        run_id: of the training.
        step: how many steps the training had; the run's metrics of this step are linked to the model.
        tags: what it is: method, dataset.
        side: height and width of the input example in pixels.
        digests: of what it was trained and evaluated on; kept in one tag, with those of weights and evidence.
        description: Markdown, shown with the version.
        evaluation: folder whose :data:`EVIDENCE_FILES` are kept with the version.

    Returns:
        The version's number; its address is ``models:/<name>/<version>``.

    Raises:
        TrackingError: the store cannot be used, or another process moved the alias meanwhile.
        CheckpointError: the folder holds no released model.
        RuntimeError: the version draws another image than the model it was made from.
    """
    all_digests = {**(digests or {}), "weights": sha256_of_file(released / WEIGHTS)}
    if evaluation is not None:
        all_digests["evidence"] = digest_evidence(evaluation)
    described = {**tags, DIGESTS_TAG: json.dumps(all_digests, sort_keys=True)}
    client = open_client()
    with store_errors(f"{name} cannot be registered"):
        # The model belongs, with its files, to the experiment of its run; MLflow takes one from the process alone.
        mlflow.set_experiment(experiment_id=client.get_run(run_id).info.experiment_id)
        with _artifacts(released, evaluation) as artifacts:
            version = _new_version(artifacts, name, run_id, described, step, side)
        if description:
            client.update_model_version(name, version, description)
        _verify_image(f"models:/{name}/{version}", released, side)
        client.set_model_version_tag(name, version, VERIFIED_TAG, "true")
        _move_alias(client, name, version)
    return version


def digest_evidence(folder: Path) -> str:
    """Hash the :data:`EVIDENCE_FILES` of a folder."""
    return digest_files((folder / name for name in EVIDENCE_FILES), folder)


@contextmanager
def _artifacts(released: Path, evaluation: Path | None) -> Iterator[dict[str, str]]:
    if evaluation is None:
        yield {ARTIFACT: str(released)}
        return
    with TemporaryDirectory() as temporary:
        # MLflow keeps a folder under its own name.
        evidence = Path(temporary) / EVIDENCE
        evidence.mkdir()
        for name in EVIDENCE_FILES:
            shutil.copyfile(evaluation / name, evidence / name)
        yield {ARTIFACT: str(released), EVIDENCE: str(evidence)}


def _new_version(artifacts: dict[str, str], name: str, run_id: str, tags: dict[str, str], step: int, side: int) -> str:
    # Not mlflow.pyfunc.log_model: it knows the thread's active run only, and would reopen the training's run.
    # MODEL_CONFIG goes past Model.log, which would make a parameter of the training's run of it.
    info = Model.log(
        artifact_path=None,
        flavor=SimpleNamespace(save_model=partial(mlflow.pyfunc.save_model, model_config=MODEL_CONFIG)),
        name=tags.get("method", "model"),
        run_id=run_id,
        registered_model_name=name,
        tags=tags,
        step=step,
        python_model=str(_CODE),
        artifacts=artifacts,
        signature=SIGNATURE,
        input_example=example_input(side),
        pip_requirements=_requirements(),
    )
    return str(info.registered_model_version)


def _verify_image(uri: str, released: Path, side: int) -> None:
    example = example_input(side)
    served = mlflow.pyfunc.load_model(uri).predict(example).iloc[0].to_dict()
    pair = read_row(example.iloc[0])
    direct = answer(pair, Inpainter.load(released)(pair.photo.pixels, pair.hole, texture="exemplar"))
    if served != direct:
        different = ", ".join(key for key in direct if served.get(key) != direct[key])
        raise RuntimeError(f"{uri} differs from the model in {released} in: {different}; it is not made a candidate")


def _move_alias(client: MlflowClient, name: str, version: str) -> None:
    client.set_registered_model_alias(name, CANDIDATE, version)
    found = client.get_model_version_by_alias(name, CANDIDATE).version
    if str(found) != version:
        raise TrackingError(
            f"{name}@{CANDIDATE} points at version {found} although {version} was just set: another process "
            "registers the same model; run this again when it is done"
        )


def _requirements() -> list[str]:
    """The exact versions of what the library needs; the library itself is installed from its repository."""
    needed = ["mlflow", "pandas"]
    for requirement in importlib.metadata.requires("sgenet") or []:
        if "extra ==" not in requirement:
            match = re.match(r"[A-Za-z0-9._-]+", requirement)
            needed += [match[0]] if match else []
    return [f"{package}=={importlib.metadata.version(package)}" for package in sorted(needed)]
