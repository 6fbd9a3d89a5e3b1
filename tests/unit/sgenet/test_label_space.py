"""Class ids, their colours, and the id that is no class."""

from __future__ import annotations

import numpy as np
import pytest

from sgenet.label_space import CAMVID, CITYSCAPES, IGNORE_ID, OUTDOOR_SCENES, STANFORD_BACKGROUND, LabelSpace


def test_colours_follow_the_class_ids_and_ignore_is_black() -> None:
    space = LabelSpace(("a", "b"), ((1, 2, 3), (4, 5, 6)))
    coloured = space.colourise(np.array([[1, 0], [IGNORE_ID, 1]]))
    assert coloured.tolist() == [[[4, 5, 6], [1, 2, 3]], [[0, 0, 0], [4, 5, 6]]]


def test_made_colours_differ_from_each_other_and_from_ignore() -> None:
    space = LabelSpace(tuple(f"class {number}" for number in range(40)))
    assert len({*space.colours, (0, 0, 0)}) == 41
    assert all(0 <= value <= 255 for colour in space.colours for value in colour)


def test_known_classes_have_their_natural_colours_and_no_two_look_alike() -> None:
    space = LabelSpace(("blimp", "sky", "Tree", "forest floor", "water", "plant", "sofa"))
    assert (space.colours[1], space.colours[2]) == ((135, 190, 235), (25, 110, 45))
    assert space.colours[5] != space.colours[2]  # a plant is as green as a tree, but for its neighbour
    for index, colour in enumerate(space.colours):
        others = np.abs(np.array(space.colours) - colour).max(axis=1)
        assert (np.delete(others, index) >= 40).all()
    assert OUTDOOR_SCENES.colours[1] == (135, 190, 235)


@pytest.mark.parametrize(
    ("space", "num_classes", "first", "last"),
    [
        (OUTDOOR_SCENES, 8, "background", "animal"),
        (CITYSCAPES, 19, "road", "bicycle"),
        (CAMVID, 11, "sky", "bicyclist"),
        (STANFORD_BACKGROUND, 8, "sky", "foreground object"),
    ],
)
def test_the_datasets_have_the_published_classes(space: LabelSpace, num_classes: int, first: str, last: str) -> None:
    assert (space.num_classes, space.names[0], space.names[-1]) == (num_classes, first, last)
    assert len(set(space.colours)) == num_classes or space is CITYSCAPES


@pytest.mark.parametrize(
    ("names", "colours", "reason"),
    [
        ((), (), "1 to 254"),
        (tuple(str(number) for number in range(255)), (), "1 to 254"),
        (("sky", "sky"), (), "differ"),
        (("sky", "water"), ((0, 0, 0),), "as many colours"),
    ],
)
def test_impossible_label_spaces_are_refused(
    names: tuple[str, ...], colours: tuple[tuple[int, int, int], ...], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        LabelSpace(names, colours)
