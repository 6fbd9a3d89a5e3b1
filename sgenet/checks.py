"""Shape checks at the boundaries, with letters that bind."""

from __future__ import annotations

import torch


def check_shape(tensor: torch.Tensor, pattern: str, name: str = "tensor", **bound: int) -> dict[str, int]:
    """Check a tensor against a pattern such as ``"B 3 H W"`` and return what the letters bind to.

    A number must match exactly; a letter matches any size but the same one wherever it
    occurs, including the sizes passed in ``bound`` by an earlier check.

    Raises:
        ValueError: with the name, the pattern and the shape found.
    """
    tokens = pattern.split()
    sizes = dict(bound)
    matches = tensor.ndim == len(tokens)
    if matches:
        for token, size in zip(tokens, tensor.shape, strict=True):
            expected = int(token) if token.isdigit() else sizes.setdefault(token, size)
            matches = matches and expected == size
    if not matches:
        given = f" with {bound}" if bound else ""
        raise ValueError(f"{name} must have the shape ({pattern}){given}, found {tuple(tensor.shape)}")
    return sizes


def check_inputs(image: torch.Tensor, hole_mask: torch.Tensor, stride: int) -> dict[str, int]:
    """Check what a generator is called with: an image (B, 3, H, W) and its hole (B, 1, H, W).

    Raises:
        ValueError: a shape does not fit, or H or W is not divisible by ``stride``.
    """
    sizes = check_shape(image, "B 3 H W", "image")
    check_shape(hole_mask, "B 1 H W", "hole_mask", **sizes)
    if sizes["H"] % stride or sizes["W"] % stride:
        raise ValueError(f"height and width must be divisible by {stride}, found {sizes['H']}×{sizes['W']}")
    return sizes
