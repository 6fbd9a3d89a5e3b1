"""``inpaint`` for one image: exact files out, one sentence when it cannot."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from inpainting_files import HEIGHT, WIDTH, files_below, make_hole, make_model, make_photo, pixels_of, saved
from PIL import Image

from pipelines.__main__ import main
from pipelines.commands import inpaint
from pipelines.inference.images import decode_image, encode_label
from sgenet.errors import CheckpointError, DataError, UserError
from sgenet.label_space import OUTDOOR_SCENES

ROOT = Path(__file__).resolve().parents[3]
PLATFORM = (
    "torch._dynamo",
    "ray",
    "mlflow",
    "boto3",
    "botocore",
    "pyarrow",
    "cv2",
    "matplotlib",
    "dvc",
    "gradio",
    "onnx",
)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_photo(tmp_path / "my photo é.png")
    make_hole(tmp_path / "hole.png")
    return "my photo é.png", "hole.png", "out/filled.png"


def fill(photo, hole, output, model, *options):
    """The command, its errors as they are raised."""
    parser = argparse.ArgumentParser()
    inpaint.add_arguments(parser)
    inpaint.execute(parser.parse_args([photo, "--mask", hole, "-o", output, "--model", str(model), *options]))


def test_known_pixels_of_the_file_are_the_photos_and_the_segmentation_holds_class_ids(files, model, tmp_path, capsys):
    photo, hole, output = files
    fill(photo, hole, output, model, "--save-segmentation", "classes.png", "--save-confidence")
    known = pixels_of(tmp_path / hole) == 0
    filled, original = pixels_of(tmp_path / output), pixels_of(tmp_path / photo)
    np.testing.assert_array_equal(filled[known], original[known])
    assert (filled[~known] != original[~known]).any()
    assert Image.open("classes.png").mode == "P"
    assert pixels_of(tmp_path / "classes.png").max() < 8
    assert files_below(tmp_path / "out") == ["filled.confidence.png", "filled.png"]
    said = capsys.readouterr().out
    assert "out/filled.png: filled 11.7% of the image, its classes predicted with confidence 0." in said


@pytest.mark.parametrize(
    ("mode", "suffix", "written"),
    [("RGBA", "png", "RGBA"), ("LA", "png", "LA"), ("I;16", "tiff", "I;16"), ("L", "jpg", "L"), ("CMYK", "jpg", "RGB")],
)
def test_alpha_depth_and_grey_are_kept_and_what_png_lacks_becomes_rgb(
    files, model, tmp_path, capsys, mode, suffix, written
):
    pixels = np.random.default_rng(5).integers(0, 256, (HEIGHT, WIDTH, 4), dtype=np.uint8)
    image = Image.fromarray(pixels)
    if mode == "I;16":
        image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257 // 2)
    elif mode != "RGBA":
        image = image.convert("RGB" if mode == "CMYK" else mode).convert(mode)
    image.save(f"given.{suffix}")
    fill(f"given.{suffix}", "hole.png", "out.png", model)
    given, filled, hole = Image.open(f"given.{suffix}"), Image.open("out.png"), pixels_of(tmp_path / "hole.png") > 0
    assert filled.mode == written
    assert ("warning: the photo" in capsys.readouterr().err) == (mode == "CMYK")
    known = np.asarray(given if mode == written else given.convert(written))[~hole]
    np.testing.assert_array_equal(np.asarray(filled)[~hole], known)


def test_an_existing_folder_gets_an_image_of_the_photos_name(files, model, tmp_path):
    photo, hole, _ = files
    (tmp_path / "out").mkdir()
    fill(photo, hole, "out", model)
    fill(photo, hole, "new/", model)
    assert files_below(tmp_path / "out") == files_below(tmp_path / "new") == ["my photo é.png"]


def test_where_black_is_the_hole_white_is_known(files, model, tmp_path):
    photo, hole, output = files
    Image.fromarray(255 - pixels_of(tmp_path / hole)).save("inverted.png")
    fill(photo, hole, output, model)
    fill(photo, "inverted.png", "other.png", model, "--black-is-hole")
    np.testing.assert_array_equal(pixels_of(tmp_path / output), pixels_of(tmp_path / "other.png"))


def test_an_inverted_mask_is_warned_about_on_the_error_stream(files, model, capsys):
    photo, hole, output = files
    Image.fromarray(np.full((HEIGHT, WIDTH), 255, np.uint8)).save(hole)
    fill(photo, hole, output, model)
    assert "warning: 100% of the image is marked as missing" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options", [("file/x.png",), ("lost/x.png",), ("x.png", "--save-confidence", "file/x.png")], ids=" ".join
)
def test_an_output_below_a_file_is_refused_before_the_photo_is_filled(files, model, tmp_path, monkeypatch, options):
    photo, hole, _ = files
    (tmp_path / "file").touch()
    (tmp_path / "lost").symlink_to("nowhere")
    before = files_below(tmp_path)
    monkeypatch.setattr("pipelines.inference.folders.work.fill", lambda *_: pytest.fail("it was filled"))
    with pytest.raises(DataError, match=r"/x\.png cannot be written \(Not a directory\); choose another place"):
        fill(photo, hole, options[0], model, *options[1:])
    assert files_below(tmp_path) == before


def test_an_output_that_would_lose_pixels_is_refused_before_anything_is_read(files):
    photo, hole, _ = files
    with pytest.raises(UserError, match=r"filled\.jpg must be a \.png file"):
        fill(photo, hole, "filled.jpg", "missing")
    with pytest.raises(UserError, match=r"classes\.gif must be a \.png file"):
        fill(photo, hole, "filled.png", "missing", "--save-segmentation", "classes.gif")


@pytest.mark.parametrize(
    "given",
    [
        ["-o", "my photo é.png"],
        ["-o", "./hole.png"],
        ["-o", "link.png"],
        ["--save-segmentation", "hole.png"],
        ["--save-confidence", "out/filled.png"],
        ["--save-confidence", "both.png", "--save-segmentation", "both.png"],
    ],
)
def test_nothing_overwrites_an_input_or_another_result(files, model, tmp_path, given):
    photo, hole, output = files
    (tmp_path / "link.png").symlink_to(tmp_path / photo)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(UserError, match=r"would overwrite .*; give it another name|give two names"):
        fill(photo, hole, output, model, *given)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_missing_photo_and_a_folder_without_a_model_are_named(files, tmp_path):
    photo, hole, output = files
    with pytest.raises(UserError, match=r"the photo nothing\.png does not exist"):
        fill("nothing.png", hole, output, "missing")
    with pytest.raises(CheckpointError, match=r"model\.json does not exist"):
        fill(photo, hole, output, tmp_path)


def test_a_photo_that_is_none_and_a_mask_of_another_size_are_refused_with_status_2(files, model, tmp_path, capsys):
    photo, hole, output = files
    (tmp_path / "text.jpg").write_text("hello")
    assert main(["inpaint", "text.jpg", "--mask", hole, "-o", output, "--model", str(model)]) == 2
    assert "error: the photo" in capsys.readouterr().err
    make_hole(tmp_path / hole, (30, 60))
    assert main(["inpaint", photo, "--mask", hole, "-o", output, "--model", str(model)]) == 2
    assert "make a mask of the image's size" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_usage_refuses_no_workers(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["inpaint", "a", "--mask", "b", "-o", "c", "--workers", "0"])
    assert ended.value.code == 2
    assert "'0' is not a whole number from 1 on" in capsys.readouterr().err


@pytest.mark.slow
def test_one_photo_loads_no_platform(files, model):
    code = (
        "import sys; from pipelines.__main__ import main\n"
        f"status = main(['inpaint', {files[0]!r}, '--mask', 'hole.png', '-o', 'out.png', '--model', {str(model)!r}])\n"
        f"print(status, [name for name in {PLATFORM!r} if name in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    finished = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert finished.stdout.splitlines()[-1] == "0 []", finished.stderr


@pytest.mark.parametrize("side", [1500, 3000])  # Pillow itself refuses above twice its limit alone
def test_a_header_that_claims_a_huge_image_is_refused(monkeypatch, side):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2_000_000)
    with pytest.raises(DataError, match="more than 2 million pixels"):
        decode_image(saved(np.zeros((side, side), np.uint8)), "x")


def test_a_label_image_keeps_ids_and_shows_the_class_colours():
    label = np.array([[0, 1, 2], [7, 6, 5]], np.uint8)
    image = decode_image(encode_label(label, OUTDOOR_SCENES), "x")
    np.testing.assert_array_equal(np.asarray(image), label)
    np.testing.assert_array_equal(np.asarray(image.convert("RGB")), OUTDOOR_SCENES.colourise(label))


def test_the_names_of_peers_are_taken_and_the_old_name_of_the_mask_is_refused_with_a_hint(
    capsys: pytest.CaptureFixture[str],
) -> None:
    parser = argparse.ArgumentParser()
    inpaint.add_arguments(parser)
    given = [["--image", "a.jpg"], ["a.jpg"]]
    assert [parser.parse_args([*photo, "--mask", "m.png", "--output", "o.png"]).photo for photo in given] == [
        "a.jpg"
    ] * 2
    with pytest.raises(SystemExit):
        parser.parse_args(["a.jpg", "--hole", "m.png", "-o", "o.png"])
    assert "--hole is called --mask" in capsys.readouterr().err
