"""The steps of copying texture: offsets at which an image repeats itself, the least visible seams, seams closed."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from sgenet.inpainter.blending import blend
from sgenet.inpainter.montage import Montage, _copies, _cut, _seam_costs, assemble, neighbours
from sgenet.inpainter.offsets import offsets_to_similar, reached
from sgenet.inpainter.pyramid import Scene


def tiles(height, width, period=12, seed=0):
    """The same random tile over and over, (H, W, 3) in [-1, 1]."""
    tile = np.random.default_rng(seed).uniform(-0.8, 0.8, (period, period, 3)).astype(np.float32)
    return np.tile(tile, (-(-height // period), -(-width // period), 1))[:height, :width]


def hole_of(shape, rows, columns):
    hole = np.zeros(shape, bool)
    hole[rows, columns] = True
    return hole


def scene_of(image, hole):
    return Scene(np.where(hole[..., None], np.float32(0), image), hole, hole)


def free(pixels, sources):
    return np.zeros(len(pixels), np.float32)


def total_cost(montage):
    first, second = neighbours(np.flatnonzero(montage.scene.hole), montage.scene)
    one, other = (_copies(montage, first, second, montage.choice[each]) for each in (first, second))
    return _seam_costs(one, other).sum()


def test_frequent_offsets_are_multiples_of_the_period_of_a_pattern():
    hole = hole_of((96, 120), slice(30, 60), slice(40, 80))
    found, _ = offsets_to_similar(scene_of(tiles(96, 120), hole).image, hole, hole, 20, 0)
    assert len(found) == 20
    assert (found % 12 == 0).all()


def test_patches_beside_the_hole_say_how_a_rare_edge_continues():
    # One edge, two pixels to the right for each one down, that the hole cuts.
    rows, columns = np.mgrid[:96, :160]
    image = np.where(2 * rows > columns, np.float32(0.5), np.float32(-0.5))[..., None].repeat(3, axis=2)
    hole = hole_of((96, 160), slice(30, 50), slice(70, 90))
    _, found = offsets_to_similar(scene_of(image, hole).image, hole, hole, 0, 80)
    along_the_edge = found[found[:, 1] == 2 * found[:, 0]]
    assert len(along_the_edge) >= 2
    assert reached(along_the_edge, hole, hole)[hole].all()


@pytest.mark.parametrize("shape", [(5, 90), (9, 9), (40, 40)])
def test_where_hardly_anything_is_known_there_are_no_offsets(shape):
    hole = np.ones(shape, bool)
    hole[0] = False
    found = offsets_to_similar(np.zeros((*shape, 3), np.float32), hole, hole, 20, 20)
    assert [len(offsets) for offsets in found] == [0, 0]


@pytest.mark.parametrize("seed", range(6))
def test_a_cut_is_a_minimum(seed):
    """Against all choices of six nodes."""
    rng = np.random.default_rng(seed)
    extra, costs = rng.uniform(-1, 1, 6), rng.uniform(0, 0.8, 9)
    one, other = np.array([0, 1, 3, 4, 0, 1, 2, 5, 2]), np.array([1, 2, 4, 5, 3, 4, 5, 0, 3])

    def cost(chosen):
        chosen = np.array(chosen)
        return extra[chosen].sum() + costs[~chosen[one] & chosen[other]].sum()

    least = min(cost(chosen) for chosen in product((False, True), repeat=6))
    assert cost(_cut(extra, one, other, costs)) == pytest.approx(least, abs=0.01)


def test_a_pattern_is_continued_to_the_bit():
    image = tiles(96, 120)
    hole = hole_of((96, 120), slice(30, 60), slice(40, 80))
    montage = assemble(scene_of(image, hole), np.array([[5, 40], [24, 36], [-36, 0], [0, 48]]), free)
    filled, _ = blend(montage, 0.8)
    np.testing.assert_allclose(filled.reshape(image.shape), image, atol=1e-5)


def test_each_part_of_a_hole_takes_the_offset_that_fits_there():
    image = np.concatenate((tiles(96, 60, period=12), tiles(96, 60, period=15, seed=1)), axis=1)
    scene = scene_of(image, hole_of((96, 120), slice(30, 60), slice(40, 80)))
    offsets = np.array([[36, 0], [30, 0], [-36, 0], [-30, 0]])
    montage = assemble(scene, offsets, free)
    alone = [
        total_cost(Montage(scene, montage.offsets, np.where(scene.hole, number, 0).ravel()))
        for number in range(1, len(offsets) + 1)
    ]
    assert total_cost(montage) < 0.7 * min(alone)
    assert np.abs(blend(montage, 0.8)[0].reshape(image.shape) - image).mean() < 0.01


def test_the_cost_of_a_copy_decides_where_seams_do_not():
    scene = scene_of(np.zeros((60, 60, 3), np.float32), hole_of((60, 60), slice(20, 40), slice(20, 40)))

    def cost(pixels, sources):
        return np.where(sources % 60 < 20, 0.1, 1.0)  # cheap from the left

    montage = assemble(scene, np.array([[0, 20], [20, 0], [0, -20], [-20, 0]]), cost)
    assert (montage.choice[scene.hole.ravel()] == 3).all()


def test_what_no_offset_reaches_stays_as_it_was_drawn():
    image = np.full((40, 40, 3), 0.5, np.float32)
    hole = hole_of((40, 40), slice(5, 35), slice(5, 35))
    montage = assemble(scene_of(image, hole), np.array([[0, 15]]), free)
    reached = montage.choice.reshape(40, 40) == 1
    np.testing.assert_array_equal(reached, hole & (np.arange(40) >= 20) & (np.arange(40) < 25))


def test_a_montage_is_the_same_at_twice_the_size():
    image = tiles(160, 160, period=16)
    scene = scene_of(image, hole_of((160, 160), slice(60, 100), slice(60, 100)))
    montage = assemble(scene.halved(), np.array([[0, 24], [24, 0], [0, -24]]), free)
    filled, _ = blend(montage.enlarged(scene), 0.8)
    np.testing.assert_allclose(filled.reshape(image.shape), image, atol=1e-5)


def test_blending_closes_a_seam_in_a_sky_and_keeps_an_edge():
    # Brightness rises to the right, as in a sky; copies come from 30 pixels left, and are darker.
    slope = np.broadcast_to(np.linspace(-0.5, 0.5, 100, dtype=np.float32)[None, :, None], (40, 100, 3))
    hole = hole_of((40, 100), slice(10, 30), slice(60, 80))
    montage = assemble(scene_of(slope, hole), np.array([[0, -30]]), free)
    filled, correction = blend(montage, 0.8)
    np.testing.assert_allclose(filled.reshape(slope.shape), slope, atol=0.01)
    assert (correction.reshape(slope.shape)[~hole] == 0).all()
    # A black object on white: the step is far higher than a change of light.
    black_and_white = np.ones((40, 100, 3), np.float32)
    black_and_white[:, 25:55] = -1
    montage = assemble(scene_of(black_and_white, hole), np.array([[0, -30]]), free)
    assert blend(montage, 0.8)[0].reshape(40, 100, 3)[20, 70].max() < -0.9


def test_what_is_transparent_does_not_colour_what_is_beside_it():
    image = np.zeros((40, 100, 3), np.float32)
    transparent = hole_of((40, 100), slice(0, 40), slice(80, 100))
    image[transparent] = 0.2
    hole = hole_of((40, 100), slice(10, 30), slice(60, 80))
    montage = assemble(Scene(image, hole, hole | transparent), np.array([[0, -30]]), free)
    assert np.abs(blend(montage, 0.8)[0].reshape(image.shape)[hole]).max() < 1e-4


def test_reached_is_what_some_offset_takes_to_a_known_pixel():
    hole = hole_of((20, 40), slice(0, 20), slice(10, 30))
    columns = np.arange(40)
    found = reached(np.array([[0, -15], [0, 15]]), hole, hole)
    # Ten columns are known on either side: the first offset leads to them from columns 15 to 24, as does the second.
    np.testing.assert_array_equal(found, hole & (columns >= 15) & (columns < 25))
    assert not reached(np.zeros((0, 2), int), hole, hole).any()
