"""The convolutions of VGG-16 and VGG-19 (Simonyan & Zisserman 2015), frozen, and where their weights come from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from sgenet.errors import CheckpointError, one_line

Depth = Literal[16, 19]

_CONVOLUTIONS: dict[Depth, tuple[int, ...]] = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
_WIDTHS = (64, 128, 256, 512, 512)
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Of ImageNet's images in [0, 1], by channel: what networks with its weights expect to be taken off."""


class VGG(nn.Module):
    """VGG up to the deepest activation that is asked for.

    Args:
        depth: 16 or 19.
        deepest: name of that activation, such as ``relu4_3``: the third of the fourth block.
        weights: ``imagenet`` (torchvision's weights, downloaded by it where allowed), ``random``
            (a fixed seed; for machines without the weights), or the path of a torchvision state file.
        setting: the key that ``weights`` comes from, for messages.

    Raises:
        CheckpointError: the weights cannot be had, or the file is not this VGG.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, depth: Depth, deepest: str, weights: str, setting: str) -> None:
        super().__init__()
        # Numbered as torchvision's `features`, so that its state loads as it is.
        layers: list[nn.Module] = []
        self.positions: dict[str, int] = {}
        in_channels = 3
        for block, (width, count) in enumerate(zip(_WIDTHS, _CONVOLUTIONS[depth], strict=True), start=1):
            for number in range(1, count + 1):
                layers += [nn.Conv2d(in_channels, width, 3, padding=1), nn.ReLU(inplace=True)]
                in_channels = width
                self.positions[f"relu{block}_{number}"] = len(layers) - 1
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers[: self.positions[deepest] + 1])
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)
        self._load(depth, weights, setting)
        self.requires_grad_(False).eval()

    def activations(self, image: Tensor, names: Sequence[str], *, normalised: bool = True) -> list[Tensor]:
        """Named activations, in the network's order, of images (B, 3, H, W) in [-1, 1].

        Args:
            normalised: by ImageNet's mean and deviation, which torchvision's weights were trained with; False: the
                network sees [0, 1], as in EdgeConnect.
        """
        wanted = {self.positions[name] for name in names}
        x = image * 0.5 + 0.5
        if normalised:
            x = (x - self.mean) / self.std
        found: list[Tensor] = []
        for position, layer in enumerate(self.features[: max(wanted) + 1]):
            x = layer(x)
            if position in wanted:
                found.append(x)
        return found

    def _load(self, depth: Depth, weights: str, setting: str) -> None:
        if weights == "random":
            self._initialise()
            return
        state = read_vgg_state(depth, weights, setting)
        wanted = {key: value for key, value in state.items() if key in self.state_dict()}
        try:
            self.load_state_dict(wanted)
        except RuntimeError:
            raise CheckpointError(
                f"{setting}: {weights} does not hold torchvision's VGG-{depth} (features.0.weight …)"
            ) from None

    def _initialise(self) -> None:
        generator = torch.Generator().manual_seed(0)
        for layer in self.features:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]


def read_vgg_state(depth: Depth, weights: str, setting: str) -> dict[str, Tensor]:
    """The state of torchvision's VGG (``features.0.weight`` …, ``classifier.0.weight`` …).

    Args:
        weights: ``imagenet`` (torchvision's weights, downloaded by it where allowed), or the path of a state file.
        setting: the key that ``weights`` comes from, for messages.

    Raises:
        CheckpointError: they cannot be had.
    """
    if weights != "imagenet":
        return read_state(Path(weights), setting)
    try:
        return dict(_imagenet(depth).get_state_dict(progress=True, check_hash=True))
    except OSError as error:
        raise CheckpointError(
            f"{setting}: the ImageNet weights of VGG-{depth} cannot be downloaded ({error}); "
            "give the path of the file, or 'random'"
        ) from None


def read_state(path: Path, setting: str) -> dict[str, Tensor]:
    """The tensors of a state file: safetensors, or PyTorch's without pickles.

    Raises:
        CheckpointError: it is missing or damaged.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except FileNotFoundError:
        raise CheckpointError(f"{setting}: {path} does not exist; correct the path") from None
    except Exception as error:  # neither format says which kinds of errors a damaged file raises
        raise CheckpointError(f"{setting}: {path} cannot be read: {one_line(error)[:200]}") from None


def imagenet_file(depth: Depth) -> Path:
    """Where torchvision keeps its weights of a VGG, once it has downloaded them; the name holds their hash."""
    return Path(torch.hub.get_dir(), "checkpoints", _imagenet(depth).url.rpartition("/")[2])


def _imagenet(depth: Depth) -> Any:
    """Torchvision's weights, for which it is imported no earlier."""
    from torchvision.models import VGG16_Weights, VGG19_Weights

    return VGG16_Weights.IMAGENET1K_V1 if depth == 16 else VGG19_Weights.IMAGENET1K_V1
