"""What is known of a method without building it, written once: an entry of the registry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sgenet.settings import BaseRecipe, DiscriminatorSettings

if TYPE_CHECKING:
    from torch import nn

    from sgenet.methods.method import Method


@dataclass(frozen=True, kw_only=True)
class MethodSpec:
    """A method, by name. Its networks are loaded when they are built, so that settings are read without PyTorch.

    Attributes:
        name: in settings, folders and files.
        title: in tables and on pages.
        settings: class of the method's section of a recipe, whose key is the name; None where the recipe's own
            ``network``, ``discriminator``, ``losses`` and ``optimizer`` are the method's.
        generator: makes the generator from the section (without one, from the recipe) and the number of classes.
        method: makes the whole method from the same and the generator.
        discriminators: settings of the multi-scale discriminators that are trained, by their keys under the section:
            a crop must be large enough for them.
        smallest_crop: in pixels, what else the networks need.
        segmented: whether it predicts a segmentation.
        guided: whether that guides the filling, so that a given one can take its place.
        starts_from_labels: whether it completes a label map of what is known, which a segmenter can give.
        vgg: which one its ``perceptual_weights`` are of.
    """

    name: str
    title: str
    settings: type | None = None
    generator: Callable[[Any, int], nn.Module]
    method: Callable[[Any, int, nn.Module], Method]
    discriminators: Callable[[Any], Mapping[str, DiscriminatorSettings]] = lambda section: {}
    smallest_crop: int = 1
    segmented: bool = True
    guided: bool = False
    starts_from_labels: bool = False
    vgg: Literal[16, 19] = 16

    def section(self, recipe: BaseRecipe) -> Any:
        """What a recipe says of this method: its section, or without one the recipe."""
        return recipe if self.settings is None else getattr(recipe, self.name)

    def perceptual_weights(self, recipe: BaseRecipe) -> str:
        """Which weights the VGG of the objective has, as its setting says; ``none`` where it has no VGG."""
        losses = recipe.losses if self.settings is None else self.section(recipe)
        used = any(getattr(losses, term, 0) > 0 for term in ("perceptual", "style"))
        return losses.perceptual_weights if used else "none"
