"""What numbers the networks compute with, on which devices, and what a device computes fast."""

from __future__ import annotations

import torch
from torch import nn

from sgenet.settings import Precision, PrecisionSetting


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """The context in which convolutions and products of a forward pass have this precision, whatever the weights'."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


def round_weights(network: nn.Module, precision: Precision) -> None:
    """Keep the weights of convolutions and linear layers in the precision they compute with, in a network to be used.

    In bfloat16 they take half the memory, and passes under :func:`autocast`, which the network needs from now on, no
    longer round them: their results are the same to the bit. All other parameters stay float32.
    """
    if precision == "float32":
        return
    for module in network.modules():
        # A weight that is computed from others, as spectral normalisation does, is no parameter of its module.
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear) and "weight" in module._parameters:
            rounded = module.weight.detach().to(torch.bfloat16)
            module.weight = nn.Parameter(rounded, requires_grad=module.weight.requires_grad)


def resolve_precision(setting: PrecisionSetting, device: torch.device) -> Precision:
    """What a setting means on a device; what is asked for by name stays, even where it is emulated.

    Emulation is no matter of percents: a step takes 15 to 20 times as long as in float32 on a processor that has
    AVX2 alone.
    """
    if setting != "auto":
        return setting
    return "bfloat16" if has_bfloat16(device) else "float32"


def device_problem(device: torch.device | str) -> str | None:
    """Why networks cannot compute on a device, and what to do; None where they can."""
    if str(device).startswith("cuda") and not torch.cuda.is_available():
        return f"--device {device} asks for a GPU, but PyTorch finds none; leave the option out to use the CPU"
    try:
        torch.empty(0, device=device)
    # Backends that are not built in, unknown names and numbers of GPUs that are not there: each fails in its own way.
    except (RuntimeError, AssertionError, ImportError):
        return f"PyTorch has no device '{device}' on this machine; give --device cpu, cuda, cuda:1, or auto"
    return None


def has_bfloat16(device: torch.device) -> bool:
    """Whether a device multiplies bfloat16 in hardware."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # x86-64 has it by these two names, ARM by the third.
    return any(torch.cpu.get_capabilities().get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))
