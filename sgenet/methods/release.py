"""A trained model as two files: ``model.safetensors`` (the averaged weights) and ``model.json`` (what they are)."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from sgenet.errors import CheckpointError, one_line
from sgenet.label_space import LabelSpace
from sgenet.methods.build import build_generator
from sgenet.methods.files import DESCRIPTION, WEIGHTS
from sgenet.methods.recipe import Recipe
from sgenet.methods.registry import METHODS

FORMAT_VERSION = 2
_T = TypeVar("_T")


@dataclass(frozen=True)
class Released:
    """A model as it was released.

    Attributes:
        method_name: a key of :data:`sgenet.methods.registry.METHODS`.
        generator: in evaluation mode, with the averaged weights, on the CPU.
        recipe: how it was trained.
        label_space: what its segmentation means.
    """

    method_name: str
    generator: nn.Module
    recipe: Recipe
    label_space: LabelSpace


def save_released(
    folder: Path, method_name: str, generator: nn.Module, recipe: Recipe, label_space: LabelSpace
) -> None:
    """Write both files into ``folder`` (made if absent), the description last."""
    write_network(folder, generator, {"method": method_name}, recipe, label_space)


def load_released(folder: Path) -> Released:
    """Read a model written by :func:`save_released`.

    Raises:
        CheckpointError: a file is missing or damaged, or its weights do not fit its description.
    """
    with damage_refused(folder, "model"):
        content = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        if content["format_version"] != FORMAT_VERSION or content["method"] not in METHODS:
            raise CheckpointError(
                f"{folder / DESCRIPTION} was written by another version of this project; train the model again"
            )
        recipe, label_space = from_dict(Recipe, content["recipe"]), described_labels(content)
        generator = build_generator(content["method"], recipe, label_space.num_classes)
        generator.load_state_dict(load_file(folder / WEIGHTS))
    return Released(content["method"], generator.eval(), recipe, label_space)


@contextmanager
def damage_refused(folder: Path, what: str) -> Iterator[None]:
    """Turn what goes wrong while a folder is read into a :class:`CheckpointError` that names it."""
    weights, description = folder / WEIGHTS, folder / DESCRIPTION
    try:
        yield
    except FileNotFoundError:
        missing = weights if description.exists() else description
        raise CheckpointError(
            f"{missing} does not exist; a {what} is a folder with {DESCRIPTION} and {WEIGHTS}"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"the {what} in {folder} is damaged: {one_line(error)[:300]}") from None


def write_network(folder: Path, network: nn.Module, name: Mapping[str, str], recipe: Any, labels: LabelSpace) -> None:
    """Write a network's state and what describes it into ``folder`` (made if absent), the description last."""
    settings = {"recipe": dataclasses.asdict(recipe), "label_space": dataclasses.asdict(labels)}
    content = {"format_version": FORMAT_VERSION, **name, **settings}
    folder.mkdir(parents=True, exist_ok=True)
    weights, description = folder / f"{WEIGHTS}.partial", folder / f"{DESCRIPTION}.partial"
    description.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    save_file({key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}, weights)
    # safetensors writes for its owner alone, and who serves a model is often not who trained it.
    shutil.copymode(description, weights)
    weights.replace(folder / WEIGHTS)
    description.replace(folder / DESCRIPTION)


def described_labels(content: Mapping[str, Any]) -> LabelSpace:
    """The label space of a description."""
    names, colours = content["label_space"]["names"], content["label_space"]["colours"]
    return LabelSpace(tuple(names), tuple((r, g, b) for r, g, b in colours))


def from_dict(kind: type[_T], values: dict[str, Any]) -> _T:
    """Rebuild a settings dataclass from ``dataclasses.asdict`` after a trip through JSON."""
    hints = get_type_hints(kind)
    arguments: dict[str, Any] = {}
    for key, value in values.items():
        hint = hints[key]
        if dataclasses.is_dataclass(hint):
            arguments[key] = from_dict(hint, value)  # type: ignore[arg-type]
        else:
            arguments[key] = tuple(value) if isinstance(value, list) else value
    return kind(**arguments)
