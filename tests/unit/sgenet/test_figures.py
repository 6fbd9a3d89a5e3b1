"""Where images land in a figure, and what the maps' colours mean."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sgenet.batch import Prediction
from sgenet.figures import (
    HOLE_COLOUR,
    Sample,
    confidence_figure,
    confidence_image,
    grid,
    refinement_figure,
)
from sgenet.label_space import LabelSpace

CELL = 64
LABELS = LabelSpace(("ground", "sky"), ((10, 200, 30), (40, 50, 220)))


def _sample(with_reliability: bool = True) -> Sample:
    """A black image with a hole in its middle; red filling at every scale; all of it class 1."""
    hole_mask = torch.zeros(1, 32, 32, dtype=torch.uint8)
    hole_mask[:, 8:24, 8:24] = 1
    sizes = [32 >> scale for scale in range(5)]
    red = torch.tensor([1.0, -1.0, -1.0]).view(1, 3, 1, 1)
    logits = tuple(
        torch.zeros(1, 2, size, size).index_fill(1, torch.tensor([1]), 2.0 - scale * 0.4)
        for scale, size in enumerate(sizes)
    )
    return Sample(
        image=torch.zeros(3, 32, 32, dtype=torch.uint8),
        hole_mask=hole_mask,
        label=torch.zeros(32, 32, dtype=torch.uint8),
        prediction=Prediction(
            images=tuple(red.expand(1, 3, size, size) for size in sizes),
            label_logits=logits,
            reliability=tuple(torch.zeros(1, 1, size, size) for size in sizes) if with_reliability else (),
        ),
    )


def _colours(figure: np.ndarray) -> set[tuple[int, int, int]]:
    return {tuple(colour) for colour in figure.reshape(-1, 3).tolist()}


def test_every_image_lands_whole_in_its_cell() -> None:
    colours = [[(200, 0, 0), (0, 150, 0)], [(0, 0, 100), (90, 90, 0)]]
    figure = grid([[np.full((16, 16, 3), colour, np.uint8) for colour in row] for row in colours], cell=CELL)
    for row, row_colours in enumerate(colours):
        for column, colour in enumerate(row_colours):
            places = np.argwhere((figure == colour).all(axis=-1))
            assert len(places) == CELL * CELL
            top, left = places[0]
            assert (top > CELL) == (row == 1)
            assert (left > CELL) == (column == 1)


def test_a_wide_image_keeps_its_proportions() -> None:
    figure = grid([[np.full((10, 40, 3), (200, 0, 0), np.uint8)]], cell=CELL)
    places = np.argwhere((figure == (200, 0, 0)).all(axis=-1))
    height, width = places.max(axis=0) - places.min(axis=0) + 1
    assert (height, width) == (CELL // 4, CELL)


def test_titles_and_labels_get_room_and_ink() -> None:
    image = np.full((8, 8, 3), 250, np.uint8)
    plain, titled = grid([[image]], cell=CELL), grid([[image]], ["input"], ["first row"], CELL)
    assert titled.shape[0] > plain.shape[0]
    assert titled.shape[1] > plain.shape[1]
    assert (titled < 100).any()
    assert not (plain < 100).any()


def test_titles_that_do_not_match_the_columns_are_refused() -> None:
    with pytest.raises(ValueError, match="1 × 1 images"):
        grid([[np.zeros((4, 4, 3), np.uint8)]], ["one", "two"])


def test_confidence_is_drawn_dark() -> None:
    drawn = confidence_image(torch.tensor([[1.0, 0.5, 0.0]]))
    assert drawn[0, :, 0].tolist() == [0, 128, 255]


@pytest.mark.slow
def test_figure_6_shows_the_filling_in_the_hole_only() -> None:
    figure = refinement_figure(_sample(), LABELS, cell=CELL)
    red = (figure == (255, 0, 0)).all(axis=-1)
    # The hole is a quarter of the image; five scales are shown.
    assert red.sum() == 5 * CELL * CELL // 4
    assert {HOLE_COLOUR, *LABELS.colours} <= _colours(figure)


def test_figure_6_draws_rising_confidence_blue() -> None:
    figure = refinement_figure(_sample(), LABELS, cell=CELL).astype(int)
    changes = figure[CELL + 40 :, 6 * CELL :]
    blue, red = (changes[..., 2] - changes[..., 0] > 20).sum(), (changes[..., 0] - changes[..., 2] > 20).sum()
    assert blue > 0
    assert red == 0


def test_figure_6_of_a_method_without_reliability_is_narrower_not_blank() -> None:
    with_maps, without = (refinement_figure(_sample(present), LABELS, cell=CELL) for present in (True, False))
    assert without.shape[1] == with_maps.shape[1] - (CELL + 6)


def test_figure_7_puts_the_input_in_place_of_the_coarsest_map() -> None:
    figure = confidence_figure(_sample(), LABELS, cell=CELL)
    last_row = figure[-CELL:]
    black = (last_row == 0).all(axis=-1)
    assert black.sum() > CELL * CELL // 2  # the known pixels of the input
    # Everything is unreliable at the scales 3 … 0: four white cells.
    assert (last_row == 255).all(axis=-1).sum() > 4 * (CELL - 6) ** 2


def test_figure_7_without_segmentations_is_refused() -> None:
    sample = _sample()
    bare = Sample(sample.image, sample.hole_mask, sample.label, Prediction(sample.prediction.images))
    with pytest.raises(ValueError, match="segmentations"):
        confidence_figure(bare, LABELS)
