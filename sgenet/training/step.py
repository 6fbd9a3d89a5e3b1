"""One training step: the discriminator's side, then the generator's."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_

from sgenet.batch import InpaintingBatch
from sgenet.methods.method import Discriminator, Method, Terms
from sgenet.precision import autocast
from sgenet.settings import Precision
from sgenet.training.state import TrainingState


def training_step(state: TrainingState, batch: InpaintingBatch) -> Terms:
    """Update discriminator and generator once on this worker's share of a global batch.

    One forward of the generator serves both sides. Returns the detached loss terms of both.

    Raises:
        NonFiniteError: on the CPU, where a loss or gradient is NaN or infinite; on every rank, before the optimizer
            step it would have spoilt. Elsewhere a step with such a gradient changes nothing, and
            :meth:`TrainingState.check_finite` raises.
    """
    state.set_learning_rates()
    batch = state.method.prepare(batch, state.draw(batch.num_images), state.progress)
    terms: Terms = {}
    for network, side in both_sides(state.method, batch, state.precision, state.generator, state.discriminator):
        generates = network is state.method.generator
        _update(state, network, state.generator_optimizer if generates else state.discriminator_optimizer, side)
        terms = side | terms
    state.step += 1
    state.share_batch_statistics()
    state.ema.update(state.method.generator, state.step)
    return {name: term.detach() for name, term in terms.items()}


def both_sides(
    method: Method, batch: InpaintingBatch, precision: Precision, generator: nn.Module, discriminator: Discriminator
) -> Iterator[tuple[nn.Module, Terms]]:
    """The discriminator and its loss terms, if it is trained, then the generator and its terms.

    The caller takes the gradient of the first before it asks for the second.

    Args:
        generator, discriminator: the method's own, or what synchronises their gradients between workers.
    """
    objective, device = method.objective, batch.image.device
    with autocast(device, precision):
        prediction = generator(*batch.inputs)
    if objective.trains_discriminator:
        with autocast(device, precision):
            terms = objective.discriminator_terms(batch, prediction, discriminator)
        yield method.discriminator, terms
    # Frozen, and past the wrapper: the generator's backward must not touch the discriminator's gradients.
    method.discriminator.requires_grad_(False)
    try:
        with autocast(device, precision):
            terms = objective.generator_terms(batch, prediction, method.discriminator)
        yield method.generator, terms
    finally:
        method.discriminator.requires_grad_(True)


def _update(state: TrainingState, network: nn.Module, optimizer: torch.optim.Optimizer, terms: Terms) -> None:
    optimizer.zero_grad(set_to_none=True)
    total = torch.stack(list(terms.values())).sum()
    total.backward()  # type: ignore[no-untyped-call]
    clip_norm = state.method.optimizer.clip_norm or float("inf")
    norm = clip_grad_norm_(network.parameters(), clip_norm)
    state.finite.note(terms, norm, state.step + 1)
    if state.looks_at_every_step:
        state.check_finite()
    elif "found_inf" in vars(optimizer):
        # The mean gradient of all ranks: they leave the same steps out.
        optimizer.found_inf = norm.isfinite().logical_not().float()  # type: ignore[attr-defined]
    optimizer.step()
