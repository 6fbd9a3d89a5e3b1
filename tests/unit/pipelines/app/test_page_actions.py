"""Every click ends in something to see: images and files, or a sentence; never a traceback."""

from __future__ import annotations

import io
import logging

import numpy as np
import pytest
from inpainting_files import saved
from PIL import Image

from pipelines.inference.images import Photo, decode_photo, encode_photo
from pipelines.inference.page.actions import Actions
from pipelines.inference.page.layers import decode_layer, encode_layer
from pipelines.inference.page.limits import PageLimits
from pipelines.inference.page.session import Session

SGE, GATED = "SGE-Net · sge_net", "GatedConv · gated_conv"


@pytest.fixture
def actions(shelf):
    return Actions(shelf, PageLimits())


def marked(value: int = 1, nothing: int = 0) -> dict[str, object]:
    layer = np.full((240, 320), nothing, np.uint8)
    layer[80:120, 110:170] = value
    return encode_layer(layer)


def test_opening_an_example_shows_it_with_nothing_filled(actions):
    shown = actions.open_example(0)
    assert (shown.hole["width"], shown.hole["height"]) == (320, 240)
    assert shown.session.name == "Grazing sheep"
    assert shown.session.fillings == shown.downloads == ()
    assert "Nothing is filled yet" in shown.classes["sentence"]
    assert "Nothing is filled yet" in actions.refill(shown.session, marked()).notice


def test_the_same_example_again_starts_anew(actions):
    assert actions.open_example(0).hole["id"] != actions.open_example(0).hole["id"]


@pytest.mark.parametrize("number", [None, -1, 99, 1.0, "0", [0]])
def test_an_example_that_is_none_is_a_sentence(actions, number):
    shown = actions.open_example(number)
    assert "There is no such example" in shown.notice
    assert shown.session is None


@pytest.mark.slow
def test_a_filled_image_can_be_downloaded_exactly(actions):
    session = actions.open_example(0).session
    shown = actions.fill(session, marked(), [SGE])
    assert "Filled 3.1% of the image in" in shown.notice
    (name, title, filled), (label_name, _, label) = shown.downloads
    assert (name, title, label_name) == (
        "grazing-sheep-filled.png",
        "Download",
        "grazing-sheep-segmentation.png",
    )
    inpainted = shown.session.fillings[0].inpainted
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(filled))), inpainted.image)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(label))), inpainted.label)


@pytest.mark.slow
def test_two_models_give_two_downloads_with_names_of_their_own(actions):
    shown = actions.fill(actions.open_example(0).session, marked(), [GATED, SGE])
    assert [title for _, title, _ in shown.downloads] == [
        "Download (GatedConv)",
        "Download (SGE-Net)",
        "Download segmentation",
    ]
    assert len({name for name, _, _ in shown.downloads}) == 3
    assert all(view.count("<section") == 2 for view in shown.results)


@pytest.mark.slow
def test_a_files_name_does_not_reach_the_downloads_as_a_path(actions, upload):
    session = actions.open_file(upload(saved(Image.new("RGB", (320, 240))), "..\\ <b>été<b>.png")).session
    assert actions.fill(session, marked(), [SGE]).downloads[0][0] == "b-été-b-filled.png"


@pytest.mark.slow
def test_the_segmentation_to_edit_is_the_filled_images_with_what_was_painted(actions):
    session = actions.open_example(0).session
    filled = actions.fill(session, marked(), [SGE])
    label = filled.session.fillings[0].inpainted.label
    np.testing.assert_array_equal(decode_layer(filled.classes["labels"], (240, 320)), label)
    assert filled.classes["painted"] is None
    assert [named["name"] for named in filled.classes["classes"]][:2] == ["background", "sky"]

    painted = marked(value=2, nothing=255)
    again = actions.refill(filled.session, painted)
    assert "Filled again with your classes" in again.notice
    assert again.classes["painted"] == painted
    np.testing.assert_array_equal(decode_layer(again.classes["labels"], (240, 320)), label)


def test_a_problem_leaves_everything_else_as_it_was(actions):
    shown = actions.fill(actions.open_example(0).session, encode_layer(np.zeros((240, 320), np.uint8)), [SGE])
    assert "sge-problem" in shown.notice
    assert (shown.session, shown.hole, shown.results, shown.classes, shown.downloads) == (None,) * 5


def test_a_failure_of_ours_is_logged_and_not_shown(actions, monkeypatch, caplog):
    def broken(title: str) -> None:
        raise RuntimeError("secret path /etc")

    monkeypatch.setattr(actions._shelf, "inpainter", broken)
    with caplog.at_level(logging.ERROR):
        notice = actions.fill(actions.open_example(0).session, marked(), [SGE]).notice
    assert "went wrong on our side" in notice
    assert "secret" not in notice
    assert "secret path /etc" in caplog.text


def test_a_session_that_was_forgotten_is_a_sentence(actions):
    assert "There is no image yet" in actions.fill(Session(), marked(), [SGE]).notice


@pytest.mark.slow
def test_going_on_from_a_result_and_taking_fills_back_one_by_one(actions):
    first = actions.fill(actions.open_example(0).session, marked(), [SGE, GATED])
    assert first.keep == ("Continue from this result (SGE-Net)", "Continue from this result (GatedConv)")
    assert (first.can_take_back, first.tab) == (True, "result")
    kept = actions.keep(first.session, 1)
    np.testing.assert_array_equal(kept.session.photo.pixels, first.session.fillings[1].photo.pixels)
    assert (kept.hole["painted"], kept.keep, kept.downloads) == (None, (), None)
    second = actions.fill(kept.session, marked(), [SGE])
    back = actions.take_back(second.session)
    assert back.session.photo is kept.session.photo
    assert back.hole["painted"] == marked()
    again = actions.take_back(back.session)
    assert again.session.photo is first.session.photo
    assert (again.hole["painted"], again.can_take_back) == (marked(), False)
    assert "There is no fill to take back" in actions.take_back(again.session).notice
    assert "There is no result to continue from" in actions.keep(again.session, 0).notice


@pytest.mark.slow
def test_a_deep_photo_comes_back_with_all_its_bits_alpha_and_resolution(actions, upload):
    deep = np.random.default_rng(0).integers(0, 65536, (240, 320, 4), dtype=np.uint16)
    shown = actions.open_file(upload(encode_photo(Photo(deep, dpi=(300, 300)))))
    content = actions.fill(shown.session, marked(), [SGE]).downloads[0][2]
    photo = decode_photo(content, "the download")
    known = decode_layer(marked(), (240, 320)) == 0
    assert photo.dpi == pytest.approx((300, 300), abs=0.1)
    np.testing.assert_array_equal(photo.pixels[known], deep[known])
    np.testing.assert_array_equal(photo.pixels[..., 3], deep[..., 3])
    assert (photo.pixels[~known] != deep[~known]).any()


def test_a_photo_larger_than_shown_says_so_and_an_animation_too(actions, upload):
    frames = [Image.new("RGB", (1400, 100), colour) for colour in ("red", "blue")]
    notice = actions.open_file(upload(saved(frames[0], "WEBP", save_all=True, append_images=frames[1:]))).notice
    assert "smaller than its 1400×100 pixels, and filled at full size." in notice
    assert "is an animation, of which only the first image is filled." in notice
