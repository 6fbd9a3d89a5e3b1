"""A hole filled with the smoothest surface through what is known around it, on any device and in any batch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sgenet.layers.resizing import resize

_LEVELS = 4
"""Halvings before the first relaxation; sizes must be divisible by 2 to this power."""

_COARSEST_SWEEPS = 32
_SWEEPS = 8
_SMALLEST_SHARE = 1e-6


@torch.no_grad()
def membrane(image: Tensor, hole_mask: Tensor) -> Tensor:
    """Solve Laplace's equation in the hole, the known pixels being its boundary, from coarse to fine.

    Each level starts from the coarser one's solution and is relaxed by Jacobi's sweeps: not to the end, which
    nobody would see, but to within a few grey levels, in a fixed number of operations on the whole batch. No
    gradient passes.

    Args:
        image: (B, 3, H, W) float, H and W divisible by 16; what lies in the hole is not seen.
        hole_mask: (B, 1, H, W), 1 = missing. Where nothing is known, the surface is 0.

    Returns:
        (B, 3, H, W): the image outside the hole; inside, no value outside the range of the known ones.
    """
    known = (hole_mask <= 0.5).to(image.dtype)
    levels = [(torch.where(known > 0, image, 0.0), known)]
    for _ in range(_LEVELS):
        # Mean of the known pixels under each coarse one, weighed by how many there are.
        total, share = (F.avg_pool2d(tensor, 2) for tensor in (levels[-1][0] * levels[-1][1], levels[-1][1]))
        levels.append((total / share.clamp(min=_SMALLEST_SHARE), share))

    coarsest, share = levels[-1]
    mean = (coarsest * share).sum((2, 3), keepdim=True) / share.sum((2, 3), keepdim=True).clamp(min=_SMALLEST_SHARE)
    surface = _relaxed(mean.expand_as(coarsest), coarsest, share > 0, _COARSEST_SWEEPS)
    for values, share in reversed(levels[:-1]):
        finer = resize(surface, values.shape[2:])
        surface = _relaxed(finer, values, share > 0, _SWEEPS)
    return surface


def _relaxed(surface: Tensor, values: Tensor, known: Tensor, sweeps: int) -> Tensor:
    """Each unknown pixel becomes the mean of its four neighbours, so many times; at the border it is its own."""
    # A quarter of each of the four, computed on the device: a GPU would wait for numbers of the host.
    distance = torch.arange(-1, 2, device=surface.device).abs()
    quarter = (distance[:, None] + distance == 1).to(surface.dtype) / 4
    neighbours = quarter.expand(surface.shape[1], 1, 3, 3)
    surface = torch.where(known, values, surface)
    # A few grey levels are more than bfloat16 can tell apart.
    with torch.autocast(surface.device.type, enabled=False):
        for _ in range(sweeps):
            # A convolution, though it multiplies by 0 too: an exported graph has these sweeps one after the other.
            padded = F.pad(surface, (1, 1, 1, 1), mode="replicate")
            surface = torch.where(known, values, F.conv2d(padded, neighbours, groups=surface.shape[1]))
    return surface
