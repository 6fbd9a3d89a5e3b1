"""Shape checks: what matches, what binds, and what the error says."""

from __future__ import annotations

import pytest
import torch

from sgenet.checks import check_shape


def test_letters_bind_to_the_sizes_found() -> None:
    assert check_shape(torch.zeros(2, 3, 5, 7), "B 3 H W") == {"B": 2, "H": 5, "W": 7}


def test_a_letter_means_the_same_size_wherever_it_stands() -> None:
    assert check_shape(torch.zeros(4, 4), "N N") == {"N": 4}
    with pytest.raises(ValueError, match=r"\(N N\)"):
        check_shape(torch.zeros(4, 5), "N N")


def test_letters_bound_before_must_match_and_are_not_changed() -> None:
    bound = check_shape(torch.zeros(2, 3, 5, 7), "B 3 H W")
    assert check_shape(torch.zeros(2, 9, 5, 7), "B K H W", **bound) == {"B": 2, "H": 5, "W": 7, "K": 9}
    with pytest.raises(ValueError, match="shape"):
        check_shape(torch.zeros(2, 1, 7, 5), "B 1 H W", **bound)
    assert bound == {"B": 2, "H": 5, "W": 7}


@pytest.mark.parametrize("shape", [(2, 4, 5, 7), (3, 5, 7), (1, 2, 3, 5, 7)])
def test_wrong_numbers_and_dimensions_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="shape"):
        check_shape(torch.zeros(shape), "B 3 H W")


def test_the_error_names_the_tensor_the_pattern_the_bound_letters_and_the_shape() -> None:
    with pytest.raises(ValueError, match="hole_mask") as raised:
        check_shape(torch.zeros(2, 1, 4, 4), "B 1 H W", "hole_mask", H=8)
    assert str(raised.value) == "hole_mask must have the shape (B 1 H W) with {'H': 8}, found (2, 1, 4, 4)"
