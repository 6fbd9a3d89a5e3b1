"""Starting a training from the weights of another one, whose sizes and classes may differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from sgenet.methods.build import build_generator
from sgenet.settings import BaseRecipe
from sgenet.training.state import TrainingState


@dataclass(frozen=True)
class Taken:
    """What a training took of the weights that it starts from.

    Attributes:
        copied: names of the tensors that fit.
        initialised: names of the generator's tensors that nothing fits, by name and shape.
        classes, new_classes: whose part of the tensors was taken, and whose starts as drawn from the seed.
    """

    copied: tuple[str, ...]
    initialised: tuple[str, ...]
    classes: tuple[str, ...] = ()
    new_classes: tuple[str, ...] = ()


class ClassAxis(NamedTuple):
    """The axis of a tensor along which the classes lie, and the place of class 0 on it."""

    axis: int
    first: int


def class_axes(method: str, recipe: BaseRecipe, num_classes: int) -> dict[str, ClassAxis]:
    """Of each tensor of a generator that has one: the axis that is longer where there is one class more."""
    with torch.device("meta"):
        own, larger = (build_generator(method, recipe, count).state_dict() for count in (num_classes, num_classes + 1))
    found = {}
    for name, tensor in own.items():
        for axis, (length, longer) in enumerate(zip(tensor.shape, larger[name].shape, strict=True)):
            if longer == length + 1:
                found[name] = ClassAxis(axis, length - num_classes)
    return found


def start_from(
    state: TrainingState,
    weights: Mapping[str, Tensor],
    axes: Mapping[str, ClassAxis],
    classes: Sequence[str],
    classes_of_weights: Sequence[str],
) -> Taken:
    """Put weights into the generator and its moving average; optimizers and discriminator start from nothing.

    What belongs to a class is taken for the class of the same name, wherever it stands in the label space.

    Args:
        state: before its first step.
        weights: of a released generator, by name, in any precision.
        axes: see :func:`class_axes`.
        classes, classes_of_weights: the names of the training's classes and of those that the weights know, by id.
    """
    known = {name.casefold(): class_id for class_id, name in enumerate(classes_of_weights)}
    shared = [(class_id, known[name.casefold()]) for class_id, name in enumerate(classes) if name.casefold() in known]
    network = state.method.generator.state_dict()
    taken = []
    with torch.no_grad():
        for name, value in weights.items():
            if name not in network:
                continue
            parts = _parts(network[name], value, axes.get(name), shared, len(classes_of_weights))
            if parts and all(target.shape == source.shape for target, source in parts):
                for target, source in parts:
                    target.copy_(source)
                taken.append(name)
    state.ema.network.load_state_dict(network)
    of_classes = tuple(classes[class_id] for class_id, _ in shared) if axes else ()
    new = tuple(name for name in classes if name not in of_classes) if axes else ()
    return Taken(tuple(taken), tuple(name for name in network if name not in taken), of_classes, new)


def _parts(
    own: Tensor, value: Tensor, place: ClassAxis | None, shared: Sequence[tuple[int, int]], num_classes: int
) -> list[tuple[Tensor, Tensor]]:
    """Which parts of a tensor are to become which parts of the other one; none where their classes do not fit."""
    if place is None:
        return [(own, value)]
    axis, first = place
    if value.ndim != own.ndim or value.shape[axis] != first + num_classes:
        return []
    parts = [(own.select(axis, first + to), value.select(axis, first + of)) for to, of in shared]
    return [*parts, (own.narrow(axis, 0, first), value.narrow(axis, 0, first))] if first else parts
