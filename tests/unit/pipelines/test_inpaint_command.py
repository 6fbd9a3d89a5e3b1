"""``inpaint`` for one picture: exact files out, one sentence when it cannot."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from pipelines.commands import inpaint, ui
from pipelines.pictures import decode_picture, encode_label, encode_png
from sgenet.errors import CheckpointError, DataError, UserError
from sgenet.label_space import OUTDOOR_SCENES
from sgenet.methods.build import build_generator
from sgenet.methods.release import save_released
from sgenet.settings import NetworkSettings, Recipe


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    recipe = Recipe(network=NetworkSettings(widths=(4, 4, 4, 4, 4), context_blocks=1, modulation_width=4))
    save_released(folder, "sge_net", build_generator("sge_net", recipe, 8), recipe, OUTDOOR_SCENES)
    return folder


@pytest.fixture
def files(tmp_path):
    pixels = np.random.default_rng(1).integers(0, 256, (30, 41, 3), dtype=np.uint8)
    hole = np.zeros((30, 41), np.uint8)
    hole[4:16, 8:20] = 255
    Image.fromarray(pixels).save(tmp_path / "my photo é.png")
    Image.fromarray(hole).save(tmp_path / "hole.png")
    return tmp_path / "my photo é.png", tmp_path / "hole.png", tmp_path / "out" / "filled.png"


def test_known_pixels_of_the_file_are_the_photos_and_the_segmentation_holds_class_ids(files, model, tmp_path, capsys):
    photo, hole, output = files
    inpaint.run(photo, hole, model, output, tmp_path / "classes.png")
    known = np.asarray(Image.open(hole)) == 0
    filled, original = np.asarray(Image.open(output)), np.asarray(Image.open(photo))
    np.testing.assert_array_equal(filled[known], original[known])
    assert (filled[~known] != original[~known]).any()
    classes = Image.open(tmp_path / "classes.png")
    assert classes.mode == "P"
    assert np.asarray(classes).max() < 8
    assert "filled 11.7% of the picture, mean confidence in the hole 0." in capsys.readouterr().out


def test_an_inverted_mask_is_warned_about_on_the_error_stream(files, model, capsys):
    photo, hole, output = files
    Image.fromarray(np.full((30, 41), 255, np.uint8)).save(hole)
    inpaint.run(photo, hole, model, output)
    assert "warning: 100% of the picture is marked as missing" in capsys.readouterr().err


def test_an_output_that_would_lose_pixels_is_refused_before_anything_is_read(tmp_path):
    missing = tmp_path / "missing"
    with pytest.raises(UserError, match=r"filled\.jpg must be a \.png file"):
        inpaint.run(missing, missing, missing, tmp_path / "filled.jpg")


def test_a_missing_photo_and_a_folder_without_a_model_are_named(files, tmp_path):
    photo, hole, output = files
    with pytest.raises(DataError, match=r"the photo .*nothing\.png cannot be read"):
        inpaint.run(tmp_path / "nothing.png", hole, tmp_path, output)
    with pytest.raises(CheckpointError, match=r"model\.json does not exist"):
        inpaint.run(photo, hole, tmp_path, output)


def test_a_picture_cut_off_is_refused_and_so_is_text(files):
    whole = files[0].read_bytes()
    with pytest.raises(DataError, match="x is damaged"):
        decode_picture(whole[: len(whole) // 2], "x")
    with pytest.raises(DataError, match="x is not a picture"):
        decode_picture(b"hello", "x")


def test_a_header_that_claims_a_huge_picture_is_refused(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2_000_000)
    for side in (1500, 3000):
        with pytest.raises(DataError, match="more than 2 million pixels"):
            decode_picture(encode_png(np.zeros((side, side), np.uint8)), "x")


def test_a_label_picture_keeps_ids_and_shows_the_class_colours():
    label = np.array([[0, 1, 2], [7, 6, 5]], np.uint8)
    picture = decode_picture(encode_label(label, OUTDOOR_SCENES), "x")
    np.testing.assert_array_equal(np.asarray(picture), label)
    np.testing.assert_array_equal(np.asarray(picture.convert("RGB")), OUTDOOR_SCENES.colourise(label))


def test_the_ui_starts_mlflow_on_loopback_over_the_tracking_store(monkeypatch, tmp_path):
    started: list[list[str]] = []
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setattr(ui.os, "execv", lambda program, arguments: started.append(arguments))
    monkeypatch.setattr(ui, "_check_free", lambda port: None)
    ui.run(5001)
    options = dict(zip(started[0][4::2], started[0][5::2], strict=True))
    assert started[0][1:4] == ["-m", "mlflow", "server"]
    assert options["--host"] == "127.0.0.1"
    assert options["--port"] == "5001"
    assert options["--backend-store-uri"] == f"sqlite:///{tmp_path}/mlflow.db"


def test_the_ui_says_when_its_port_is_taken_or_a_server_has_its_own(monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    with ui.socket.socket() as taken:
        taken.bind((ui.HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port} cannot be used"):
            ui.run(port)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@mlflow.example")
    with pytest.raises(UserError, match=r"open https://mlflow\.example$"):
        ui.run()
