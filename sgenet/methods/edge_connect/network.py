"""EdgeConnect: one network completes the edges, another paints along them; each has a discriminator."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from sgenet.batch import Prediction
from sgenet.checks import check_inputs
from sgenet.layers.discriminator import DiscriminatorOutput, PatchDiscriminator
from sgenet.layers.normalisation import instance_norm
from sgenet.methods.edge_connect.edges import canny_edges, to_gray
from sgenet.methods.edge_connect.settings import EdgeConnectSettings
from sgenet.settings import DiscriminatorSettings

STRIDE = 4
"""Heights and widths must be divisible by this."""

_INITIAL_STD = 0.02
_WHITE = 1.0
"""What both stages see in the hole."""


class EdgeConnectGenerator(nn.Module):
    """Both stages. No gradient passes from the image to the edge stage: each has its own losses."""

    def __init__(self, settings: EdgeConnectSettings) -> None:
        super().__init__()
        self.sigma = settings.sigma
        self.edge_stage = EdgeConnectStage(3, 1, settings.width, settings.num_blocks, spectral=True)
        self.image_stage = EdgeConnectStage(4, 3, settings.width, settings.num_blocks, spectral=False)
        # What is done outside PyTorch cannot be compiled. Said here, not where the function is defined: saying so
        # loads the compiler, which takes as long as PyTorch itself, and every method imports this module.
        self._canny_edges = torch.compiler.disable(canny_edges)  # type: ignore[no-untyped-call]

    def forward(self, image: Tensor, hole_mask: Tensor, edges: Tensor | None = None) -> Prediction:
        """Fill the hole.

        Args:
            image: (B, 3, H, W) in [-1, 1], H and W divisible by 4 and at least 16; what lies in the
                hole is not seen.
            hole_mask: (B, 1, H, W), 1 = missing.
            edges: (B, 1, H, W) of 0 and 1, of the whole image: what the image stage paints along in training before
                it paints along drawn ones.

        Returns:
            The image; ``auxiliary["edges"]`` is what the edge stage drew, (B, 1, H, W) in [0, 1],
            with its gradient.
        """
        check_inputs(image, hole_mask, STRIDE)
        gray = to_gray(torch.where(hole_mask > 0.5, 0.0, image))
        return self.fill(image, hole_mask, self._canny_edges(gray, self.sigma, hole_mask), edges)

    def fill(
        self, image: Tensor, hole_mask: Tensor, known_edges: Tensor, true_edges: Tensor | None = None
    ) -> Prediction:
        """Fill the hole from edges that are drawn already, (B, 1, H, W) of 0 and 1; see :meth:`forward`."""
        corrupted = torch.where(hole_mask > 0.5, _WHITE, image)
        gray = to_gray(corrupted)
        edges = torch.sigmoid(self.edge_stage(torch.cat((gray, known_edges, hole_mask), dim=1)).float())
        in_hole = edges.detach() if true_edges is None else true_edges
        guide = torch.where(hole_mask > 0.5, in_hole, known_edges)
        drawn = torch.tanh(self.image_stage(torch.cat((corrupted, guide), dim=1)).float())
        return Prediction(images=(drawn,), auxiliary={"edges": edges})


class EdgeConnectStage(nn.Module):
    """Encoder, dilated residual blocks and decoder with instance normalisation (after Johnson et al., ECCV 2016).

    Only the last convolution has a bias: the normalisation after the others would take it away again.

    Args:
        in_channels, out_channels: of the stage; nothing is applied to what comes out.
        width: channels after the first convolution (published: 64).
        num_blocks: residual blocks at a quarter of the size (published: 8).
        spectral: normalise all weights spectrally.
    """

    def __init__(self, in_channels: int, out_channels: int, width: int, num_blocks: int, *, spectral: bool) -> None:
        super().__init__()
        self.stem = _initialised(nn.Conv2d(in_channels, width, 7, bias=False), spectral)
        self.down_1 = _initialised(nn.Conv2d(width, 2 * width, 4, 2, padding=1, bias=False), spectral)
        self.down_2 = _initialised(nn.Conv2d(2 * width, 4 * width, 4, 2, padding=1, bias=False), spectral)
        self.blocks = nn.ModuleList(DilatedBlock(4 * width, spectral=spectral) for _ in range(num_blocks))
        self.up_1 = _initialised(nn.ConvTranspose2d(4 * width, 2 * width, 4, 2, padding=1, bias=False), spectral)
        self.up_2 = _initialised(nn.ConvTranspose2d(2 * width, width, 4, 2, padding=1, bias=False), spectral)
        self.head = _initialised(nn.Conv2d(width, out_channels, 7), spectral)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) → (B, out_channels, H, W); H and W divisible by 4."""
        x = F.relu(instance_norm(self.stem(_reflect(x, 3))))
        x = F.relu(instance_norm(self.down_1(x)))
        x = F.relu(instance_norm(self.down_2(x)))
        for block in self.blocks:
            x = block(x)
        x = F.relu(instance_norm(self.up_1(x)))
        x = F.relu(instance_norm(self.up_2(x)))
        return self.head(_reflect(x, 3))


class DilatedBlock(nn.Module):
    """x + norm(conv(relu(norm(conv(x))))), the first convolution dilated by 2."""

    def __init__(self, channels: int, *, spectral: bool) -> None:
        super().__init__()
        self.conv_1 = _initialised(nn.Conv2d(channels, channels, 3, dilation=2, bias=False), spectral)
        self.conv_2 = _initialised(nn.Conv2d(channels, channels, 3, bias=False), spectral)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, H, W), H and W at least 3."""
        residual = F.relu(instance_norm(self.conv_1(_reflect(x, 2))))
        return x + instance_norm(self.conv_2(_reflect(residual, 1)))


class EdgeConnectDiscriminator(nn.Module):
    """Two spectrally normalised 70×70 patch discriminators in one module: one of edges, one of images."""

    def __init__(self, width: int) -> None:
        super().__init__()
        settings = DiscriminatorSettings(width=width, num_layers=3, num_scales=1)
        self.edge_discriminator = PatchDiscriminator(2, settings)
        self.image_discriminator = PatchDiscriminator(3, settings)

    def forward(self, judged: Tensor) -> DiscriminatorOutput:
        """Judge what :func:`judged` makes.

        Returns:
            The logits of the edge discriminator and of the image discriminator; the features are those of the
            edge discriminator, its logits last.
        """
        edge_logits, features = self.edge_discriminator(judged[:, :2])
        image_logits, _ = self.image_discriminator(judged[:, 2:])
        return DiscriminatorOutput((edge_logits, image_logits), (*features, edge_logits))


def judged(gray: Tensor, edges: Tensor, image: Tensor) -> Tensor:
    """What the discriminator judges, as one tensor (B, 5, H, W).

    Args:
        gray: (B, 1, H, W) in [-1, 1], of the whole image: edges are judged beside it.
        edges: (B, 1, H, W) in [0, 1].
        image: (B, 3, H, W) in [-1, 1].
    """
    return torch.cat((gray, edges, image), dim=1)


def _reflect(x: Tensor, padding: int) -> Tensor:
    return F.pad(x, (padding, padding, padding, padding), mode="reflect")


def _initialised(convolution: nn.Conv2d | nn.ConvTranspose2d, spectral: bool) -> nn.Module:
    """Weights from N(0, 0.02), a bias of 0; normalised afterwards where asked."""
    nn.init.normal_(convolution.weight, std=_INITIAL_STD)
    if convolution.bias is not None:
        nn.init.zeros_(convolution.bias)
    return spectral_norm(convolution) if spectral else convolution
