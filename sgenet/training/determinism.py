"""Same seed, same losses: the switches of PyTorch that this takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def make_deterministic(device: torch.device) -> None:
    """Ask for deterministic kernels, to the bit on one machine.

    EdgeConnect and SPG-Net pad by reflection, whose backward pass on CUDA adds in any order: there they repeat up to
    rounding.

    On a GPU the cuBLAS workspace must be fixed before CUDA starts: set
    ``CUBLAS_WORKSPACE_CONFIG=:4096:8`` in the environment of the process.
    """
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    if device.type == "cuda":
        # Warn of kernels without a deterministic backward pass, rather than refuse to train.
        torch.use_deterministic_algorithms(True, warn_only=True)


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread on the CPU: where there is a process for every core, and sums must not depend on how
    they were shared."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
