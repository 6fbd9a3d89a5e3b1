"""Features of pictures for FID and KID: Inception-v3 as TensorFlow trained it, in PyTorch.

FID is defined by one network: TensorFlow's Inception of 2015-12-05, which pytorch-fid and torch-fidelity ported as one
file of weights. Features of any other network give other numbers, so nothing else is loaded here. The network differs
from torchvision's of the same name (Szegedy et al. 2016) where TensorFlow's graph does:

- pictures are resized to 299 × 299 as TensorFlow 1 resized them, corner to corner without half pixels, then
  (x - 128) / 128;
- an average pool divides by the pixels that lie in the picture;
- the last block takes the largest value of a neighbourhood where the one before takes the mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sgenet.checks import check_shape
from sgenet.errors import CheckpointError
from sgenet.evaluation.weights import read_known_weights

NUM_FEATURES = 2048
INPUT_SIZE = 299

INCEPTION_FILE = "pt_inception-2015-12-05-6726825d.pth"
"""What pytorch-fid calls the file; torch-fidelity's ``weights-inception-2015-12-05-6726825d.pth`` is the same bytes."""

INCEPTION_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"

Pool = Literal["none", "mean", "largest", "largest, halved"]


class _Layer(NamedTuple):
    """A convolution with its normalisation; stride 1 keeps the size, stride 2 takes whole windows only."""

    name: str
    channels: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1


class _Branch(NamedTuple):
    """Pooling, then layers one after another; ``fork``: the last ones stand side by side."""

    layers: tuple[_Layer, ...] = ()
    fork: tuple[_Layer, ...] = ()
    pool: Pool = "none"


class InceptionV3(nn.Module):
    """Pictures to features; the names of its weights are those of the file."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = _Convolution(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = _Convolution(32, 32, 3)
        self.Conv2d_2b_3x3 = _Convolution(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = _Convolution(64, 80, 1)
        self.Conv2d_4a_3x3 = _Convolution(80, 192, 3)
        self.Mixed_5b = _Block(192, _branches_35(32))
        self.Mixed_5c = _Block(256, _branches_35(64))
        self.Mixed_5d = _Block(288, _branches_35(64))
        self.Mixed_6a = _Block(288, _BRANCHES_TO_17)
        self.Mixed_6b = _Block(768, _branches_17(128))
        self.Mixed_6c = _Block(768, _branches_17(160))
        self.Mixed_6d = _Block(768, _branches_17(160))
        self.Mixed_6e = _Block(768, _branches_17(192))
        self.Mixed_7a = _Block(768, _BRANCHES_TO_8)
        self.Mixed_7b = _Block(1280, _branches_8("mean"))
        self.Mixed_7c = _Block(NUM_FEATURES, _branches_8("largest"))
        self.requires_grad_(False).eval()

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) uint8 to (B, 2048) float32: the last feature map's mean over pixels."""
        check_shape(image, "B 3 H W", "image")
        x = (resize_as_tensorflow(image.to(torch.float32), INPUT_SIZE) - 128) / 128
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = F.max_pool2d(x, 3, stride=2)
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x))
        x = F.max_pool2d(x, 3, stride=2)
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(x)))
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))))
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))
        return x.mean(dim=(2, 3))


def load_inception(path: Path, setting: str) -> InceptionV3:
    """The network with the weights that FID is defined by.

    Args:
        path: of the file of pytorch-fid or torch-fidelity.
        setting: the key that it comes from, for messages.

    Raises:
        CheckpointError: the file cannot be read, or is another one.
    """
    state = read_known_weights(path, INCEPTION_SHA256, INCEPTION_FILE, setting, score="FID")
    network = InceptionV3()
    try:
        network.load_state_dict({name: value for name, value in state.items() if not name.startswith("fc.")})
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{setting}: {path} does not hold the layers of Inception-v3 ({reason})") from None
    return network


@torch.inference_mode()
def picture_features(network: InceptionV3, images: Tensor) -> npt.NDArray[np.float32]:
    """Features of pictures (B, 3, H, W) uint8: (B, 2048) on the CPU.

    Pictures go through one at a time: kernels for other batch sizes round differently.
    """
    device = next(network.parameters()).device
    features: npt.NDArray[np.float32] = torch.cat([network(image[None].to(device)).cpu() for image in images]).numpy()
    return features


def resize_as_tensorflow(image: Tensor, size: int) -> Tensor:
    """Resize to a square as TensorFlow 1's ``resize_bilinear`` did: (B, C, H, W) to (B, C, size, size).

    Pixel i is taken at i × H / size, without the half pixel that centres it: the picture moves up and to the left.
    Making it smaller skips pixels.
    """
    for axis in (3, 2):
        length = image.shape[axis]
        position = torch.arange(size, dtype=torch.float32, device=image.device) * (length / size)
        lower = position.floor().to(torch.int64)
        upper = (lower + 1).clamp(max=length - 1)
        weight = (position - lower).view([-1, 1] if axis == 2 else [-1])
        image = torch.lerp(image.index_select(axis, lower), image.index_select(axis, upper), weight)
    return image


class _Convolution(nn.Module):
    """Convolution without bias, batch normalisation with TensorFlow's ε, ReLU."""

    def __init__(
        self,
        in_channels: int,
        channels: int,
        kernel: int | tuple[int, int],
        stride: int = 1,
        padding: int | tuple[int, int] = 0,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(channels, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) to (B, channels, H', W')."""
        return F.relu(self.bn(self.conv(x)))


class _Block(nn.Module):
    """Branches side by side, joined over channels in their order."""

    def __init__(self, in_channels: int, branches: Sequence[_Branch]) -> None:
        super().__init__()
        self._branches = branches
        for branch in branches:
            channels = in_channels
            for layer in branch.layers:
                self.add_module(layer.name, _convolution(channels, layer))
                channels = layer.channels
            for layer in branch.fork:
                self.add_module(layer.name, _convolution(channels, layer))

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) to (B, out, H', W')."""
        parts = []
        for branch in self._branches:
            y = _pooled(x, branch.pool)
            for layer in branch.layers:
                y = self.get_submodule(layer.name)(y)
            parts += [self.get_submodule(layer.name)(y) for layer in branch.fork] or [y]
        return torch.cat(parts, dim=1)


def _convolution(in_channels: int, layer: _Layer) -> _Convolution:
    rows, columns = layer.kernel
    padding = (rows // 2, columns // 2) if layer.stride == 1 else 0
    return _Convolution(in_channels, layer.channels, layer.kernel, layer.stride, padding)


def _pooled(x: Tensor, pool: Pool) -> Tensor:
    match pool:
        case "none":
            return x
        case "mean":
            return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
        case "largest":
            return F.max_pool2d(x, 3, stride=1, padding=1)
        case "largest, halved":
            return F.max_pool2d(x, 3, stride=2)


def _branches_35(pool_channels: int) -> list[_Branch]:
    """Of the blocks at 35 × 35."""
    return [
        _Branch((_Layer("branch1x1", 64),)),
        _Branch((_Layer("branch5x5_1", 48), _Layer("branch5x5_2", 64, (5, 5)))),
        _Branch(
            (
                _Layer("branch3x3dbl_1", 64),
                _Layer("branch3x3dbl_2", 96, (3, 3)),
                _Layer("branch3x3dbl_3", 96, (3, 3)),
            )
        ),
        _Branch((_Layer("branch_pool", pool_channels),), pool="mean"),
    ]


_BRANCHES_TO_17 = [
    _Branch((_Layer("branch3x3", 384, (3, 3), 2),)),
    _Branch(
        (
            _Layer("branch3x3dbl_1", 64),
            _Layer("branch3x3dbl_2", 96, (3, 3)),
            _Layer("branch3x3dbl_3", 96, (3, 3), 2),
        )
    ),
    _Branch(pool="largest, halved"),
]


def _branches_17(width: int) -> list[_Branch]:
    """Of the blocks at 17 × 17."""
    return [
        _Branch((_Layer("branch1x1", 192),)),
        _Branch(
            (
                _Layer("branch7x7_1", width),
                _Layer("branch7x7_2", width, (1, 7)),
                _Layer("branch7x7_3", 192, (7, 1)),
            )
        ),
        _Branch(
            (
                _Layer("branch7x7dbl_1", width),
                _Layer("branch7x7dbl_2", width, (7, 1)),
                _Layer("branch7x7dbl_3", width, (1, 7)),
                _Layer("branch7x7dbl_4", width, (7, 1)),
                _Layer("branch7x7dbl_5", 192, (1, 7)),
            )
        ),
        _Branch((_Layer("branch_pool", 192),), pool="mean"),
    ]


_BRANCHES_TO_8 = [
    _Branch((_Layer("branch3x3_1", 192), _Layer("branch3x3_2", 320, (3, 3), 2))),
    _Branch(
        (
            _Layer("branch7x7x3_1", 192),
            _Layer("branch7x7x3_2", 192, (1, 7)),
            _Layer("branch7x7x3_3", 192, (7, 1)),
            _Layer("branch7x7x3_4", 192, (3, 3), 2),
        )
    ),
    _Branch(pool="largest, halved"),
]


def _branches_8(pool: Pool) -> list[_Branch]:
    """Of the blocks at 8 × 8."""
    return [
        _Branch((_Layer("branch1x1", 320),)),
        _Branch(
            (_Layer("branch3x3_1", 384),),
            fork=(_Layer("branch3x3_2a", 384, (1, 3)), _Layer("branch3x3_2b", 384, (3, 1))),
        ),
        _Branch(
            (_Layer("branch3x3dbl_1", 448), _Layer("branch3x3dbl_2", 384, (3, 3))),
            fork=(_Layer("branch3x3dbl_3a", 384, (1, 3)), _Layer("branch3x3dbl_3b", 384, (3, 1))),
        ),
        _Branch((_Layer("branch_pool", 192),), pool=pool),
    ]
