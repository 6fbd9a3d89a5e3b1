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
