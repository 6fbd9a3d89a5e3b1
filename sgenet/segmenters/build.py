"""From a segmenter's name and recipe to the network."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from sgenet.segmenters.deep_parsing import DeepParsingNetwork
from sgenet.segmenters.deeplab import DeepLabV3Plus
from sgenet.segmenters.settings import SegmenterRecipe

SEGMENTERS: dict[str, Callable[[SegmenterRecipe, int, bool], nn.Module]] = {
    "deep_parsing": lambda recipe, num_classes, load: DeepParsingNetwork(num_classes, recipe.deep_parsing, load),
    "deeplab_v3_plus": lambda recipe, num_classes, load: DeepLabV3Plus(num_classes, recipe.deeplab, load),
}
"""Name → builder from (recipe, number of classes, whether to read the weights that the recipe names)."""


def build_segmenter(name: str, recipe: SegmenterRecipe, num_classes: int, *, load: bool = True) -> nn.Module:
    """A segmenter; what is not loaded follows from ``recipe.training.seed``.

    Args:
        name: a key of :data:`SEGMENTERS`.
        load: False leaves out the weights that the recipe names, for a state that is loaded afterwards.

    Raises:
        CheckpointError: the weights cannot be had.
        SettingsError: there is no such encoder.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.training.seed)
        return SEGMENTERS[name](recipe, num_classes, load)
