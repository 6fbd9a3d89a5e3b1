"""``inpaint`` for a folder: every image accounted for, nothing done twice, nothing overwritten."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import cv2
import numpy as np
import pytest
from inpainting_files import HEIGHT, WIDTH, files_below, make_hole, make_model, make_photo, make_tree, pixels_of
from PIL import Image

from pipelines.__main__ import main
from pipelines.inference.folders import work
from pipelines.inference.folders.manifest import ManifestWriter, known_keys, read_manifest
from pipelines.inference.folders.work import ManifestRow
from pipelines.storage.store import open_storage

ROOT = Path(__file__).resolve().parents[3]
NAMES = ["a.png", "b.jpg", "sub/a.png", "sub/deep/c é.webp"]


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    make_tree(tmp_path, NAMES)
    return tmp_path


@pytest.fixture
def filled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the images that the network was run on."""
    names: list[str] = []
    whole = work._inpaint

    def noted(photo, hole, job, *rest):
        names.append(job.photo)
        return whole(photo, hole, job, *rest)

    monkeypatch.setattr(work, "_inpaint", noted)
    return names


def inpaint(model: Path, *arguments: str, photos: str = "photos", holes: str = "holes", output: str = "filled") -> int:
    return main(["inpaint", photos, "--mask", holes, "-o", output, "--model", str(model), "--workers", "1", *arguments])


def rows(output: str | Path = "filled") -> dict[str, dict[str, object]]:
    return {str(row["image"]): row for row in read_manifest(open_storage(str(output)))}


def images_below(folder: Path) -> list[str]:
    return [name for name in files_below(folder) if not name.startswith("manifest/")]


def test_every_image_is_filled_where_its_own_hole_is_white(tree, model, capsys):
    assert inpaint(model) == 0
    assert images_below(tree / "filled") == ["a.png", "b.png", "sub/a.png", "sub/deep/c é.png"]
    known = pixels_of(tree / "holes" / "a.png") == 0
    for name in ("a.png", "sub/a.png"):
        photo, result = pixels_of(tree / "photos" / name), pixels_of(tree / "filled" / name)
        np.testing.assert_array_equal(result[known], photo[known])
        assert (result[~known] != photo[~known]).any()
    assert "filled 4 of 4 images" in capsys.readouterr().out
    assert {row["status"] for row in rows().values()} == {"done"}
    assert all(0 < float(str(row["confidence"])) < 1 for row in rows().values())


def test_a_second_call_fills_nothing_and_a_third_what_has_changed(tree, model, filled, capsys):
    inpaint(model)
    filled.clear()
    before = {path: path.stat().st_mtime_ns for path in (tree / "filled").rglob("*.png")}
    assert inpaint(model) == 0
    assert filled == []
    assert {path: path.stat().st_mtime_ns for path in (tree / "filled").rglob("*.png")} == before
    assert "filled 0 of 4 images, 4 were done already" in capsys.readouterr().out
    make_photo(tree / "photos" / "a.png", seed=77)
    make_hole(tree / "holes" / "b.png").touch()  # a newer file of the same content
    (tree / "filled" / "sub" / "a.png").unlink()
    inpaint(model)
    assert sorted(filled) == ["a.png", "sub/a.png"]
    assert len(rows()) == 4


@pytest.mark.slow
def test_another_model_polarity_precision_or_further_result_does_it_all_again(
    tree, model, filled, tmp_path_factory, monkeypatch
):
    inpaint(model)
    other = make_model(tmp_path_factory.mktemp("other") / "model", seed=1)
    monkeypatch.setattr("pipelines.parallel.device.has_bfloat16", lambda device: True)
    for arguments in ((), ("--black-is-hole",), ("--save-confidence",), ("--precision", "bfloat16")):
        filled.clear()
        inpaint(other, *arguments)
        assert len(filled) == 4, arguments


def test_what_an_interrupted_call_overwrote_is_not_taken_for_what_was_there(tree, model, tmp_path_factory, monkeypatch):
    inpaint(model, "--texture", "network")
    before = {name: (tree / "filled" / name).read_bytes() for name in images_below(tree / "filled")}
    other = make_model(tmp_path_factory.mktemp("other") / "model", seed=1)
    with monkeypatch.context() as patch:
        patch.setattr(ManifestWriter, "add", _interrupt)
        assert inpaint(other, "--texture", "network") == 130
    assert (tree / "filled" / "a.png").read_bytes() != before["a.png"]
    inpaint(model, "--texture", "network")
    assert {name: (tree / "filled" / name).read_bytes() for name in before} == before


def _interrupt(*arguments: object) -> None:
    raise KeyboardInterrupt


def test_bad_images_are_listed_with_their_reasons_and_stop_nobody(tree, model, capsys):
    whole = (tree / "photos" / "a.png").read_bytes()
    phone = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
    bad = {"text.jpg": b"hello", "empty.png": b"", "cut.png": whole[: len(whole) // 2], "phone.HEIC": phone}
    for name, content in bad.items():
        (tree / "photos" / name).write_bytes(content)
        make_hole((tree / "holes" / name).with_suffix(".png"))
    make_photo(tree / "photos" / "wide.png")
    make_hole(tree / "holes" / "wide.png", (30, 60))
    make_photo(tree / "photos" / "lonely.png")
    (tree / "photos" / "notes.txt").write_text("no image, and nobody says it is")
    (tree / "photos" / "dangling.png").symlink_to("nowhere")
    make_photo(tree / "photos" / "b.png")
    assert inpaint(model) == 2
    reasons = {name: str(row["reason"]) for name, row in rows().items() if row["status"] == "failed"}
    expected = {
        "text.jpg": "is not in a known image format",
        "empty.png": "is not in a known image format",
        "cut.png": "is damaged",
        "phone.HEIC": "is a HEIC image, which is not read here; save it as JPEG or PNG",
        "wide.png": "the image is 41×30 pixels but its hole mask is 60×30",
        "lonely.png": "lonely.png has no mask: there is no lonely.png (or .jpg, …)",
        "dangling.png": "does not exist",
        "b.png": "b.png and b.jpg would both become b.png; rename one of them",
    }
    assert reasons.keys() == expected.keys()
    assert dict.fromkeys(expected, True) == {name: expected[name] in reasons[name] for name in expected}
    assert not any(row["ours"] for row in rows().values())
    printed = capsys.readouterr()
    assert "filled 4 of 12 images, 8 failed" in printed.out
    assert "error: 8 of 12 images failed, each with its reason in filled/manifest/" in printed.err


def test_what_failed_is_tried_again_and_has_one_row(tree, model, filled):
    make_photo(tree / "photos" / "late.png")
    assert inpaint(model) == 2
    make_hole(tree / "holes" / "late.png")
    filled.clear()
    assert inpaint(model) == 0
    assert filled == ["late.png"]
    lines = [line for part in (tree / "filled" / "manifest").glob("*.jsonl") for line in part.read_text().splitlines()]
    assert sorted(json.loads(line)["image"] for line in lines) == sorted([*NAMES, "late.png"])
    assert rows()["late.png"]["status"] == "done"


def test_a_fault_of_ours_is_counted_and_ends_with_status_1(tree, model, monkeypatch):
    def faulty(photo, hole, job, *rest):
        if job.photo == "b.jpg":
            raise RuntimeError("a bug")
        return whole(photo, hole, job, *rest)

    whole = work._inpaint
    monkeypatch.setattr(work, "_inpaint", faulty)
    assert inpaint(model) == 1
    assert rows()["b.jpg"]["reason"] == "RuntimeError: a bug"
    assert len(images_below(tree / "filled")) == 3


def test_a_damaged_model_stops_at_once_and_fails_no_image(tree, model, capsys):
    (tree / "broken").mkdir()
    (tree / "broken" / "model.json").write_bytes((model / "model.json").read_bytes())
    (tree / "broken" / "model.safetensors").write_bytes(b"nothing")
    assert inpaint(tree / "broken") == 2
    assert "is damaged" in capsys.readouterr().err
    assert rows() == {}


def test_segmentation_and_confidence_lie_beside_or_in_folders_of_their_own(tree, model):
    inpaint(model, "--save-segmentation", "--save-confidence", "sure")
    assert images_below(tree / "filled")[:2] == ["a.png", "a.segmentation.png"]
    assert pixels_of(tree / "filled" / "a.segmentation.png").max() < 8
    assert files_below(tree / "sure") == ["a.png", "b.png", "sub/a.png", "sub/deep/c é.png"]
    confidence = pixels_of(tree / "sure" / "a.png")
    hole = pixels_of(tree / "holes" / "a.png") > 0
    assert confidence[hole].mean() / 255 == pytest.approx(float(str(rows()["a.png"]["confidence"])), abs=0.003)


def test_a_photo_named_like_anothers_result_is_refused(tree, model, capsys):
    make_photo(tree / "photos" / "a.segmentation.png")
    make_hole(tree / "holes" / "a.segmentation.png")
    assert inpaint(model, "--save-segmentation") == 2
    assert "a.segmentation.png is named like the results of another image" in capsys.readouterr().err


def test_one_mask_serves_all_photos(tree, model):
    make_hole(tree / "one.png")
    assert inpaint(model, holes="one.png") == 0
    assert len(images_below(tree / "filled")) == 4


@pytest.mark.parametrize("output", ["photos", "photos/filled", ".", "holes", "photos/../photos"])
def test_results_among_the_photos_or_holes_are_refused(tree, model, output, capsys):
    before = {path: path.read_bytes() for path in tree.rglob("*") if path.is_file()}
    assert inpaint(model, output=output) == 2
    within = output in ("photos/filled", ".")
    what = f"{output} and photos lie within one another" if within else f"the folder {output} is given twice"
    assert f"error: {what}; give these results a folder of their own" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in tree.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"photos": "nothing"}, "the photo nothing does not exist"),
        ({"holes": "nothing"}, "the mask nothing does not exist"),
        ({"output": "out.png"}, "photos is a folder, so the output out.png must be a folder too"),
        ({"photos": "void"}, "void holds no images"),
        ({"photos": ""}, "the name of the photo is empty"),
        ({"output": ""}, "the name of the output is empty"),
        ({"photos": "ftp://photos"}, "ftp://photos is not a place for files; give a folder or s3://bucket/prefix"),
        ({"output": "file://out"}, "file://out is not a place for files; give a folder or s3://bucket/prefix"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_written(tree, model, arguments, sentence, capsys):
    (tree / "void").mkdir()
    assert inpaint(model, **arguments) == 2
    assert sentence in capsys.readouterr().err


def test_a_method_without_segmentation_has_none_to_save(tree, tmp_path_factory, capsys):
    model = make_model(tmp_path_factory.mktemp("gated") / "model", "gated_conv")
    assert inpaint(model, "--save-confidence") == 2
    assert "the model predicts no segmentation" in capsys.readouterr().err
    assert images_below(tree / "filled") == []


def test_a_device_that_there_is_not_is_said_once(tree, model, capsys):
    assert inpaint(model, "--device", "gpu") == 2
    assert capsys.readouterr().err.count("PyTorch has no device 'gpu' on this machine; give --device") == 1
    assert rows() == {}


@pytest.mark.parametrize(
    ("lacking", "arguments", "sentence"),
    [
        (("torch.cuda.is_available", lambda: False), ("--device", "cuda"), "asks for a GPU, but PyTorch finds none"),
        (
            ("pipelines.parallel.device.has_bfloat16", lambda device: False),
            ("--precision", "bfloat16"),
            "--precision bfloat16 would be emulated on cpu here",
        ),
    ],
)
def test_what_the_machine_lacks_is_said_once(tree, model, capsys, monkeypatch, lacking, arguments, sentence):
    monkeypatch.setattr(*lacking)
    assert inpaint(model, *arguments) == 2
    assert sentence in capsys.readouterr().err
    assert rows() == {}


@pytest.mark.slow
def test_s3_in_and_out_is_the_same_as_local(tree, model, s3_bucket, filled):
    inpaint(model)
    storage = open_storage(f"s3://{s3_bucket}/set")
    for name in files_below(tree):
        if name.startswith(("photos/", "holes/")):
            storage.upload(tree / name, name)
    address = f"s3://{s3_bucket}/set"
    for expected in (4, 0):
        filled.clear()
        given = {"photos": f"{address}/photos", "holes": f"{address}/holes", "output": f"{address}/filled"}
        assert inpaint(model, **given) == 0
        assert len(filled) == expected
    for name in images_below(tree / "filled"):
        assert storage.read(f"filled/{name}") == (tree / "filled" / name).read_bytes()
    assert inpaint(model, **{**given, "output": f"{address}/photos/filled"}) == 2
    assert inpaint(model, photos=f"{address}/photos/b.jpg", holes=f"{address}/holes", output="b.png") == 0
    assert (tree / "b.png").read_bytes() == (tree / "filled" / "b.png").read_bytes()


def test_the_newest_row_counts_and_a_line_cut_off_is_done_again(tmp_path):
    storage = open_storage(str(tmp_path))
    for status, key in (("done", "a" * 64), ("failed", ""), ("done", "b" * 64)):
        writer = ManifestWriter(storage)
        writer._call = f"{len(list(tmp_path.rglob('*.jsonl')))}"
        writer.add(ManifestRow(image="x.png", output="x.png", status=status, key=key))
        writer.add(ManifestRow(image=f"{key}.png", output="y.png", status="done", key=key or "c" * 64))
        writer.flush()
    assert known_keys(storage)["x.png"] == "b" * 64
    newest = max(tmp_path.rglob("*.jsonl"))
    newest.write_bytes(newest.read_bytes()[:40])
    assert known_keys(storage)["x.png"] == ""


def test_a_long_call_writes_parts_and_every_row_is_read_back(tmp_path, monkeypatch):
    from pipelines.inference.folders import manifest

    monkeypatch.setattr(manifest, "_ROWS_A_PART", 10)
    writer = ManifestWriter(open_storage(str(tmp_path)))
    for number in range(35):
        writer.add(ManifestRow(image=f"{number}.png", output="", status="done", key=f"{number:064x}"))
    writer.flush()
    assert len(files_below(tmp_path)) == 4
    assert known_keys(open_storage(str(tmp_path))) == {f"{number}.png": f"{number:064x}" for number in range(35)}


@pytest.mark.slow
def test_unusual_names_and_images_in_a_process_of_its_own(tmp_path, model, capsys):
    photos, holes = make_tree(tmp_path, ["plain.png", "café.png", "ratio.png", "moving.png"])
    # Not UTF-8; as long as a name can be; accents in one character here and in two there.
    for name in (b"caf\xe9.png", b"x" * 251 + b".png"):
        for folder in (photos, holes):
            os.link(folder / "plain.png", os.fsencode(folder) + b"/" + name)
    (holes / "café.png").rename(holes / unicodedata.normalize("NFD", "café.png"))
    Image.fromarray(255 - pixels_of(holes / "ratio.png")).save(holes / "ratio.png")
    frames = [Image.new("RGB", (WIDTH, HEIGHT), colour) for colour in ("red", "blue")]
    frames[0].save(photos / "moving.gif", save_all=True, append_images=frames[1:])
    (photos / "moving.png").unlink()
    deep = np.random.default_rng(0).integers(0, 65536, (HEIGHT, WIDTH, 4), dtype=np.uint16)
    cv2.imwrite(str(photos / "plain.png"), deep)
    arguments = [str(given) for given in ("inpaint", photos, "--mask", holes, "--model", model, "--workers", 1, "-o")]
    command = [sys.executable, "-m", "pipelines", *arguments, tmp_path / "out"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (ended.returncode, "filled 6 of 6 images" in ended.stdout) == (0, True), ended.stdout + ended.stderr
    found = rows(tmp_path / "out")
    assert {row["status"] for row in found.values()} == {"done"}
    assert {"caf\udce9.png", "café.png", "x" * 251 + ".png"} < found.keys()
    assert str(found["moving.gif"]["warning"]).endswith("is an animation, of which only the first image is filled")
    assert str(found["ratio.png"]["warning"]).startswith("88% of the image is marked as missing")
    assert "warning: moving.gif: " in ended.stderr
    content = (tmp_path / "out" / "plain.png").read_bytes()
    assert content[24] == 16
    known = pixels_of(holes / "plain.png") == 0
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "out" / "plain.png"), -1)[known], deep[known])
    # A second call knows all of them again, and what is in the way of results is said in a sentence.
    assert main([*arguments, str(tmp_path / "out")]) == 0
    assert "6 were done already" in capsys.readouterr().out
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "file").touch()
    for output in ("dangling", "file", "file/below", "x" * 300):
        assert main([*arguments, str(tmp_path / output)]) == 2
        assert f"error: {tmp_path / output}" in capsys.readouterr().err
