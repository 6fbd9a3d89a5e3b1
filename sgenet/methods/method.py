"""What a trainable inpainting system is: a generator, a discriminator, and an objective."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from sgenet.batch import InpaintingBatch, Prediction
from sgenet.layers.discriminator import DiscriminatorOutput
from sgenet.settings import OptimizerSettings

Discriminator = Callable[[Tensor], DiscriminatorOutput]
"""A discriminator's forward: images, or what else a method judges, (B, C, H, W) → :class:`DiscriminatorOutput`."""

Terms = dict[str, Tensor]
"""Named loss terms, each a weighted scalar; their sum is what is minimised."""


def unchanged(batch: InpaintingBatch, draws: Tensor, progress: float) -> InpaintingBatch:
    """A training step's batch as it is loaded."""
    return batch


class Objective(nn.Module):
    """Turns (batch, prediction, discriminator) into named loss terms for each side.

    A module, so that what it judges with (a VGG) moves with it; nothing of it is trained or stored.
    """

    trains_discriminator: bool = False
    """False where nothing adversarial is asked for; the discriminator then is left alone."""

    def generator_terms(self, batch: InpaintingBatch, prediction: Prediction, discriminator: Discriminator) -> Terms:
        """The generator's side; the discriminator's weights are frozen meanwhile."""
        raise NotImplementedError

    def discriminator_terms(
        self, batch: InpaintingBatch, prediction: Prediction, discriminator: Discriminator
    ) -> Terms:
        """The discriminator's side, on detached predictions; nothing where it is left alone."""
        return {}


@dataclass(frozen=True)
class Method:
    """A trainable inpainting system.

    Attributes:
        name: as in ``params.yaml`` and in the tables.
        generator: called as ``generator(image, hole_mask) -> Prediction``; multi-stage systems
            keep all their stages inside and detach between them.
        discriminator: one module, however many discriminators it holds; an empty one where
            ``objective.trains_discriminator`` is always false.
        objective: what both are trained towards.
        optimizer: how both are trained.
        prepare: what becomes of a batch before a training step, such as labels or edges that it is given; from it,
            :attr:`num_draws` random numbers in [0, 1) for each of its samples, (B, N), and the share of the training's
            budget that is used, in [0, 1].
        num_draws: N.
    """

    name: str
    generator: nn.Module
    discriminator: nn.Module
    objective: Objective
    optimizer: OptimizerSettings
    prepare: Callable[[InpaintingBatch, Tensor, float], InpaintingBatch] = unchanged
    num_draws: int = 0
