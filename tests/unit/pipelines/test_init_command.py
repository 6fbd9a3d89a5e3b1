"""``init``: a settings file made from the images of a folder, which every other command then takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.__main__ import main
from pipelines.settings.load import load

COUNT = 40


def _write(path: Path, size: tuple[int, int], value: int = 128) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((size[1], size[0]), value, np.uint8)).save(path)


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Forty photographs of 320×240 and label maps of the ids 1, 7 and *ignore*."""
    monkeypatch.chdir(tmp_path)
    for number in range(COUNT):
        _write(tmp_path / "My photos" / "images" / f"{number:02d}.jpg", (320, 240))
        _write(tmp_path / "My photos" / "labels" / f"{number:02d}.png", (320, 240), (1, 7, 255)[number % 3])
    return tmp_path / "My photos"


def test_crop_split_and_classes_are_those_of_the_images(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _write(photos.parent / "more" / "a.png", (300, 200))
    assert main(["init", str(photos), "--classes", "sky, tree", "--unlabelled", "more"]) == 0
    settings = load(Path("params.yaml"))
    assert settings.datasets == ("my_photos",)
    data = settings.data["my_photos"]
    assert (data.crop, data.shorter_side, data.train_shorter_side) == (128, 128, 192)
    assert data.labels.names == ("sky", "tree")
    labelled, unlabelled = data.sources
    assert labelled.class_map == {1: 0, 7: 1}
    assert (labelled.label_root, unlabelled.label_root) == (str(photos / "labels"), None)
    assert labelled.val_ratio == 0.3  # a tenth of forty says little
    assert settings.recipes["my_photos"].network.image_size == 128

    said = capsys.readouterr().out
    assert "41 images, the smallest 200 px on its shorter side; crop 128" in said
    assert main(["check"]) == 0
    held_out = int(said.split(" to train on and ")[1].split()[0])
    assert f"my_photos: {COUNT - held_out + 1} train, {held_out} val\n" in capsys.readouterr().out
    assert 8 <= held_out <= 16


@pytest.mark.slow
def test_check_says_that_a_folder_changed_since_it_was_indexed(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", str(photos)]) == 0
    assert main(["index", "--dataset", "my_photos"]) == 0
    assert main(["check"]) == 0
    assert "force" not in capsys.readouterr().out
    _write(photos / "images" / "new.jpg", (320, 240))
    _write(photos / "labels" / "new.png", (320, 240), 1)
    assert main(["check"]) == 0
    assert "lists 40 images, not 41: `dvc repro --force index` reads" in capsys.readouterr().out


def test_check_names_label_ids_without_a_name_and_the_file_they_are_in(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(COUNT):
        _write(photos / "labels" / f"{number:02d}.png", (320, 240), 9 if number in (3, 7) else 0)
    assert main(["init", str(photos), "--name", "own", "--classes", ",".join("abcdefghij")]) == 0
    text = Path("params.yaml").read_text()
    assert main(["check"]) == 0
    Path("params.yaml").write_text(text.replace("[a, b, c, d, e, f, g, h, i, j]", "[a, b, c, d, e, f, g, h]"))
    capsys.readouterr()
    assert main(["check"]) == 2
    assert (
        "data.own: the label map 03.png: label ids 9 are out of range (source folder): ids are 0 … 7, or 255 = ignore; "
        "name the others in label_space, or say in class_map what they are (as in 2 of 40 label maps looked at)\n"
    ) in capsys.readouterr().err

    # As many as the stage `shards` would put up with.
    Path("params.yaml").write_text(
        Path("params.yaml").read_text().replace("    crop:", "    max_quarantine_ratio: 0.05\n    crop:")
    )
    assert main(["check"]) == 0


def test_check_says_what_is_not_on_this_machine(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", str(photos / "images"), "--name", "own"]) == 0
    (photos / "images").rename(photos / "moved")
    params = Path("params.yaml")
    params.write_text(params.read_text().replace("{preset: ", "{start_from: nowhere, preset: "))
    assert main(["check"]) == 0
    said = capsys.readouterr().out
    assert (
        f"own: images not read here: folder: {photos / 'images'} does not exist; correct its root, or copy the images "
        "there\n"
    ) in said
    assert "recipes.own.start_from: not read here: there is no model 'nowhere'" in said
    assert said.endswith("no problem found in the settings; what is not on this machine (above) was not checked\n")


def test_label_maps_of_16_bits_are_read(photos: Path) -> None:
    for number in range(COUNT):
        ids = np.full((240, 320), 300 if number % 2 else 7, np.uint16)
        Image.fromarray(ids).save(photos / "labels" / f"{number:02d}.png")
    assert main(["init", str(photos)]) == 0
    assert load(Path("params.yaml")).data["my_photos"].sources[0].class_map == {7: 0, 300: 1}


def test_small_images_and_a_few_smaller_ones_give_a_smaller_crop_and_room_for_them(photos: Path) -> None:
    for number in range(COUNT):
        _write(photos / "images" / f"{number:02d}.jpg", (90, 50 if number == 0 else 70))
    assert main(["init", str(photos), "--name", "small"]) == 0
    data = load(Path("params.yaml")).data["small"]
    assert data.crop == 64
    assert 1 / COUNT <= data.max_quarantine_ratio < 2 / COUNT
    assert data.labels.names == ("class_1", "class_7")


def test_a_class_without_a_pixel_may_be_named_by_the_place_of_its_id(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", str(photos), "--classes", "a,b,c,d,e,f,g,h"]) == 0
    data = load(Path("params.yaml")).data["my_photos"]
    assert data.labels.names == tuple("abcdefgh")
    assert data.sources[0].class_map is None
    assert "none of the label maps read holds a or c or d or e or f or g\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("values", "status", "sentence"),
    [
        ((0, 255), 0, "if the label maps are masks of 0 and 255, write 1 instead of 255"),
        ((255, 255), 2, "hold nothing but 255, which is ignore and no class"),
    ],
)
def test_it_is_said_that_255_is_no_class(
    photos: Path, capsys: pytest.CaptureFixture[str], values: tuple[int, int], status: int, sentence: str
) -> None:
    for number in range(COUNT):
        _write(photos / "labels" / f"{number:02d}.png", (320, 240), values[number % 2])
    assert main(["init", str(photos)]) == status
    assert sentence in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("arguments", "spoil", "sentence"),
    [
        (["nowhere"], None, "nowhere is no folder"),
        (["empty"], None, "empty holds no image"),
        (["My photos", "--classes", "sky"], None, "names 1 of 2 classes: the label maps hold the ids 1, 7"),
        (["My photos", "--classes", "a,b,c"], None, "hold 2, of the ids 1, 7; name each of these, or all from"),
        (["My photos"], "labels/03.png", "1 of 40 images have no label map of the same name"),
        (["My photos/images", "--classes", "sky"], None, "there are no label maps; name their folder with --labels"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_nothing_is_written(
    photos: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], spoil: str | None, sentence: str
) -> None:
    (photos.parent / "empty").mkdir()
    if spoil:
        (photos / spoil).unlink()
    assert main(["init", *arguments]) == 2
    assert sentence in capsys.readouterr().err
    assert not Path("params.yaml").exists()


def test_a_file_that_exists_is_kept_unless_it_is_to_be_replaced(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("params.yaml").write_text("kept")
    assert main(["init", str(photos)]) == 2
    assert "--force" in capsys.readouterr().err
    assert Path("params.yaml").read_text() == "kept"
    assert main(["init", str(photos), "--force"]) == 0
    assert load(Path("params.yaml")).datasets == ("my_photos",)


@pytest.mark.parametrize(
    ("output", "following"),
    [
        ([], "Next: python -m pipelines check, then dvc repro\n"),
        (["-o", "mine.yaml"], "Next: python -m pipelines check --params mine.yaml; dvc repro reads params.yaml alone"),
    ],
)
def test_the_command_to_type_next_reads_the_file_that_was_written(
    output: list[str], following: str, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", str(photos), *output]) == 0
    assert following in capsys.readouterr().out
