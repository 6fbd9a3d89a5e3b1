"""NaN and infinity in losses and gradients: found on the device, read from it only now and then."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor

from sgenet.errors import NonFiniteError
from sgenet.methods.method import Terms

_NEVER = 2**62


class FiniteWatch:
    """Remembers the first step at which each term or gradient was not finite, without the host waiting for it."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, ...], Tensor] = {}

    def note(self, terms: Terms, norm: Tensor, step: int) -> None:
        """Note one side of a step.

        Args:
            terms: the side's loss terms, on this worker.
            norm: of the gradient, the mean of all workers.
            step: its number, counted from 1.
        """
        finite = torch.stack([*(term.detach().isfinite() for term in terms.values()), norm.isfinite()])
        found = torch.where(finite, _NEVER, step)
        names = tuple(terms)
        before = self._first.get(names)
        self._first[names] = found if before is None else torch.minimum(before, found)

    def check(self, done: int) -> None:
        """Read what was found; the host waits for the device here. Every rank must call it, or none.

        Args:
            done: optimizer steps done.

        Raises:
            NonFiniteError: on every rank, with the terms that were the first.
        """
        if not self._first:
            return
        found = torch.cat(list(self._first.values()))
        if dist.is_available() and dist.is_initialized():
            # A rank that stopped alone would leave the others waiting for it.
            dist.all_reduce(found, dist.ReduceOp.MIN)
        steps = found.tolist()
        sides, self._first = list(self._first), {}
        first = min(steps)
        if first == _NEVER:
            return
        terms: list[str] = []
        gradients: list[str] = []
        for names in sides:
            of_terms, of_gradient = steps[: len(names)], steps[len(names)]
            terms += [name for name, step in zip(names, of_terms, strict=True) if step == first]
            gradients += names if of_gradient == first else ()
            del steps[: len(names) + 1]
        culprit = f"the terms {', '.join(terms)}" if terms else f"the gradient of {', '.join(gradients)}"
        noticed = "" if done < first else f" (noticed after step {done}; nothing was stored in between)"
        raise NonFiniteError(
            f"training stopped before step {first}{noticed}: {culprit} became NaN or infinite; lower the learning "
            "rates or the weight of that term, or use precision: float32"
        )
