"""Semantic-segmentation checkpoints of the ``transformers`` library, their classes mapped to a dataset's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sgenet.errors import CheckpointError, SettingsError, one_line
from sgenet.label_space import LabelSpace
from sgenet.losses.vgg import IMAGENET_MEAN, IMAGENET_STD


class MappedSegmenter(nn.Module):
    """A :class:`~sgenet.segmenters.segmenter.Segmenter` made of a network with classes of its own.

    The probability of a class is the sum over the network's classes that mean it. What they leave is the last class,
    *none of them*: it must not be shared out among classes that the network did not mean.

    Args:
        network: called with ``pixel_values`` (B, 3, H, W), gives an object with ``logits`` (B, K, h, w).
        class_map: the network's class → class of the label space; classes that are not named mean none of them.
        num_network_classes: K.
        num_classes: C of the label space.
        mean, std: of the network's normalisation of images in [0, 1].

    Raises:
        SettingsError: the map names classes that there are not, or none at all.
    """

    mean: Tensor
    std: Tensor
    membership: Tensor

    def __init__(
        self,
        network: nn.Module,
        class_map: Mapping[int, int],
        num_network_classes: int,
        num_classes: int,
        mean: tuple[float, ...] = IMAGENET_MEAN,
        std: tuple[float, ...] = IMAGENET_STD,
    ) -> None:
        super().__init__()
        problems = class_map_problems(class_map, num_network_classes, num_classes)
        if problems:
            raise SettingsError(problems)
        self.network = network
        membership = torch.zeros(num_classes + 1, num_network_classes)
        for source in range(num_network_classes):
            membership[class_map.get(source, num_classes), source] = 1.0
        self.register_buffer("membership", membership, persistent=False)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """From (B, 3, H, W) in [-1, 1] to (B, C + 1, H, W) logarithms of probabilities."""
        logits = self.network(pixel_values=(image * 0.5 + 0.5 - self.mean) / self.std).logits
        full_size = F.interpolate(logits.float(), image.shape[-2:], mode="bilinear", align_corners=False)
        probability = torch.einsum("ck,bkhw->bchw", self.membership, full_size.softmax(dim=1))
        return probability.clamp(min=torch.finfo(torch.float32).tiny).log()


def class_map_problems(class_map: Mapping[int, int], num_network_classes: int, num_classes: int) -> list[str]:
    """What is wrong with a class map, a sentence each."""
    problems = [
        f"class_map names the class {source}, but the checkpoint has 0 … {num_network_classes - 1}; remove it"
        for source in sorted(class_map)
        if not 0 <= source < num_network_classes
    ]
    problems += [
        f"class_map sends {source} to {target}, but the dataset has 0 … {num_classes - 1}; correct it"
        for source, target in sorted(class_map.items())
        if not 0 <= target < num_classes
    ]
    return problems if class_map else ["class_map is empty: no class of the checkpoint would mean one of the dataset's"]


def load_transformers(folder: Path, class_map: Mapping[int, int] | None, label_space: LabelSpace) -> MappedSegmenter:
    """Load a checkpoint that ``transformers`` wrote. Nothing is downloaded, and only safetensors are read.

    Args:
        folder: with ``config.json``, ``model.safetensors`` and, where it has one, ``preprocessor_config.json``.
        class_map: the checkpoint's classes → the dataset's; None maps classes of the same name.

    Raises:
        SettingsError: ``transformers`` is not installed, or the map does not fit.
        CheckpointError: the folder does not hold such a checkpoint.
    """
    try:
        from transformers import AutoModelForSemanticSegmentation
    except ImportError:
        raise SettingsError(
            [
                "segmenter: transformers needs the package of this name; install it with "
                "`pip install sgenet[transformers]`"
            ]
        ) from None
    try:
        network: Any = AutoModelForSemanticSegmentation.from_pretrained(
            str(folder), local_files_only=True, use_safetensors=True
        )
        names = {int(number): str(name) for number, name in network.config.id2label.items()}
        mean, std = _normalisation(folder)
    # A damaged folder raises whatever the library meets first.
    except Exception as error:
        raise CheckpointError(
            f"{folder} does not hold a semantic-segmentation checkpoint of transformers: {one_line(error)[:300]}"
        ) from None
    mapping = same_names(names, label_space) if class_map is None else class_map
    return MappedSegmenter(network, mapping, len(names), label_space.num_classes, mean, std).eval()


def same_names(names: Mapping[int, str], label_space: LabelSpace) -> dict[int, int]:
    """The class map of classes that are called the same, whatever their case."""
    ids = {name.lower(): number for number, name in enumerate(label_space.names)}
    return {source: ids[name.lower()] for source, name in names.items() if name.lower() in ids}


def _normalisation(folder: Path) -> tuple[tuple[float, ...], tuple[float, ...]]:
    path = folder / "preprocessor_config.json"
    if not path.exists():
        return IMAGENET_MEAN, IMAGENET_STD
    described = json.loads(path.read_text(encoding="utf-8"))
    return tuple(described.get("image_mean", IMAGENET_MEAN)), tuple(described.get("image_std", IMAGENET_STD))
