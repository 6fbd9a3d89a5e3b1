"""From names and recipes to networks: seeds, sizes and costs."""

from __future__ import annotations

import pytest
import torch
from small import METHODS, NUM_CLASSES, SIDE, small_recipe
from torch import Tensor, nn

from sgenet.methods.build import build_generator, count_macs, count_parameters
from sgenet.methods.registry import METHODS as REGISTERED


def test_the_methods_of_table_3_can_be_built() -> None:
    assert tuple(REGISTERED)[: len(METHODS)] == METHODS


class _TinyFiller(nn.Module):
    """4 → 5 channels at half the size by 3×3, then 5 → 3 by 1×1."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(4, 5, 3, stride=2, padding=1)
        self.second = nn.Conv2d(5, 3, 1, bias=False)
        self.frozen = nn.Parameter(torch.zeros(7), requires_grad=False)

    def forward(self, image: Tensor, hole_mask: Tensor) -> Tensor:
        result: Tensor = self.second(self.first(torch.cat((image, hole_mask), dim=1)))
        return result


def test_parameters_are_counted_without_what_is_frozen() -> None:
    assert count_parameters(_TinyFiller()) == (5 * 4 * 9 + 5) + 3 * 5


def test_multiply_accumulates_by_hand() -> None:
    assert count_macs(_TinyFiller(), 16) == 8 * 8 * (5 * 4 * 9 + 3 * 5)


@pytest.mark.parametrize("training", [True, False])
def test_counting_leaves_the_network_in_its_mode(training: bool) -> None:
    filler = _TinyFiller().train(training)
    count_macs(filler, 16)
    assert filler.training is training


def test_each_module_of_the_paper_costs_something() -> None:
    generators = [build_generator(name, small_recipe(), NUM_CLASSES) for name in METHODS]
    for costs in (
        [count_macs(generator, SIDE) for generator in generators],
        [count_parameters(generator) for generator in generators],
    ):
        assert costs[0] < costs[1] < costs[2]


def test_modulating_at_the_coarse_scale_costs_less_and_has_the_same_parameters() -> None:
    fine, coarse = (
        build_generator("sg_net", small_recipe(network={"modulation_at": at}), NUM_CLASSES) for at in ("fine", "coarse")
    )
    assert count_macs(coarse, SIDE) < count_macs(fine, SIDE)
    assert count_parameters(coarse) == count_parameters(fine)
