"""Same seed, same losses: the switches of PyTorch that this takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def is_deterministic(setting: bool | None, device: torch.device) -> bool:
    """What ``training.deterministic`` means on a device: None is true on the CPU, where it costs nothing."""
    return device.type == "cpu" if setting is None else setting


def make_deterministic(device: torch.device) -> None:
    """Ask for deterministic kernels, to the bit on one machine.

    EdgeConnect and SPG-Net pad by reflection, whose backward pass on CUDA adds in any order: there they repeat up to
    rounding.

    On a GPU the cuBLAS workspace must be fixed before CUDA starts: set
    ``CUBLAS_WORKSPACE_CONFIG=:4096:8`` in the environment of the process.
    """
    choose_kernels(device, deterministic=True)


def choose_kernels(device: torch.device, *, deterministic: bool) -> None:
    """Ask for kernels that repeat to the bit, or on CUDA for the fastest ones, which are measured in the first step."""
    torch.backends.cudnn.benchmark = device.type == "cuda" and not deterministic
    torch.backends.cudnn.deterministic = deterministic
    if device.type == "cuda":
        # Warn of kernels without a deterministic backward pass, rather than refuse to train.
        torch.use_deterministic_algorithms(deterministic, warn_only=True)
        # Nothing here reads memory that it has not written: filling all of it first would be thousands of kernels.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


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
