"""Where a process computes."""

from __future__ import annotations

from typing import Literal

import torch

from pipelines.parallel.parallel import cluster_is_addressed
from pipelines.settings.params import RunSettings
from sgenet.errors import SettingsError
from sgenet.precision import has_bfloat16
from sgenet.settings import Precision

Device = Literal["cpu", "cuda"]


def device_of(run: RunSettings) -> Device:
    """What the settings ask for, in this process.

    Raises:
        SettingsError: a GPU, and there is none.
    """
    device: Device = "cuda" if run.use_gpu else "cpu"
    check_device(device)
    return device


def device_of_workers(run: RunSettings) -> Device:
    """The same where :func:`~pipelines.parallel.parallel.parallel_map` has the work done.

    The GPUs of a cluster are its workers', and the driver may have none: there :func:`check_device` is theirs to call.

    Raises:
        SettingsError: a GPU, and there is none where the work is done on this machine.
    """
    if cluster_is_addressed():
        return "cuda" if run.use_gpu else "cpu"
    return device_of(run)


def precision_problem(device: str, precision: Precision) -> str | None:
    """Why a device should not compute with a precision that was asked for; None where it has it."""
    if precision == "bfloat16" and not has_bfloat16(torch.device(device)):
        return f"--precision bfloat16 would be emulated on {device} here, and slow; leave it out"
    return None


def found_device() -> Device:
    """A GPU where this process has one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def check_device(device: str) -> None:
    """Raise a SettingsError where ``device`` is a GPU and this process can use none, with the reason."""
    problem = None if device == "cpu" else gpu_problem()
    if problem is not None:
        raise SettingsError([f"run.use_gpu is true, but {problem}, or set run.use_gpu to false"])


def gpu_problem() -> str | None:
    """Why PyTorch can use no GPU in this process, and what to do; None where it can."""
    if torch.version.cuda is None:
        return f"PyTorch {torch.__version__} is built without CUDA; install it with CUDA"
    if torch.cuda.is_available():
        return None
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except (RuntimeError, AssertionError) as error:
        reason = str(error).split(". ")[0].strip().rstrip(".")
    else:
        reason = "CUDA starts and finds no device"
    return (
        f"PyTorch finds no GPU ({reason}); install an NVIDIA driver for CUDA {torch.version.cuda} or newer, give the "
        "container its GPUs"
    )
