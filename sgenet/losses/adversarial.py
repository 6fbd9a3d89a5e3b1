"""The adversarial terms of Eq. 8 in three kinds, with R1 and feature matching as stabilisers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Kind = Literal["bce", "hinge", "lsgan"]


def discriminator_loss(kind: Kind, real_logits: Sequence[Tensor], fake_logits: Sequence[Tensor]) -> Tensor:
    """What the discriminator minimises: Σ over its scales of the loss on real plus the loss on predicted patches.

    ``bce`` is Eq. 8 negated, -E[log D(x)] - E[log(1 - D(ŷ))], with D the sigmoid of the logits;
    ``hinge`` E[max(0, 1 - x)] + E[max(0, 1 + ŷ)]; ``lsgan`` E[(x - 1)²] + E[ŷ²].
    """
    terms = []
    for real, fake in zip(real_logits, fake_logits, strict=True):
        match kind:
            case "bce":
                term = F.softplus(-real).mean() + F.softplus(fake).mean()
            case "hinge":
                term = F.relu(1 - real).mean() + F.relu(1 + fake).mean()
            case "lsgan":
                term = (real - 1).square().mean() + fake.square().mean()
        terms.append(term)
    return torch.stack(terms).sum()


def generator_loss(kind: Kind, fake_logits: Sequence[Tensor]) -> Tensor:
    """What the generator minimises: Σ over the discriminator's scales.

    ``bce`` is the non-saturating -E[log D(ŷ)] (Goodfellow et al. 2014); ``hinge`` -E[ŷ];
    ``lsgan`` E[(ŷ - 1)²].
    """
    terms = []
    for fake in fake_logits:
        match kind:
            case "bce":
                term = F.softplus(-fake).mean()
            case "hinge":
                term = -fake.mean()
            case "lsgan":
                term = (fake - 1).square().mean()
        terms.append(term)
    return torch.stack(terms).sum()


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
