"""From an image and what is painted to fillings; and a sentence wherever that cannot be done."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.inference.images import Photo
from pipelines.inference.page.layers import encode_layer
from pipelines.inference.page.session import Session, edited, fill, refill
from sgenet.errors import UserError

SGE, BASE, GATED = "SGE-Net · sge_net", "Base-Net · base_net", "GatedConv · gated_conv"


@pytest.fixture
def opened():
    return Session(Photo(np.random.default_rng(1).integers(0, 256, (48, 64, 3), dtype=np.uint8)), "noise")


def box(height: int = 48, width: int = 64, value: int = 1, nothing: int = 0) -> dict[str, object]:
    layer = np.full((height, width), nothing, np.uint8)
    layer[height // 4 : height // 2, width // 4 : width // 2] = value
    return encode_layer(layer)


@pytest.mark.slow
def test_an_image_larger_than_shown_is_filled_at_its_own_size(shelf):
    pixels = np.random.default_rng(1).integers(0, 256, (32, 2560, 3), dtype=np.uint8)
    (filling,) = fill(Session(Photo(pixels), "wide"), box(16, 1280), [SGE], shelf).fillings
    assert filling.photo.pixels.shape == pixels.shape
    assert filling.hole.mean() == filling.inpainted.hole.mean() == pytest.approx(1 / 16)
    np.testing.assert_array_equal(filling.photo.pixels[~filling.hole], pixels[~filling.hole])
    shown = filling.inpainted
    assert shown.image.shape == (16, 1280, 3)
    assert shown.hole.shape == shown.label.shape == shown.confidence.shape == (16, 1280)


def test_two_models_fill_the_same_hole_and_one_chosen_twice_fills_once(opened, shelf):
    first, second = fill(opened, box(), [SGE, GATED], shelf, "network").fillings
    assert (first.method, second.method) == ("SGE-Net", "GatedConv")
    np.testing.assert_array_equal(first.inpainted.hole, second.inpainted.hole)
    assert (first.inpainted.image != second.inpainted.image).any()
    assert len(fill(opened, box(), [SGE, SGE], shelf).fillings) == 1


NOTHING, EVERYTHING = (encode_layer(np.full((48, 64), value, np.uint8)) for value in (0, 1))


@pytest.mark.parametrize(
    ("layer", "models", "sentence"),
    [
        (NOTHING, [SGE], "Nothing is marked yet"),
        (EVERYTHING, [SGE], "Everything is marked"),
        (box(10, 10), [SGE], "does not fit the image"),
        (None, [SGE], "does not fit the image"),
        (box(), [], "No model is chosen"),
        (box(), ["no such model"], "no longer there"),
    ],
)
def test_what_cannot_be_filled_is_a_sentence(opened, shelf, layer, models, sentence):
    with pytest.raises(UserError, match=sentence):
        fill(opened, layer, models, shelf)


def test_painted_classes_change_the_filling_and_the_first_stays(opened, shelf):
    before = fill(opened, box(), [SGE], shelf, "network")
    first, guided = refill(before, box(value=2, nothing=255), shelf).fillings
    hole = first.inpainted.hole
    assert first is before.fillings[0]
    assert (guided.inpainted.label[hole] == 2).all()
    assert (guided.inpainted.image[hole] != first.inpainted.image[hole]).any()
    np.testing.assert_array_equal(guided.inpainted.image[~hole], opened.image[~hole])


@pytest.mark.slow
def test_edits_start_from_the_networks_own_filling_every_time(opened, shelf):
    once = refill(fill(opened, box(), [SGE], shelf), box(value=2, nothing=255), shelf)
    twice = refill(once, box(value=3, nothing=255), shelf)
    assert twice.fillings[0] is once.fillings[0]
    direct = refill(fill(opened, box(), [SGE], shelf), box(value=3, nothing=255), shelf)
    np.testing.assert_array_equal(twice.fillings[1].inpainted.image, direct.fillings[1].inpainted.image)


@pytest.mark.parametrize(
    ("models", "layer", "sentence"),
    [
        ([SGE], encode_layer(np.full((48, 64), 255, np.uint8)), "No class is painted yet"),
        ([SGE], box(value=8, nothing=255), "belong to another model"),
        ([GATED, BASE], box(value=2, nothing=255), "GatedConv and Base-Net cannot be guided"),
    ],
)
def test_what_cannot_be_filled_again_is_a_sentence(opened, shelf, models, layer, sentence):
    with pytest.raises(UserError, match=sentence):
        refill(fill(opened, box(), models, shelf), layer, shelf)


def test_the_guided_model_of_two_is_the_one_that_is_edited(opened, shelf):
    filled = fill(opened, box(), [GATED, SGE], shelf)
    assert edited(filled) is filled.fillings[1]


def test_the_chosen_texture_is_used_and_kept_when_classes_are_painted(opened, shelf):
    drawn, copied = (fill(opened, box(), [SGE], shelf, texture) for texture in ("network", "exemplar"))
    hole = drawn.fillings[0].hole
    assert (drawn.fillings[0].photo.pixels[hole] != copied.fillings[0].photo.pixels[hole]).any()
    assert refill(drawn, box(value=2, nothing=255), shelf).fillings[1].texture == "network"
