"""Shape checks: what matches, what binds, and what the error says."""

from __future__ import annotations

import pytest
import torch

from sgenet.checks import check_shape


def test_letters_bind_to_the_sizes_found_and_to_those_bound_before() -> None:
    bound = check_shape(torch.zeros(2, 3, 5, 7), "B 3 H W")
    assert bound == {"B": 2, "H": 5, "W": 7}
    assert check_shape(torch.zeros(2, 9, 5, 7), "B K H W", **bound) == {"B": 2, "H": 5, "W": 7, "K": 9}
    assert bound == {"B": 2, "H": 5, "W": 7}


@pytest.mark.parametrize(
    ("shape", "pattern"), [((4, 5), "N N"), ((2, 4, 5, 7), "B 3 H W"), ((3, 5, 7), "B 3 H W"), ((1, 2, 3), "B 2")]
)
def test_another_shape_is_refused(shape: tuple[int, ...], pattern: str) -> None:
    with pytest.raises(ValueError, match="shape"):
        check_shape(torch.zeros(shape), pattern)


def test_the_error_names_the_tensor_the_pattern_the_bound_letters_and_the_shape() -> None:
    with pytest.raises(ValueError, match="hole_mask") as raised:
        check_shape(torch.zeros(2, 1, 4, 4), "B 1 H W", "hole_mask", H=8)
    assert str(raised.value) == "hole_mask must have the shape (B 1 H W) with {'H': 8}, found (2, 1, 4, 4)"
