"""LPIPS: how different two pictures look, by calibrated features of AlexNet (Zhang et al. 2018, version 0.1)."""

from __future__ import annotations

from pathlib import Path

import torch
import torchmetrics.functional.image
from torch import Tensor, nn

from sgenet.checks import check_shape
from sgenet.errors import CheckpointError
from sgenet.evaluation.weights import read_known_weights

ALEXNET_FILE = "alexnet-owt-7be5be79.pth"
"""torchvision's ImageNet weights of AlexNet."""

ALEXNET_SHA256 = "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02"

_WIDTHS = (64, 192, 384, 256, 256)
_MEAN = (-0.030, -0.088, -0.188)  # of the authors, for pictures in [-1, 1]
_SCALE = (0.458, 0.448, 0.450)
_EPSILON = 1e-8

# They calibrate the features and come with torchmetrics, a file of 6 kB.
_CALIBRATION = Path(torchmetrics.functional.image.__file__).parent / "lpips_models" / "alex.pth"


class LPIPS(nn.Module):
    """Distance of pictures after each of AlexNet's five ReLUs, summed.

    Its convolutions are named as torchvision's ``features``, so that the file's state loads as it is; ``calibration``
    has a weight for every channel.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        one, two, three, four, five = _WIDTHS
        self.features = nn.Sequential(
            nn.Conv2d(3, one, 11, stride=4, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(one, two, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(two, three, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(three, four, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(four, five, 3, padding=1),
            nn.ReLU(),
        )
        self.calibration = nn.ParameterList(torch.zeros(1, width, 1, 1) for width in _WIDTHS)
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(_SCALE).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False).eval()

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Distances (B,) of pictures (B, 3, H, W) uint8; 0 for equal ones."""
        sizes = check_shape(first, "B 3 H W", "first")
        check_shape(second, "B 3 H W", "second", **sizes)
        x, y = ((image.to(torch.float32) / 127.5 - 1 - self.mean) / self.scale for image in (first, second))
        distance = torch.zeros(sizes["B"], device=first.device)
        weights = iter(self.calibration)
        for layer in self.features:
            x, y = layer(x), layer(y)
            if isinstance(layer, nn.ReLU):
                difference = (_unit_length(x) - _unit_length(y)) ** 2
                distance = distance + (difference * next(weights)).sum(dim=1).mean(dim=(1, 2))
        return distance


def load_lpips(path: Path, setting: str) -> LPIPS:
    """The network with the weights that LPIPS is defined by.

    Args:
        path: of torchvision's file of AlexNet.
        setting: the key that it comes from, for messages.

    Raises:
        CheckpointError: the file cannot be read, or is another one.
    """
    state = read_known_weights(path, ALEXNET_SHA256, ALEXNET_FILE, setting, score="LPIPS")
    calibration = torch.load(_CALIBRATION, map_location="cpu", weights_only=True)
    network = LPIPS()
    wanted = {name: value for name, value in state.items() if name.startswith("features.")}
    wanted |= {f"calibration.{layer}": calibration[f"lin{layer}.model.1.weight"] for layer in range(len(_WIDTHS))}
    try:
        network.load_state_dict(wanted)
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{setting}: {path} does not hold the layers of AlexNet ({reason})") from None
    return network


@torch.inference_mode()
def picture_distances(network: LPIPS, inpainted: Tensor, original: Tensor) -> list[float]:
    """LPIPS of each of the pictures (B, 3, H, W) uint8, one at a time, so that no result depends on the batch."""
    device = network.mean.device
    pairs = zip(inpainted.to(device), original.to(device), strict=True)
    return [float(network(one[None], other[None])) for one, other in pairs]


def _unit_length(features: Tensor) -> Tensor:
    return features / torch.sqrt(_EPSILON + features.square().sum(dim=1, keepdim=True))
