"""SN-PatchGAN: every element of the last feature map is a verdict (Yu et al., ICCV 2019)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from sgenet.layers.convolution import activate
from sgenet.layers.discriminator import DiscriminatorOutput

_MULTIPLES = (1, 2, 4, 4, 4, 4)


class SNPatchDiscriminator(nn.Module):
    """Six spectrally normalised 5×5 convolutions with stride 2; judges images together with their holes.

    Args:
        width: channels of the first convolution (published: 64).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        in_channels = 4
        layers: list[nn.Module] = []
        for multiple in _MULTIPLES:
            layers.append(spectral_norm(nn.Conv2d(in_channels, multiple * width, 5, 2, padding=2)))
            in_channels = multiple * width
        self.layers = nn.ModuleList(layers)

    def forward(self, judged: Tensor) -> DiscriminatorOutput:
        """Judge images and holes.

        Args:
            judged: (B, 4, H, W), an image in [-1, 1] and its hole mask. H and W above 32 where it is
                trained in bfloat16: PyTorch 2.14's weight gradient of a 5×5 convolution over a
                single pixel is now and then NaN on the CPU.

        Returns:
            Verdicts (B, 4 · width, ⌈H/64⌉, ⌈W/64⌉) and the five activations before them.
        """
        features: list[Tensor] = []
        x = judged
        for number, layer in enumerate(self.layers):
            x = layer(x)
            if number < len(_MULTIPLES) - 1:
                x = activate(x)
                features.append(x)
        return DiscriminatorOutput((x.float(),), tuple(features))
