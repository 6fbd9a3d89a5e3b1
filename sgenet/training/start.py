"""Starting a training from the weights of another one, whose sizes and classes may differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from sgenet.training.state import TrainingState


@dataclass(frozen=True)
class Taken:
    """What a training took of the weights that it starts from.

    Attributes:
        taken: names of the tensors that fit.
        anew: names of the generator's tensors that nothing fits, by name and shape; these start as drawn from the seed.
    """

    taken: tuple[str, ...]
    anew: tuple[str, ...]


def start_from(state: TrainingState, weights: Mapping[str, Tensor]) -> Taken:
    """Put weights into the generator and its moving average; optimizers and discriminator start from nothing.

    Args:
        state: before its first step.
        weights: of a released generator, by name, in any precision.
    """
    network = state.method.generator.state_dict()
    fitting = {name: value for name, value in weights.items() if name in network and value.shape == network[name].shape}
    with torch.no_grad():
        for name, value in fitting.items():
            network[name].copy_(value)
    state.ema.load_state_dict(network)
    return Taken(tuple(fitting), tuple(name for name in network if name not in fitting))
