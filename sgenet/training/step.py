"""One training step: the critic's side, then the generator's."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from sgenet.batch import InpaintingBatch
from sgenet.errors import NonFiniteError
from sgenet.methods.method import Terms
from sgenet.precision import autocast
from sgenet.training.state import TrainingState


def training_step(state: TrainingState, batch: InpaintingBatch) -> Terms:
    """Update critic and generator once on this worker's share of a global batch.

    One forward of the generator serves both sides. Returns the detached loss terms of both.

    Raises:
        NonFiniteError: a loss or gradient is NaN or infinite; raised on every rank, before the
            optimizer step it would have spoilt.
    """
    objective = state.method.objective
    state.set_learning_rates()
    batch = state.method.prepare(batch, state.draw(batch.num_pictures), state.progress)
    terms: Terms = {}
    with autocast(state.device, state.precision):
        prediction = state.generator(*state.method.training_inputs(batch))
        if objective.trains_critic:
            terms = objective.critic_terms(batch, prediction, state.critic)
    if objective.trains_critic:
        _update(state, state.method.critic, state.critic_optimizer, terms)

    # Frozen, and past the wrapper: the generator's backward must not touch the critic's gradients.
    state.method.critic.requires_grad_(False)
    with autocast(state.device, state.precision):
        generator_terms = objective.generator_terms(batch, prediction, state.method.critic)
    _update(state, state.method.generator, state.generator_optimizer, generator_terms)
    state.method.critic.requires_grad_(True)

    state.step += 1
    state.ema.update(state.method.generator, state.step)
    return {name: term.detach() for name, term in (generator_terms | terms).items()}


def _update(state: TrainingState, network: nn.Module, optimizer: torch.optim.Optimizer, terms: Terms) -> None:
    optimizer.zero_grad(set_to_none=True)
    total = torch.stack(list(terms.values())).sum()
    total.backward()  # type: ignore[no-untyped-call]
    clip_norm = state.method.optimizer.clip_norm or float("inf")
    norm = clip_grad_norm_(network.parameters(), clip_norm)
    _check_finite(total.detach(), norm, terms, state.step)
    optimizer.step()


def _check_finite(total: Tensor, norm: Tensor, terms: Terms, step: int) -> None:
    finite = (total.isfinite() & norm.isfinite()).float()
    distributed = dist.is_available() and dist.is_initialized()
    if distributed:
        # A rank that stopped alone would leave the others waiting for it.
        dist.all_reduce(finite, dist.ReduceOp.MIN)
    if bool(finite):
        return
    found = [name for name, term in terms.items() if not bool(term.isfinite())]
    culprit = f"the terms {', '.join(found)}" if found else f"the gradient of {', '.join(terms)}"
    rank = f" (rank {dist.get_rank()})" if distributed else ""
    raise NonFiniteError(
        f"training stopped before step {step + 1}{rank}: {culprit} became NaN or infinite; lower the learning "
        "rates or the weight of that term, or use precision: float32"
    )
