"""Full-state checkpoints: one file and its SHA-256 beside it, written atomically."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch.utils._pytree import tree_leaves, tree_map_only

from sgenet.errors import CheckpointError, one_line
from sgenet.training.state import TrainingState


def digest_path(path: Path) -> Path:
    """Where the checksum of a checkpoint lies: ``<path>.sha256``."""
    return path.with_name(path.name + ".sha256")


def save_checkpoint(state: TrainingState, path: Path) -> None:
    """Write the whole state to ``path``; the checksum appears last, and only then the checkpoint counts."""
    write_checkpoint(state.state_dict(), path)


def write_checkpoint(content: dict[str, Any], path: Path) -> str:
    """The same of a state's ``state_dict``; gives back its SHA-256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        # An open file, since PyTorch would write a path's name into it: equal states have equal checkpoints.
        torch.save(content, file)
    digest = _file_digest(partial)
    partial.replace(path)
    partial = path.with_name(path.name + ".sha256.partial")
    partial.write_text(digest + "\n", encoding="ascii")
    partial.replace(digest_path(path))
    return digest


def on_host(content: Any) -> Any:
    """A copy of a ``state_dict`` in the host's memory, which the training does not change any more.

    From a GPU all tensors are on their way at once, and are waited for together.
    """
    copied = tree_map_only(torch.Tensor, _copied, content)
    for device in {leaf.device for leaf in tree_leaves(content) if isinstance(leaf, torch.Tensor) and leaf.is_cuda}:
        torch.cuda.synchronize(device)
    return copied


def _copied(tensor: torch.Tensor) -> torch.Tensor:
    if not tensor.is_cuda:
        return tensor.detach().clone()
    # Pinned, without which each copy would be waited for on its own.
    kept = torch.empty_like(tensor, device="cpu", pin_memory=True)
    return kept.copy_(tensor.detach(), non_blocking=True)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read and verify a checkpoint without building anything; tensors on the CPU.

    Raises:
        CheckpointError: it is missing, incomplete, damaged, or not one of ours.
    """
    try:
        expected = digest_path(path).read_text(encoding="ascii").strip()
        if _file_digest(path) != expected:
            raise CheckpointError(f"checkpoint {path} does not match its checksum; it is damaged, remove it")
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"{error.filename} does not exist; the checkpoint is missing or incomplete") from None
    except CheckpointError:
        raise
    except Exception as error:
        raise CheckpointError(f"checkpoint {path} cannot be read: {one_line(error)[:300]}") from None
    return state


def load_checkpoint(state: TrainingState, path: Path) -> None:
    """Restore ``state`` from a checkpoint of the same method and recipe.

    Raises:
        CheckpointError: as :func:`read_checkpoint`, or its weights belong to another network.
    """
    content = read_checkpoint(path)
    try:
        state.load_state_dict(content)
    except (KeyError, RuntimeError, ValueError) as error:
        message = one_line(error)[:300]
        raise CheckpointError(f"checkpoint {path} belongs to another network or recipe: {message}") from None


def _file_digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
