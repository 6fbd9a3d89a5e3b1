"""What one training step takes in memory and work, from the shapes of its tensors: nothing is computed."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from sgenet.batch import InpaintingBatch
from sgenet.methods.method import Method
from sgenet.settings import Precision
from sgenet.training.step import both_sides


@dataclass(frozen=True)
class StepMemory:
    """The largest amount of memory that the tensors of a step hold at one time.

    Attributes:
        flops: floating-point operations of convolutions and matrix products, of the whole batch.
        peak: bytes of activations, gradients and passing results; weights and optimizer state not counted.
        computed: whether the step was run for it, or gone through by shapes alone.
    """

    peak: int
    computed: bool
    flops: int


def step_memory(method: Method, batch: InpaintingBatch, precision: Precision) -> StepMemory:
    """The memory of one step's forward and backward passes, both networks, in the order of the training step.

    What the tensors hold is exact. What a device takes beyond them is not counted: workspaces of
    convolution algorithms, the allocator's reserve, a CUDA context. The weights stay as they are.

    Args:
        batch: one worker's share of the global batch, on the CPU.
        precision: ``float32`` or ``bfloat16``.
    """
    weights = [*method.generator.parameters(), *method.discriminator.parameters()]
    # As if every sample were guided, which takes the most.
    batch = method.prepare(batch, torch.zeros(batch.num_images, method.num_draws), 0.0)
    held = {tensor.untyped_storage()._cdata for tensor in (*weights, *method.objective.parameters())}
    try:
        return _by_shapes(method, batch, precision, held)
    except RuntimeError:
        # EdgeConnect draws its edges with NumPy, which needs the pixels.
        _forget_gradients(weights)
        live = _LiveBytes(held)
        with FlopCounterMode(display=False) as counter, live:
            _pass_forward_and_backward(method, batch, precision)
        return StepMemory(live.peak, computed=True, flops=int(counter.get_total_flops()))
    finally:
        _forget_gradients(weights)


def tensor_bytes(tensors: Iterable[Tensor]) -> int:
    """Bytes of the elements of some tensors."""
    return sum(tensor.nbytes for tensor in tensors)


def _by_shapes(method: Method, batch: InpaintingBatch, precision: Precision, held: set[int]) -> StepMemory:
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        shapes = InpaintingBatch(
            **{name: mode.from_tensor(part) for name, part in vars(batch).items() if part is not None}
        )
        live = _LiveBytes(held)
        with FlopCounterMode(display=False) as counter, live:
            _pass_forward_and_backward(method, shapes, precision)
    return StepMemory(live.peak, computed=False, flops=int(counter.get_total_flops()))


def _pass_forward_and_backward(method: Method, batch: InpaintingBatch, precision: Precision) -> None:
    """As :func:`sgenet.training.step.training_step`, without the updates and the look at what came out."""
    for _, terms in both_sides(method, batch, precision, method.generator, method.discriminator):
        torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]


def _forget_gradients(weights: Iterable[Tensor]) -> None:
    for weight in weights:
        weight.grad = None


class _LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the storages that operations make and that are still alive.

    Args:
        held: addresses of storages that are not to be counted.
    """

    def __init__(self, held: set[int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        self._now = 0
        self._held = held
        self._alive: set[int] = set()

    def __torch_dispatch__(
        self, function: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run an operation and count what it made."""
        results = function(*args, **(kwargs or {}))
        for result in tree_leaves(results):
            if isinstance(result, Tensor):
                self._count(result.untyped_storage())
        return results

    def _count(self, storage: torch.UntypedStorage) -> None:
        address = storage._cdata
        if address in self._held or address in self._alive:
            return
        size = storage.nbytes()
        self._alive.add(address)
        self._now += size
        self.peak = max(self.peak, self._now)
        weakref.finalize(storage, self._release, address, size)

    def _release(self, address: int, size: int) -> None:
        self._alive.discard(address)
        self._now -= size
