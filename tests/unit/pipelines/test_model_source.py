"""Whichever way a model is named, it is that model, checked, or one sentence says why not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import mlflow
import pytest
from inpainting_files import make_model
from mlflow import MlflowClient
from mlflow_store import make_store

from pipelines.registry.register import register
from pipelines.storage.files import sha256_of_file
from pipelines.tracking import model_source
from pipelines.tracking.address import TrackingError
from pipelines.tracking.logger import RunLogger
from pipelines.tracking.model_source import find_model, list_models, shipped_model
from pipelines.tracking.released import ReleasedModels, StoredVersion
from pipelines.tracking.runs import close_run, open_run
from sgenet.errors import CheckpointError, UserError
from sgenet.inpainter import Inpainter
from sgenet.label_space import OUTDOOR_SCENES

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("made") / "model")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """No store, no cache, no shipped model, but those of the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(model_source, "SHIPPED_FOLDER", str(tmp_path / "shipped"))
    return tmp_path


def weights(folder: Path) -> str:
    return sha256_of_file(folder / "model.safetensors")


class Store:
    """A store with two registered models: `sge-net-hills` 1 (sge_net) and 2 (base_net), `sge-net-towns` 1 (sge_net)."""

    def __init__(self, folder: Path) -> None:
        self.address = make_store(folder)
        os.environ["MLFLOW_TRACKING_URI"] = self.address
        self.released = {method: make_model(folder / method / "model", method) for method in ("sge_net", "base_net")}
        self.run_id = open_run("tests", "model source", name="tiny", params={})
        with RunLogger(self.run_id) as logger:
            logger.artifact(self.released["base_net"])
        close_run(self.run_id, "FINISHED")
        self.empty_run_id = open_run("tests", "no model", name="tiny", params={})
        for name, method in (
            ("sge-net-hills", "sge_net"),
            ("sge-net-hills", "base_net"),
            ("sge-net-towns", "sge_net"),
        ):
            register(self.released[method], name, self.run_id, step=1, tags={"method": method}, side=32)
        self.client = MlflowClient(self.address)

    def alias(self, name: str, alias: str, version: str | None) -> None:
        if version is None:
            self.client.delete_registered_model_alias(name, alias)
        else:
            self.client.set_registered_model_alias(name, alias, version)


@pytest.fixture(scope="module")
def made_store(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", "")
        yield Store(tmp_path_factory.mktemp("store"))
    mlflow.set_tracking_uri(None)


@pytest.fixture
def store(made_store, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", made_store.address)
    yield made_store
    for name in ("sge-net-hills", "sge-net-towns"):
        made_store.alias(name, "champion", None)


def test_a_folder_is_a_model_and_says_its_method(model):
    source = find_model(str(model))
    assert (source.folder, source.origin, source.version, source.method) == (model, "folder", None, "sge_net")


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("no-such-folder", "there is no model 'no-such-folder': no folder of that name; give champion"),
        (".", r"model\.json does not exist; a model is a folder with"),
        ("champion", "there is no model registry here: no mlflow/mlflow.db below this folder"),
        ("models:/sge-net-hills", "models:/sge-net-hills names no version; write models:/NAME/VERSION"),
        ("runs:/", "runs:/ names no run"),
        ("ftp://host/model", "ftp://host/model is not a place for files"),
    ],
)
def test_what_cannot_be_a_model_is_refused_with_what_to_write(spec, sentence):
    with pytest.raises(UserError, match=sentence):
        find_model(spec)


def test_without_registry_and_shipped_model_the_sentence_says_how_to_name_one(place):
    with pytest.raises(CheckpointError, match=r"no model is shipped with this copy of the code .* --model"):
        find_model()
    assert list_models() == []
    assert not (place / "mlflow").exists()


def test_the_shipped_model_is_the_default_while_there_is_no_champion(place):
    make_model(place / "shipped")
    assert find_model() == find_model("shipped") == shipped_model()
    assert find_model().described == "shipped (there is no registry in this folder)"
    assert find_model(method="sge_net").origin == "shipped"
    with pytest.raises(CheckpointError, match="no model of the method base_net, neither registered nor shipped"):
        find_model(method="base_net")


def test_another_method_than_the_folders_is_refused(model):
    with pytest.raises(CheckpointError, match="is sge_net, not base_net"):
        find_model(str(model), "base_net")


def test_a_server_that_is_away_is_said_at_once_and_nothing_else_is_used(place, monkeypatch):
    make_model(place / "shipped")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    with pytest.raises(TrackingError, match=r"no tracking server answers at http://127\.0\.0\.1:9"):
        find_model()


@pytest.mark.slow
def test_a_model_on_s3_is_copied_and_checked(model, s3_bucket):
    from pipelines.storage.store import open_storage

    storage = open_storage(f"s3://{s3_bucket}/models/tiny")
    for path in model.iterdir():
        storage.upload(path, path.name)
    source = find_model(f"s3://{s3_bucket}/models/tiny")
    assert weights(source.folder) == weights(model)
    assert find_model(f"s3://{s3_bucket}/models/tiny") == source
    with pytest.raises(UserError, match=r"models/none/model\.safetensors does not exist"):
        find_model(f"s3://{s3_bucket}/models/none")


@pytest.mark.slow
def test_the_champion_is_the_default_and_every_way_to_name_it_gives_the_same_weights(store, place):
    make_model(place / "shipped")
    assert find_model().origin == "shipped"
    store.alias("sge-net-hills", "champion", "1")
    sources = [find_model(spec) for spec in (None, "champion", "sge-net-hills@champion", "models:/sge-net-hills/1")]
    assert {source.folder for source in sources} == {sources[0].folder}
    assert (sources[0].name, sources[0].origin, sources[0].version) == ("sge-net-hills@champion", "registry", "1")
    assert [source.name for source in sources[2:]] == ["sge-net-hills@champion", "models:/sge-net-hills/1"]
    assert weights(sources[0].folder) == weights(store.released["sge_net"])
    assert Inpainter.load(sources[0].folder).label_space == OUTDOOR_SCENES


@pytest.mark.slow
def test_a_champion_that_cannot_be_read_is_an_error_and_not_the_shipped_model(store, place):
    make_model(place / "shipped")
    store.alias("sge-net-hills", "champion", "1")
    artifacts = Path(store.address.removeprefix("sqlite:///")).parent / "artifacts"
    artifacts.rename(artifacts.with_name("gone"))
    try:
        with pytest.raises(
            UserError,
            match=r"files of models:/sge-net-hills/1 cannot be fetched .*check that its artifact store is there",
        ):
            find_model()
    finally:
        artifacts.with_name("gone").rename(artifacts)


@pytest.mark.slow
def test_a_version_is_fetched_once_and_again_when_the_copy_is_spoilt(store, monkeypatch):
    copies = []
    copy = ReleasedModels.copy_version
    monkeypatch.setattr(ReleasedModels, "copy_version", lambda *given: copies.append(given) or copy(*given))
    folder = find_model("models:/sge-net-hills/1").folder
    find_model("models:/sge-net-hills/1")
    assert len(copies) == 1
    (folder / "model.safetensors").write_bytes(b"spoilt")
    assert weights(find_model("models:/sge-net-hills/1").folder) == weights(store.released["sge_net"])
    assert len(copies) == 2
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


@pytest.mark.slow
def test_several_champions_are_named_and_a_method_chooses_among_them(store):
    store.alias("sge-net-hills", "champion", "2")
    store.alias("sge-net-towns", "champion", "1")
    with pytest.raises(UserError, match="sge-net-hills@champion, sge-net-towns@champion"):
        find_model()
    assert find_model("champion", "base_net").name == "sge-net-hills@champion"
    assert find_model(method="sge_net").name == "sge-net-towns@champion"
    assert {source.name for source in list_models()} == {"sge-net-hills@champion", "sge-net-towns@champion"}


@pytest.mark.slow
def test_another_teams_model_of_the_same_alias_is_passed_over(store):
    store.alias("sge-net-towns", "champion", "1")
    store.client.create_registered_model("another-teams")
    try:
        store.client.create_model_version("another-teams", f"runs:/{store.run_id}/model", store.run_id)
        store.alias("another-teams", "champion", "1")
        assert find_model().name == "sge-net-towns@champion"
    finally:
        store.client.delete_registered_model("another-teams")


@pytest.mark.slow
def test_a_method_without_champion_is_its_candidate_then_its_newest_version(store):
    assert find_model(method="base_net").name == "sge-net-hills@candidate"
    store.alias("sge-net-towns", "candidate", None)
    try:
        with pytest.raises(
            UserError, match=r"several registered models of the method sge_net; .*models:/sge-net-hills/1"
        ):
            find_model(method="sge_net")
    finally:
        store.alias("sge-net-towns", "candidate", "1")


@pytest.mark.slow
def test_a_runs_model_is_what_its_training_logged(store):
    source = find_model(f"runs:/{store.run_id}")
    assert (source.origin, source.method) == ("run", "base_net")
    assert weights(source.folder) == weights(store.released["base_net"])
    assert find_model(f"runs:/{store.run_id}/model").folder == source.folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("nothing@champion", r"no registered model 'nothing' in .* \(registered: sge-net-hills, sge-net-towns\)"),
        ("sge-net-hills@champion", r"sge-net-hills has no alias 'champion' \(it has candidate\)"),
        ("models:/sge-net-hills/77", "sge-net-hills has no version 77"),
        ("champion", "there is no registered champion yet"),
        ("candidate", "several registered candidates; .*sge-net-hills@candidate, sge-net-towns@candidate"),
        (f"runs:/{'0' * 32}", "there is no run 0{32}"),
    ],
)
def test_what_the_registry_does_not_hold_is_named(store, spec, sentence):
    with pytest.raises(UserError, match=sentence):
        find_model(spec)


@pytest.mark.slow
def test_a_run_without_a_model_is_refused(store):
    with pytest.raises(TrackingError, match=f"run {store.empty_run_id} "):
        find_model(f"runs:/{store.empty_run_id}")


@pytest.mark.slow
def test_weights_that_changed_in_the_artifact_store_are_refused_and_not_cached(store, place):
    stored = store.client.get_model_version_download_uri("sge-net-towns", "1").removeprefix("file://")
    kept = Path(stored) / "artifacts" / "model" / "model.safetensors"
    content = kept.read_bytes()
    kept.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    try:
        with pytest.raises(CheckpointError, match=r"weights of sge-net-towns@candidate \(version 1\) are damaged"):
            find_model("sge-net-towns@candidate")
        assert list((place / "cache" / "sgenet" / "models").iterdir()) == []
    finally:
        kept.write_bytes(content)


def test_the_copy_of_a_version_with_the_same_weights_in_another_store_is_not_taken(place, model, monkeypatch):
    """A model that is trained again in a new clone has the weights, the name and the number of the old one."""

    class Registry:
        def __init__(self, step: int) -> None:
            self.step = step

        def copy_version(self, version, work):
            shutil.copytree(model, work / "model")
            description = json.loads((model / "model.json").read_text())
            (work / "model" / "model.json").write_text(json.dumps({**description, "step": self.step}))
            return work / "model"

    found = []
    for step, run_id in ((1, "a" * 32), (2, "b" * 32)):
        version = StoredVersion(
            name="hills",
            version="1",
            aliases=("champion",),
            method="sge_net",
            weights_sha256=weights(model),
            run_id=run_id,
        )
        monkeypatch.setattr(model_source, "_registry", partial(Registry, step))
        source = model_source._fetched(version, "champion")
        found.append(json.loads((source.folder / "model.json").read_text())["step"])
    assert found == [1, 2]


@pytest.mark.slow
def test_finding_a_shipped_model_beside_a_store_without_champion_loads_neither_mlflow_nor_torch(store, place):
    make_model(place / "shipped")
    (place / "mlflow").mkdir()
    shutil.copyfile(store.address.removeprefix("sqlite:///"), place / "mlflow" / "mlflow.db")
    code = (
        "import sys; from pipelines.tracking import model_source\n"
        f"model_source.SHIPPED_FOLDER = {str(place / 'shipped')!r}\n"
        "assert model_source.find_model().origin == 'shipped'\n"
        "print([name for name in ('mlflow', 'torch', 'boto3', 'ray', 'sqlalchemy') if name in sys.modules])"
    )
    environment = {**os.environ, "MLFLOW_TRACKING_URI": "", "PYTHONPATH": str(ROOT)}
    finished = subprocess.run(
        [sys.executable, "-c", code], cwd=place, env=environment, capture_output=True, text=True, check=False
    )
    assert (finished.stdout.strip(), finished.stderr) == ("[]", "")
