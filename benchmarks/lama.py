"""LaMa-Fourier (Suvorov et al., WACV 2022), to be measured against: its generator, and its training step.

Written from the paper and the published settings, for what they cost: no weights are published here, and none of
the losses' are needed. As in `sgenet.training.step`, one forward of the generator serves both sides of a step.
Nothing averages the weights, as published. Training leaves memory in PyTorch's own layout: channels last, which
SGE-Net is trained in, takes a step here 5 to 15 % longer without bfloat16 and AVX-512.
"""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import resnet50

from sgenet.batch import InpaintingBatch
from sgenet.losses.adversarial import feature_matching_loss, r1_penalty
from sgenet.losses.vgg import IMAGENET_MEAN, IMAGENET_STD
from sgenet.precision import autocast
from sgenet.settings import Precision

PUBLISHED_PARAMETERS = 27_000_000
_WIDTH = 64
_NUM_DOWNSAMPLINGS = 3
_NUM_BLOCKS = 9
_GLOBAL_SHARE = 0.75

_CRITIC_WIDTH, _CRITIC_LAYERS, _WIDEST = 64, 4, 512

_RECONSTRUCTION, _ADVERSARIAL, _MATCHING, _PERCEPTUAL, _R1 = 10.0, 10.0, 100.0, 30.0, 0.001
_GENERATOR_RATE, _CRITIC_RATE = 1e-3, 1e-4

LocalGlobal = tuple[Tensor, Tensor]


class FourierUnit(nn.Module):
    """Convolution, batch normalisation and ReLU of the spectrum, real and imaginary parts as channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Sequential(
            nn.Conv2d(2 * channels, 2 * channels, 1, bias=False), nn.BatchNorm2d(2 * channels), nn.ReLU(inplace=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, H, W); the transforms run in float32."""
        spectrum = torch.fft.rfft2(x.float(), norm="ortho")
        real, imaginary = self.mix(torch.cat((spectrum.real, spectrum.imag), dim=1)).float().chunk(2, dim=1)
        mixed = torch.complex(real.contiguous(), imaginary.contiguous())
        back: Tensor = torch.fft.irfft2(mixed, s=x.shape[2:], norm="ortho")
        return back.to(x.dtype)


class SpectralTransform(nn.Module):
    """Half of the channels through a Fourier unit, with a shortcut around it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.reduce = nn.Sequential(nn.Conv2d(channels, half, 1, bias=False), nn.BatchNorm2d(half), nn.ReLU(True))
        self.unit = FourierUnit(half)
        self.expand = nn.Conv2d(half, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, H, W)."""
        reduced = self.reduce(x)
        expanded: Tensor = self.expand(reduced + self.unit(reduced))
        return expanded


class FastFourierConvolution(nn.Module):
    """Local and global channels, each from both: 3×3 convolutions, and from global to global the spectrum.

    The two convolutions that read the local channels are one here, and what is padded is padded once.
    """

    def __init__(self, local_width: int, global_width: int) -> None:
        super().__init__()
        self.widths = (local_width, global_width)
        self.from_local = nn.Conv2d(local_width, local_width + global_width, 3, bias=False)
        self.global_to_local = nn.Conv2d(global_width, local_width, 3, bias=False)
        self.global_to_global = SpectralTransform(global_width)
        self.local_norm = nn.BatchNorm2d(local_width)
        self.global_norm = nn.BatchNorm2d(global_width)

    def forward(self, x: LocalGlobal) -> LocalGlobal:
        """(B, C, H, W) and (B, C', H, W) → the same shapes."""
        of_local, to_global = self.from_local(_reflect(x[0])).split(self.widths, dim=1)
        of_global = self.global_to_local(_reflect(x[1]))
        return (
            F.relu_(self.local_norm(of_local + of_global)),
            F.relu_(self.global_norm(to_global + self.global_to_global(x[1]))),
        )


class FourierResidualBlock(nn.Module):
    """Two fast Fourier convolutions with a shortcut around them."""

    def __init__(self, local_width: int, global_width: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(*(FastFourierConvolution(local_width, global_width) for _ in range(2)))

    def forward(self, x: LocalGlobal) -> LocalGlobal:
        """(B, C, H, W) and (B, C', H, W) → the same shapes."""
        local, spread = self.convolutions(x)
        return x[0] + local, x[1] + spread


class LamaGenerator(nn.Module):
    """Fills the hole: three downsamplings, nine Fourier blocks at 1/8 of the size, three upsamplings."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), *_normalised(nn.Conv2d(4, _WIDTH, 7, bias=False), _WIDTH)]
        width = _WIDTH
        for _ in range(_NUM_DOWNSAMPLINGS):
            convolution = nn.Conv2d(width, 2 * width, 3, 2, padding=1, padding_mode="reflect", bias=False)
            width *= 2
            layers += _normalised(convolution, width)
        self.encode = nn.Sequential(*layers)
        global_width = round(_GLOBAL_SHARE * width)
        self.widths = (width - global_width, global_width)
        self.blocks = nn.Sequential(*(FourierResidualBlock(*self.widths) for _ in range(_NUM_BLOCKS)))
        layers = []
        for _ in range(_NUM_DOWNSAMPLINGS):
            layers += _normalised(nn.ConvTranspose2d(width, width // 2, 3, 2, 1, 1, bias=False), width // 2)
            width //= 2
        self.decode = nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(width, 3, 7))

    def forward(self, image: Tensor, hole_mask: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] and (B, 1, H, W), 1 = missing, H and W divisible by 8 → (B, 3, H, W) in [-1, 1]."""
        encoded = self.encode(torch.cat((image * (1 - hole_mask), hole_mask), dim=1))
        local, spread = self.blocks(encoded.split(self.widths, dim=1))
        return torch.tanh(self.decode(torch.cat((local, spread), dim=1)).float())


class LamaCritic(nn.Module):
    """The patch critic of pix2pixHD (Wang et al., CVPR 2018) at one scale, with batch normalisation."""

    def __init__(self) -> None:
        super().__init__()
        layers = [nn.Sequential(nn.Conv2d(3, _CRITIC_WIDTH, 4, 2, 2), nn.LeakyReLU(0.2, inplace=True))]
        width = _CRITIC_WIDTH
        for stride in (2,) * (_CRITIC_LAYERS - 1) + (1,):
            wider = min(2 * width, _WIDEST)
            convolution = nn.Conv2d(width, wider, 4, stride, 2)
            layers.append(nn.Sequential(convolution, nn.BatchNorm2d(wider), nn.LeakyReLU(0.2, inplace=True)))
            width = wider
        self.layers = nn.ModuleList(layers)
        self.verdict = nn.Conv2d(width, 1, 4, 1, 2)

    def forward(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(B, 3, H, W) → patch logits (B, 1, h, w) and the layers' activations."""
        features: list[Tensor] = []
        for layer in self.layers:
            image = layer(image)
            features.append(image)
        return self.verdict(image).float(), features


class HighReceptiveFieldLoss(nn.Module):
    """Squared distance of the activations of a dilated ResNet-50, frozen; its weights here are random."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        network = resnet50(weights=None, replace_stride_with_dilation=[False, True, True])
        self.stem = nn.Sequential(network.conv1, network.bn1, network.relu, network.maxpool)
        self.stages = nn.ModuleList((network.layer1, network.layer2, network.layer3, network.layer4))
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1))
        self.requires_grad_(False).eval()

    def forward(self, target: Tensor, predicted: Tensor) -> Tensor:
        """Pictures (B, 3, H, W) in [-1, 1] → a scalar."""
        with torch.no_grad():
            wanted = self._activations(target)
        pairs = zip(wanted, self._activations(predicted), strict=True)
        return torch.stack([F.mse_loss(found, target) for target, found in pairs]).sum()

    def _activations(self, image: Tensor) -> list[Tensor]:
        x = self.stem((image * 0.5 + 0.5 - self.mean) / self.std)
        found: list[Tensor] = []
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return found


class LamaTraining:
    """Generator, critic, perceptual loss and optimizers; :meth:`step` updates both networks once."""

    def __init__(self, precision: Precision, device: str = "cpu") -> None:
        self.device = torch.device(device)
        self.precision = precision
        self.generator, self.critic, self.perceptual = LamaGenerator(), LamaCritic(), HighReceptiveFieldLoss()
        for network in (self.generator, self.critic, self.perceptual):
            network.to(self.device)
        self.generator_optimizer = torch.optim.Adam(self.generator.parameters(), lr=_GENERATOR_RATE)
        self.critic_optimizer = torch.optim.Adam(self.critic.parameters(), lr=_CRITIC_RATE)

    def step(self, batch: InpaintingBatch) -> None:
        """The critic's side on the detached prediction, then the generator's."""
        batch = replace(batch, image=batch.image.contiguous())
        with autocast(self.device, self.precision):
            predicted = self.generator(batch.image, batch.hole_mask)
            critic_loss = self._critic_loss(batch, predicted.detach())
        _update(self.critic_optimizer, critic_loss)
        self.critic.requires_grad_(False)
        with autocast(self.device, self.precision):
            generator_loss = self._generator_loss(batch, predicted)
        _update(self.generator_optimizer, generator_loss)
        self.critic.requires_grad_(True)

    def _critic_loss(self, batch: InpaintingBatch, predicted: Tensor) -> Tensor:
        """Patches of the prediction count as real where they lie outside the hole."""
        image = batch.image.detach().requires_grad_()
        # A copy, since FlopCounterMode cannot follow a gradient that ends at what a module was given.
        real, (fake, _) = self.critic(image.clone())[0], self.critic(predicted)
        missing = F.interpolate(batch.hole_mask, size=fake.shape[2:])
        of_fake = missing * F.softplus(fake) + (1 - missing) * F.softplus(-fake)
        return F.softplus(-real).mean() + of_fake.mean() + _R1 * r1_penalty(image, [real])

    def _generator_loss(self, batch: InpaintingBatch, predicted: Tensor) -> Tensor:
        """L1 of what is known, the non-saturating adversarial term, feature matching and the perceptual loss."""
        known_error = ((batch.image - predicted).abs() * (1 - batch.hole_mask)).mean()
        logits, features = self.critic(predicted)
        with torch.no_grad():
            _, wanted = self.critic(batch.image)
        perceptual: Tensor = self.perceptual(batch.image, predicted)
        return (
            _RECONSTRUCTION * known_error
            + _ADVERSARIAL * F.softplus(-logits).mean()
            + _MATCHING * feature_matching_loss(wanted, features)
            + _PERCEPTUAL * perceptual
        )


def _update(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def _normalised(convolution: nn.Module, width: int) -> list[nn.Module]:
    return [convolution, nn.BatchNorm2d(width), nn.ReLU(inplace=True)]


def _reflect(x: Tensor) -> Tensor:
    return F.pad(x, (1, 1, 1, 1), mode="reflect")
