"""A registered model is the model: no pickles, its evidence beside it, and the same image when loaded back."""

from __future__ import annotations

import base64
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow_store import make_store
from PIL import Image

from pipelines.registry import register as registry
from pipelines.registry.pyfunc import example_input, read_row
from pipelines.settings import load as params
from pipelines.stages import register
from pipelines.storage.files import sha256_of_file
from pipelines.tracking.address import TrackingError
from pipelines.tracking.runs import close_run, open_run
from sgenet.errors import CheckpointError
from sgenet.inpainter import Inpainter
from sgenet.label_space import OUTDOOR_SCENES
from sgenet.methods.build import build_generator
from sgenet.methods.recipe import Recipe
from sgenet.methods.release import save_released
from sgenet.settings import NetworkSettings

NAME = "sge-net-test"
SIDE = 32
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    folder = tmp_path_factory.mktemp("released")
    network = NetworkSettings(widths=(4, 4, 4, 4, 4), context_blocks=1, modulation_width=4, image_size=SIDE)
    generator = build_generator("sge_net", Recipe(network=network), OUTDOOR_SCENES.num_classes)
    save_released(folder, "sge_net", generator, Recipe(network=network), OUTDOOR_SCENES)
    return folder


@pytest.fixture(scope="module", autouse=True)
def store(tmp_path_factory):
    address = make_store(tmp_path_factory.mktemp("mlflow"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", address)
        yield address
    mlflow.set_tracking_uri(None)


@pytest.fixture(scope="module")
def run_id():
    opened = open_run("tests", "registry", name="tiny", params={"steps": 2})
    close_run(opened, "FINISHED")
    return opened


@pytest.fixture(scope="module")
def version(released, run_id):
    return registry.register(
        released, NAME, run_id, step=2, tags={"dataset": "tiny"}, digests={"tiny": "abc"}, side=SIDE
    )


@pytest.fixture(scope="module")
def served(version):
    return mlflow.pyfunc.load_model(f"models:/{NAME}@candidate")


def encode(pixels) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def decode(text) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))


def test_the_served_model_gives_what_the_inpainter_gives(served, released):
    rng = np.random.default_rng(3)
    image = rng.integers(0, 256, (37, 53, 3), dtype=np.uint8)
    hole = np.zeros((37, 53), np.uint8)
    hole[10:25, 20:40] = 255
    answered = served.predict([{"image": encode(image), "hole_mask": encode(hole)}] * 2)
    direct = Inpainter.load(released)(image, hole, texture="exemplar")
    for row in answered.to_dict("records"):
        np.testing.assert_array_equal(decode(row["inpainted"]), direct.image)
        np.testing.assert_array_equal(decode(row["segmentation"]), direct.label)
        assert row["confidence"] == pytest.approx(float(direct.confidence[hole > 0].mean()), rel=1e-6)


def test_without_a_hole_the_confidence_is_null_and_the_image_is_the_same(served):
    image = np.full((16, 16, 3), 77, np.uint8)
    answered = served.predict([{"image": encode(image), "hole_mask": encode(np.zeros((16, 16), np.uint8))}])
    assert answered["confidence"][0] is None
    np.testing.assert_array_equal(decode(answered["inpainted"][0]), image)


def test_the_signature_refuses_a_missing_column_and_says_which(served):
    with pytest.raises(MlflowException, match="hole_mask"):
        served.predict([{"image": "abc"}])


@pytest.mark.parametrize(
    ("image", "reason"),
    [("not base64!", "'image' is not base64"), ("aGVsbG8=", "the image is not in a known image format")],
)
def test_a_bad_image_is_refused_with_its_row_and_reason(served, image, reason):
    good = example_input(16).iloc[0].to_dict()
    with pytest.raises(MlflowException, match=f"row 1: {reason}") as caught:
        served.predict([good, {**good, "image": image}])
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"


def test_the_stored_model_has_weights_and_no_pickle(version, tmp_path):
    folder = mlflow.artifacts.download_artifacts(f"models:/{NAME}/{version}", dst_path=str(tmp_path))
    names = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert {"MLmodel", "model.safetensors", "model.json", "served_model.py", "input_example.json"} <= names
    assert not [name for name in names if name.endswith((".pkl", ".pickle", ".pt", ".pth"))]
    assert "python_model" not in mlflow.models.Model.load(folder).flavors["python_function"]
    assert f"torch=={torch.__version__.split('+')[0]}" in (tmp_path / folder / "requirements.txt").read_text()


def test_the_version_carries_its_evidence_and_its_run(version, released, run_id):
    stored = MlflowClient().get_model_version_by_alias(NAME, "candidate")
    assert (str(stored.version), stored.run_id) == (version, run_id)
    digests = json.loads(stored.tags["digests"])
    assert digests == {"tiny": "abc", "weights": sha256_of_file(released / "model.safetensors")}
    assert (stored.tags["dataset"], stored.tags["verified"]) == ("tiny", "true")


def test_registering_does_not_reopen_the_trainings_run(version, run_id):
    assert MlflowClient().get_run(run_id).info.status == "FINISHED"
    assert mlflow.active_run() is None


def test_a_version_that_draws_another_image_is_no_candidate(version, released, run_id, monkeypatch):
    def other_image(row):
        pair = read_row(row)
        return replace(pair, photo=replace(pair.photo, pixels=pair.photo.pixels[:, ::-1].copy()))

    monkeypatch.setattr(registry, "read_row", other_image)
    with pytest.raises(RuntimeError, match="inpainted"):
        registry.register(released, NAME, run_id, step=2, tags={}, side=SIDE)
    candidate = MlflowClient().get_model_version_by_alias(NAME, "candidate")
    assert str(candidate.version) == version


def test_an_alias_that_another_process_moved_is_noticed(version, released, run_id, monkeypatch):
    monkeypatch.setattr(MlflowClient, "set_registered_model_alias", lambda self, name, alias, number: None)
    with pytest.raises(TrackingError, match=f"points at version {version} although"):
        registry.register(released, NAME, run_id, step=2, tags={}, side=SIDE)


@pytest.fixture
def stages(released, run_id, tmp_path):
    """The folders of the stages ``train`` and ``evaluate``, and settings that fit them."""
    model, evaluation = tmp_path / "model", tmp_path / "evaluation"
    shutil.copytree(released, model)
    evaluation.mkdir()
    training = {"run_id": run_id, "run_key": "registry", "steps": 2, "digests": {"shards": "abc", "code": "def"}}
    (model / "training.json").write_text(json.dumps(training))
    (evaluation / "metrics.json").write_text('{"centre": {"psnr": 21.5, "psnr_hole": 15.5, "num_images": 48}}')
    summary = {"shards_digest": "s1", "masks_digest": "m1", "code_digest": "c1"}
    summary["weights_sha256"] = sha256_of_file(model / "model.safetensors")
    (evaluation / "evaluation.json").write_text(json.dumps(summary))
    (evaluation / "images.parquet").write_bytes(b"a row for every image")
    settings = params.load(Path(__file__).resolve().parents[3] / "params.yaml")
    return settings, model, evaluation, tmp_path / "registered.json"


def test_the_stage_registers_logs_the_evaluation_and_says_so_last(stages, run_id):
    settings, model, evaluation, output = stages
    register.run(settings, "mixed_scenes", "sge_net", model, evaluation, output)
    registered = json.loads(output.read_text())
    assert (registered["name"], registered["verified"]) == ("sge-net-mixed_scenes", True)
    stored = MlflowClient().get_model_version_by_alias("sge-net-mixed_scenes", "candidate")
    assert str(stored.version) == registered["version"]
    digests = json.loads(stored.tags["digests"])
    assert (digests["evaluation.masks"], digests["evaluation.code"], digests["training.shards"]) == ("m1", "c1", "abc")
    assert "\n- centre: psnr 21.5" in stored.description
    assert "sge_net trained on mixed_scenes for 2 steps, evaluated on 48 images." in stored.description
    assert stored.description.startswith("15.50 dB in the hole: sge_net")
    run = MlflowClient().get_run(run_id)
    assert run.data.metrics == {"psnr": 21.5, "psnr_hole": 15.5}
    assert "device" not in run.data.params  # of serving, not of the training
    table = Path(mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path="evaluation/scores.csv"))
    assert table.read_text() == "score,centre\npsnr,21.5\npsnr_hole,15.5\nnum_images,48\n"
    assert run.info.status == "FINISHED"


def test_a_model_trained_elsewhere_gets_one_stand_in_run(stages, run_id):
    settings, model, evaluation, output = stages
    training = json.loads((model / "training.json").read_text())
    (model / "training.json").write_text(json.dumps({**training, "run_id": "0" * 32, "run_key": "elsewhere"}))
    for _ in range(2):
        register.run(settings, "mixed_scenes", "sge_net", model, evaluation, output)
    runs = MlflowClient().search_runs(
        [MlflowClient().get_experiment_by_name("mixed_scenes").experiment_id], "tags.`run_key` = 'elsewhere'"
    )
    assert [run.info.run_id for run in runs] == [json.loads(output.read_text())["run_id"]]
    assert runs[0].data.tags["trained_elsewhere"] == "0" * 32
    assert runs[0].info.run_name.startswith("sge_net elsewh, 2 steps, mixed_scenes ")


def test_an_evaluation_of_other_weights_is_refused(stages):
    settings, model, evaluation, output = stages
    summary = json.loads((evaluation / "evaluation.json").read_text())
    (evaluation / "evaluation.json").write_text(json.dumps({**summary, "weights_sha256": "0" * 64}))
    with pytest.raises(CheckpointError, match=r"scored other weights than .*run the evaluate stage again"):
        register.run(settings, "mixed_scenes", "sge_net", model, evaluation, output)
    assert not output.exists()


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("evaluation.json", None, r"evaluation\.json does not exist; run the evaluate stage first"),
        ("training.json", None, r"training\.json does not exist; run the train stage first"),
        ("training.json", '{"run_id": "x"}', r"training\.json has no run_key, steps, digests"),
    ],
)
def test_what_is_missing_is_named_before_anything_is_registered(stages, name, content, sentence):
    settings, model, evaluation, output = stages
    path = (model if name == "training.json" else evaluation) / name
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(CheckpointError, match=sentence):
        register.run(settings, "mixed_scenes", "sge_net", model, evaluation, output)
    assert not output.exists()
