"""The VGG-16 part of Eq. 7."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from sgenet.errors import CheckpointError
from sgenet.layers.spade import upsample

_WIDTHS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512))
_TAPS = (1, 2, 3)
"""The blocks whose last activation counts: relu2_2, relu3_3, relu4_3."""
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


class VGG16Features(nn.Module):
    """Ψ of Eq. 7: activations relu2_2, relu3_3 and relu4_3 of VGG-16 (Simonyan & Zisserman 2015), frozen.

    Args:
        weights: ``imagenet`` (torchvision's weights, downloaded by it where allowed), ``random``
            (a fixed seed; for machines without the weights), or the path of a torchvision
            VGG-16 state file.

    Raises:
        CheckpointError: the weights cannot be had, or the file is not a VGG-16.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, weights: str) -> None:
        super().__init__()
        # Named and numbered as torchvision's `features`, so that its state loads as it is.
        layers: list[nn.Module] = []
        self.taps: list[int] = []
        in_channels = 3
        for block, widths in enumerate(_WIDTHS):
            if block:
                layers.append(nn.MaxPool2d(2))
            for width in widths:
                layers += [nn.Conv2d(in_channels, width, 3, padding=1), nn.ReLU()]
                in_channels = width
            if block in _TAPS:
                self.taps.append(len(layers) - 1)
        self.features = nn.Sequential(*layers)
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_STD).view(1, 3, 1, 1), persistent=False)
        self._load(weights)
        self.requires_grad_(False).eval()

    def _load(self, weights: str) -> None:
        if weights == "random":
            generator = torch.Generator().manual_seed(0)
            for layer in self.features:
                if isinstance(layer, nn.Conv2d):
                    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
                    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
            return
        state = _imagenet_state() if weights == "imagenet" else _read_state(Path(weights))
        wanted = {key: value for key, value in state.items() if key in self.state_dict()}
        try:
            self.load_state_dict(wanted)
        except RuntimeError:
            raise CheckpointError(
                f"losses.perceptual_weights: {weights} does not hold torchvision's VGG-16 (features.0.weight …)"
            ) from None

    def forward(self, image: Tensor) -> list[Tensor]:
        """Activations of pictures (B, 3, H, W) in [-1, 1], normalised here as the weights expect."""
        x = (image * 0.5 + 0.5 - self.mean) / self.std
        activations: list[Tensor] = []
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self.taps:
                activations.append(x)
        return activations


def perceptual_loss(target_features: Sequence[Tensor], predicted_features: Sequence[Tensor]) -> Tensor:
    """Σ_n of the mean absolute difference of the activations (Eq. 7, second term)."""
    pairs = zip(target_features, predicted_features, strict=True)
    return torch.stack([(target - predicted).abs().mean() for target, predicted in pairs]).sum()


def multi_scale_perceptual(
    vgg: VGG16Features, target: Tensor, images: Sequence[Tensor], scales: Sequence[int]
) -> Tensor:
    """Σ_l of :func:`perceptual_loss` of up(Ŷ^l) over the given scales (Eq. 10)."""
    size = (target.shape[2], target.shape[3])
    with torch.no_grad():
        target_features = vgg(target)
    terms = [perceptual_loss(target_features, vgg(upsample(images[scale], size))) for scale in scales]
    return torch.stack(terms).sum()


def _imagenet_state() -> dict[str, Tensor]:
    from torchvision.models import VGG16_Weights

    try:
        return dict(VGG16_Weights.IMAGENET1K_V1.get_state_dict(progress=True, check_hash=True))
    except OSError as error:
        raise CheckpointError(
            f"losses.perceptual_weights: the ImageNet weights of VGG-16 cannot be downloaded ({error}); "
            "give the path of the file, or 'random'"
        ) from None


def _read_state(path: Path) -> dict[str, Tensor]:
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:
        raise CheckpointError(f"losses.perceptual_weights: {path} cannot be read: {error}") from None
