"""The front door: known pixels exact, any size, and one sentence when something does not fit."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from sgenet.batch import Prediction
from sgenet.errors import DataError
from sgenet.inpainter import Inpainter
from sgenet.label_space import LabelSpace
from sgenet.methods.build import build_generator
from sgenet.methods.recipe import Recipe
from sgenet.methods.release import save_released
from sgenet.settings import NetworkSettings

LABELS = LabelSpace(("dark", "bright", "never"))


class Negative(nn.Module):
    """Draws the negative everywhere, calls bright pixels class 1, and remembers what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[torch.Tensor, torch.Tensor]] = []

    def forward(self, image, hole_mask):
        self.calls.append((image, hole_mask))
        bright = (image.mean(dim=1, keepdim=True) > 0).float()
        # Probabilities 0.8 and 0.2, and almost nothing for the third class.
        logits = torch.log(torch.cat((0.8 - 0.6 * bright, 0.2 + 0.6 * bright, bright * 0 + 1e-12), dim=1))
        reliability = tuple(1 - nn.functional.max_pool2d(hole_mask, 2**scale) for scale in range(5))
        return Prediction(images=_smaller(-image), label_logits=_smaller(logits), reliability=reliability)


def _smaller(full):
    return tuple(nn.functional.avg_pool2d(full, 2**scale) for scale in range(5))


@pytest.fixture
def inpainter():
    return Inpainter(Negative(), LABELS)


@pytest.fixture
def photo():
    return np.random.default_rng(0).integers(0, 256, (37, 53, 3), dtype=np.uint8)


def hole_like(photo, rows=slice(5, 20), columns=slice(30, 53)):
    hole = np.zeros(photo.shape[:2], bool)
    hole[rows, columns] = True
    return hole


def test_the_hole_is_the_prediction_and_the_rest_is_untouched_at_odd_sizes(inpainter, photo):
    hole, before = hole_like(photo), photo.copy()
    inpainted = inpainter(photo, hole)
    np.testing.assert_array_equal(inpainted.image[~hole], photo[~hole])
    np.testing.assert_array_equal(inpainted.image[hole], 255 - photo[hole])
    np.testing.assert_array_equal(photo, before)


def test_a_photo_lying_on_its_side_is_filled_upright(inpainter, photo):
    lying = Image.fromarray(photo)
    lying.getexif()[0x0112] = 6  # turn by 90° clockwise to see it upright
    hole = hole_like(np.rot90(photo, -1), slice(3, 9), slice(4, 11))
    inpainted = inpainter(lying, hole)
    np.testing.assert_array_equal(inpainted.image[~hole], np.rot90(photo, -1)[~hole])


def test_the_generator_sees_a_reflected_multiple_of_16_within_minus_one_and_one(inpainter, photo):
    photo[0, 0], photo[0, 1] = 0, 255
    hole = hole_like(photo)
    inpainter(photo, hole)
    image, hole_mask = inpainter.generator.calls[0]
    assert image.shape == (1, 3, 48, 64)
    assert hole_mask.shape == (1, 1, 48, 64)
    assert (image[0, :, 0, 0] == -1).all()
    assert (image[0, :, 0, 1] == 1).all()
    # Row 37 mirrors row 35 about the last row, 36; an unknown pixel's mirror image is unknown.
    torch.testing.assert_close(image[0, :, 37], image[0, :, 35])
    torch.testing.assert_close(hole_mask[0, 0, :, 53:], hole_mask[0, 0, :, 41:52].flip(-1))


def test_a_single_pixel_can_be_filled(inpainter):
    pixel = np.full((1, 1, 3), 200, np.uint8)
    with pytest.warns(UserWarning, match="100% of the image"):
        inpainted = inpainter(pixel, np.ones((1, 1), bool))
    assert inpainted.image.tolist() == [[[55, 55, 55]]]


def test_label_confidence_and_reliability_have_the_images_size_and_every_scale_its_own(inpainter, photo):
    hole = hole_like(photo)
    inpainted = inpainter(photo, hole, details=True)
    bright = (photo.astype(np.float64) / 127.5 - 1).mean(axis=2) > 0
    np.testing.assert_array_equal(inpainted.label, bright)
    np.testing.assert_allclose(inpainted.confidence, 0.8, rtol=1e-5)
    assert inpainted.hole_confidence == pytest.approx(0.8, rel=1e-5)
    sizes = [(37, 53), (19, 27), (10, 14), (5, 7), (3, 4)]
    assert [mask.shape for mask in inpainted.reliability] == sizes
    for scale, size in zip(inpainted.scales, sizes, strict=True):
        assert scale.image.shape[:2] == scale.label.shape == scale.confidence.shape == size
    np.testing.assert_array_equal(inpainted.scales[0].image, 255 - photo)
    block = 255 - photo[16:20, 20:24].reshape(-1, 3).mean(axis=0)
    np.testing.assert_allclose(inpainted.scales[2].image[4, 5], block, atol=0.51)
    np.testing.assert_array_equal(inpainted.reliability[0], ~hole)
    assert inpainter(photo, hole).reliability == ()


def test_without_a_hole_the_image_comes_back_unchanged(inpainter, photo):
    inpainted = inpainter(photo, np.zeros(photo.shape[:2], bool))
    np.testing.assert_array_equal(inpainted.image, photo)
    assert inpainted.hole_confidence is None


@pytest.mark.parametrize("kind", ["bool", "0 and 1", "0 and 255", "0 to 255", "pillow 1", "pillow L", "pillow RGB"])
def test_every_kind_of_mask_means_the_same_hole(inpainter, photo, kind):
    hole = hole_like(photo)
    white = hole.astype(np.uint8) * 255
    grey = np.where(hole, 128, 127).astype(np.uint8)
    masks = {
        "bool": hole,
        "0 and 1": hole.astype(np.uint8),
        "0 and 255": white,
        "0 to 255": grey,
        "pillow 1": Image.fromarray(white).convert("1"),
        "pillow L": Image.fromarray(grey),
        "pillow RGB": Image.fromarray(white).convert("RGB"),
    }
    np.testing.assert_array_equal(inpainter(photo, masks[kind]).hole, hole)


def test_a_mask_of_another_size_is_refused_with_both_sizes(inpainter, photo):
    with pytest.raises(DataError, match="53×37 pixels but its hole mask is 37×53"):
        inpainter(photo, np.zeros((53, 37), bool))


@pytest.mark.parametrize(
    ("image", "mask", "reason"),
    [
        (np.zeros((8, 8, 3), np.float32), np.zeros((8, 8), bool), r"found \(8, 8, 3\) of float32"),
        (np.full((8, 8), np.nan), np.zeros((8, 8), bool), "of float64; convert it"),
        (np.zeros((8, 8, 5), np.uint8), np.zeros((8, 8), bool), r"found \(8, 8, 5\)"),
        (np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.float32), "of float32"),
        (np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8, 1), np.uint8), r"found \(8, 8, 1\)"),
        (np.zeros((0, 8, 3), np.uint8), np.zeros((0, 8), bool), r"found \(0, 8, 3\)"),
        (Image.new("F", (8, 8)), np.zeros((8, 8), bool), "image has the pixel format F"),
        (Image.new("I", (8, 8), 65536), np.zeros((8, 8), bool), "values from 65536 to 65536; scale them to 16 bits"),
        (Image.new("RGB", (0, 8)), np.zeros((8, 0), bool), "the image has no pixels"),
        ("photo.jpg", np.zeros((8, 8), bool), "found str; open a file with PIL.Image.open"),
        (b"a letter", np.zeros((8, 8), bool), "found bytes"),
        (np.zeros((8, 8, 3), np.uint8), "hole.png", "hole mask must be .* found str"),
        (np.zeros((8, 8, 3), np.uint8), None, "hole mask must be .* found NoneType"),
        (np.zeros((8, 8, 3), np.uint8), np.full((8, 8), 100, np.uint8), "no white pixels, its brightest value is 100"),
        (np.zeros((8, 8, 3), np.uint8), Image.new("LA", (8, 8), (0, 0)), "transparent"),
    ],
)
def test_what_is_no_image_or_mask_is_refused(inpainter, image, mask, reason):
    with pytest.raises(DataError, match=reason):
        inpainter(image, mask)


def test_a_mask_that_looks_inverted_is_warned_about_and_others_are_not(inpainter, photo):
    with pytest.warns(UserWarning, match="invert the mask"):
        inpainter(photo, ~hole_like(photo, slice(0, 3), slice(0, 3)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        inpainter(photo, hole_like(photo))


@pytest.fixture
def guided():
    recipe = Recipe(network=NetworkSettings(widths=(4, 4, 4, 4, 4), context_blocks=1, modulation_width=4))
    return Inpainter(build_generator("sge_net", recipe, LABELS.num_classes), LABELS, method_name="sge_net")


def test_a_guide_shows_in_the_label_changes_the_filling_and_leaves_the_rest_to_the_network(guided, photo):
    hole = hole_like(photo)
    guide = np.full(hole.shape, 255, np.uint8)
    guide[2:30, 20:50] = 2
    free, inpainted = guided(photo, hole), guided(photo, hole, guide=guide, details=True)
    assert (inpainted.label[guide == 2] == 2).all()
    np.testing.assert_array_equal(inpainted.confidence[guide == 2], 1)
    assert (inpainted.confidence[guide == 255] < 0.999).all()
    assert (free.image != inpainted.image)[hole].any()
    np.testing.assert_array_equal(inpainted.image[~hole], photo[~hole])
    # Every scale shows it, where all of a coarse pixel is given.
    assert (inpainted.scales[3].label[1:3, 3:6] == 2).all()


def test_a_silent_guide_changes_nothing(guided, photo):
    hole = hole_like(photo)
    free, silent = guided(photo, hole), guided(photo, hole, guide=np.full(hole.shape, 255, np.uint8))
    np.testing.assert_array_equal(free.image, silent.image)
    np.testing.assert_array_equal(free.confidence, silent.confidence)


@pytest.mark.parametrize(
    ("guide", "reason"),
    [
        (np.zeros((53, 37), np.uint8), r"found \(53, 37\) of uint8"),
        (np.zeros((37, 53), np.int64), "of int64"),
        (np.full((37, 53), 3, np.uint8), "class id 3, but there are the classes 0 to 2"),
    ],
)
def test_a_guide_that_does_not_fit_is_refused(guided, photo, guide, reason):
    with pytest.raises(DataError, match=reason):
        guided(photo, hole_like(photo), guide=guide)


def test_only_methods_that_are_guided_take_a_guide(guided, inpainter, photo):
    assert guided.can_be_guided
    assert not inpainter.can_be_guided
    with pytest.raises(DataError, match="not guided by a segmentation"):
        inpainter(photo, hole_like(photo), guide=np.zeros(photo.shape[:2], np.uint8))


def test_black_is_missing_where_the_mask_says_so(inpainter, photo):
    hole = hole_like(photo)
    black_hole = Image.fromarray(np.where(hole, 0, 255).astype(np.uint8))
    np.testing.assert_array_equal(inpainter(photo, black_hole, white_is_hole=False).hole, hole)
    np.testing.assert_array_equal(inpainter(photo, ~hole, white_is_hole=False).hole, hole)


def test_a_released_model_is_loaded_and_draws_what_its_generator_draws(tmp_path, photo):
    recipe = Recipe(network=NetworkSettings(widths=(4, 4, 4, 4, 4), context_blocks=1, modulation_width=4))
    generator = build_generator("sge_net", recipe, LABELS.num_classes).eval()
    save_released(tmp_path, "sge_net", generator, recipe, LABELS)
    fitting = photo[:32, :48]
    hole = hole_like(fitting)
    inpainter = Inpainter.load(str(tmp_path))
    assert inpainter.method_name == "sge_net"
    assert Inpainter.load("shipped").can_be_guided
    inpainted = inpainter(fitting, hole)
    image = torch.from_numpy(fitting).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.no_grad():
        drawn = generator(image, torch.from_numpy(hole)[None, None].float()).image[0]
    expected = ((drawn + 1) * 127.5).clamp(0, 255).permute(1, 2, 0).numpy()
    np.testing.assert_allclose(inpainted.image[hole], expected[hole], atol=0.51)
    np.testing.assert_array_equal(inpainted.image[~hole], fitting[~hole])
