"""The adversarial terms of Eq. 8 in three kinds, with R1 and feature matching as stabilisers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Kind = Literal["bce", "hinge", "lsgan"]


_LOSSES: dict[Kind, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "bce": (lambda real: F.softplus(-real), F.softplus, lambda fake: F.softplus(-fake)),
    "hinge": (lambda real: F.relu(1 - real), lambda fake: F.relu(1 + fake), torch.neg),
    "lsgan": (lambda real: (real - 1).square(), torch.square, lambda fake: (fake - 1).square()),
}
"""Of each patch's logit: the discriminator's loss on real and on predicted ones, and the generator's."""


def discriminator_loss(kind: Kind, real_logits: Sequence[Tensor], fake_logits: Sequence[Tensor]) -> Tensor:
    """What the discriminator minimises: Σ over its scales of the loss on real plus the loss on predicted patches.

    ``bce`` is Eq. 8 negated, -E[log D(x)] - E[log(1 - D(ŷ))], with D the sigmoid of the logits;
    ``hinge`` E[max(0, 1 - x)] + E[max(0, 1 + ŷ)]; ``lsgan`` E[(x - 1)²] + E[ŷ²].
    """
    of_real, of_fake, _ = _LOSSES[kind]
    pairs = zip(real_logits, fake_logits, strict=True)
    return torch.stack([of_real(real).mean() + of_fake(fake).mean() for real, fake in pairs]).sum()


def generator_loss(kind: Kind, fake_logits: Sequence[Tensor]) -> Tensor:
    """What the generator minimises: Σ over the discriminator's scales.

    ``bce`` is the non-saturating -E[log D(ŷ)] (Goodfellow et al. 2014); ``hinge`` -E[ŷ];
    ``lsgan`` E[(ŷ - 1)²].
    """
    loss = _LOSSES[kind][2]
    return torch.stack([loss(fake).mean() for fake in fake_logits]).sum()


def r1_penalty(real_image: Tensor, real_logits: Sequence[Tensor]) -> Tensor:
    """½ E‖∇ₓ Σ D(x)‖²: the discriminator's squared gradient on real images (Mescheder et al. 2018).

    Args:
        real_image: (B, 3, H, W) that requires a gradient.
        real_logits: what the discriminator said of it.
    """
    total = torch.stack([logits.sum() for logits in real_logits]).sum()
    (gradient,) = torch.autograd.grad(total, real_image, create_graph=True)
    return 0.5 * gradient.square().flatten(1).sum(dim=1).mean()


def feature_matching_loss(real_features: Sequence[Tensor], fake_features: Sequence[Tensor]) -> Tensor:
    """Mean over layers of the mean absolute difference of the discriminator's activations (Wang et al., CVPR 2018)."""
    pairs = zip(real_features, fake_features, strict=True)
    return torch.stack([(real.detach() - fake).abs().mean() for real, fake in pairs]).mean()
