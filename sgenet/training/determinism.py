"""Same seed, same losses: the switches of PyTorch that this takes."""

from __future__ import annotations

import torch


def make_deterministic(device: torch.device) -> None:
    """Ask for deterministic kernels, to the bit on one machine.

    On a GPU the cuBLAS workspace must be fixed before CUDA starts: set
    ``CUBLAS_WORKSPACE_CONFIG=:4096:8`` in the environment of the process.
    """
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    if device.type == "cuda":
        # Some kernels have no deterministic backward on CUDA (reflection padding): warn, rather than refuse to train.
        torch.use_deterministic_algorithms(True, warn_only=True)
