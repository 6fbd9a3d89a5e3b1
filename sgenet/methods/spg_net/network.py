"""SPG-Net: one network completes the label map, another paints guided by it.

As published (Song et al., BMVC 2018): SP-Net sees the corrupted image and its label map and predicts
the label map of the whole image; SG-Net – *theirs*, not the one of Table 3 – sees the corrupted image and
that prediction and draws the whole image. Both have one shape. In training, the label map that SP-Net
starts from is the true one with its hole cut out.

*Ours*: in use, where no true label map can be known, it starts from what a segmenter makes of the corrupted
image. It may be given (theirs is DeepLab's); where it is not, a small segmenter that is trained along,
on known pixels alone, stands in. Nothing ever sees a label in the hole.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sgenet.batch import Prediction
from sgenet.checks import check_inputs, check_shape
from sgenet.layers.convolution import conv3x3
from sgenet.layers.discriminator import DiscriminatorOutput, MultiScaleDiscriminator
from sgenet.layers.normalisation import group_norm
from sgenet.methods.spg_net.segmenter import InputSegmenter
from sgenet.methods.spg_net.settings import SPGNetSettings
from sgenet.settings import DiscriminatorSettings

STRIDE = 16
"""Heights and widths must be divisible by this."""


class SPGNetGenerator(nn.Module):
    """Input segmenter, SP-Net and SG-Net. No gradient passes from one to another: each has its own losses."""

    def __init__(self, num_classes: int, settings: SPGNetSettings) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.segmenter = InputSegmenter(num_classes, settings.segmenter_width)
        self.label_stage = SPGNetStage(3 + num_classes, num_classes, settings.width, settings.num_blocks)
        self.image_stage = SPGNetStage(3 + num_classes, 3, settings.width, settings.num_blocks)

    def forward(self, image: Tensor, hole_mask: Tensor, known_label: Tensor | None = None) -> Prediction:
        """Fill the hole.

        Args:
            image: (B, 3, H, W) in [-1, 1], H and W divisible by 16; what lies in the hole is not seen.
            hole_mask: (B, 1, H, W), 1 = missing.
            known_label: (B, H, W) int64, the label map to start from; what lies in the hole is not seen.
                Where it holds no class id (255), and where there is none, the model's own segmenter decides.

        Returns:
            The image, and the completed label map's logits at full size;
            ``auxiliary["input_label_logits"]`` are those of the segmenter, (B, K, H, W), with their gradient.
        """
        sizes = check_inputs(image, hole_mask, STRIDE)
        if known_label is not None:
            check_shape(known_label, "B H W", "known_label", **sizes)
        corrupted = torch.where(hole_mask > 0.5, 0.0, image)
        input_logits = self.segmenter(corrupted, hole_mask).float()
        input_label = self._input_label(input_logits, hole_mask, known_label)
        label_logits = self.label_stage(torch.cat((corrupted, input_label), dim=1)).float()
        guide = F.softmax(label_logits.detach(), dim=1)
        drawn = torch.tanh(self.image_stage(torch.cat((corrupted, guide), dim=1)).float())
        return Prediction(images=(drawn,), label_logits=(label_logits,), auxiliary={"input_label_logits": input_logits})

    def _input_label(self, logits: Tensor, hole_mask: Tensor, known_label: Tensor | None) -> Tensor:
        """The label map that SP-Net starts from, (B, K, H, W) of 0 and 1; no class in the hole, and no gradient."""
        label = one_hot(logits.argmax(dim=1), self.num_classes)
        if known_label is not None:
            given = one_hot(known_label, self.num_classes)
            label = torch.where(given.amax(dim=1, keepdim=True) > 0, given, label)
        return torch.where(hole_mask > 0.5, 0.0, label)


class SPGNetStage(nn.Module):
    """Encoder, residual blocks at 1/16 and decoder, the shape of SP-Net and of SG-Net (after Johnson et al., 2016).

    Group normalisation replaces the paper's batch normalisation (*ours*): an image's result must not
    depend on its neighbours, and instance normalisation would forget which class fills a plain label map.

    Args:
        in_channels, out_channels: of the stage; nothing is applied to what comes out.
        width: channels after the first convolution (published: 64); 8 times as many in the blocks.
        num_blocks: residual blocks (published: 9).
    """

    def __init__(self, in_channels: int, out_channels: int, width: int, num_blocks: int) -> None:
        super().__init__()
        down, up = [width, 2 * width, 4 * width, 8 * width], [8 * width, 4 * width, 2 * width, width, width]
        self.stem = _normed(nn.Conv2d(in_channels, width, 7, stride=2))
        self.down = nn.Sequential(*(_normed(conv3x3(fine, coarse, stride=2)) for fine, coarse in pairwise(down)))
        self.blocks = nn.Sequential(*(Block(8 * width) for _ in range(num_blocks)))
        self.up = nn.Sequential(
            *(_normed(nn.ConvTranspose2d(coarse, fine, 4, 2, padding=1)) for coarse, fine in pairwise(up))
        )
        self.head = nn.Conv2d(width, out_channels, 7)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) → (B, out_channels, H, W); H and W divisible by 16."""
        x = self.down(self.stem(_reflect(x)))
        return self.head(_reflect(self.up(self.blocks(x))))


class Block(nn.Module):
    """x + norm(conv(relu(norm(conv(x)))))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _normed(conv3x3(channels, channels))
        self.conv_2 = conv3x3(channels, channels)
        self.norm_2 = group_norm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, H, W)."""
        return x + self.norm_2(self.conv_2(self.first(x)))


class SPGNetDiscriminator(nn.Module):
    """Two multi-scale patch discriminators in one module: one of label maps, one of images (Wang et al., CVPR 2018)."""

    def __init__(self, num_classes: int, settings: DiscriminatorSettings) -> None:
        super().__init__()
        self.label_discriminator = MultiScaleDiscriminator(3 + num_classes, settings)
        self.image_discriminator = MultiScaleDiscriminator(3, settings)

    def forward(self, judged: Tensor) -> DiscriminatorOutput:
        """Judge what :func:`judged` makes.

        Returns:
            Logits and features of every scale of the label discriminator, then as many of the image discriminator.
        """
        labels, images = self.label_discriminator(judged[:, :-3]), self.image_discriminator(judged[:, -3:])
        return DiscriminatorOutput((*labels.logits, *images.logits), (*labels.features, *images.features))


def judged(corrupted: Tensor, label: Tensor, image: Tensor) -> Tensor:
    """What the discriminator judges, as one tensor (B, 3 + K + 3, H, W).

    Args:
        corrupted: (B, 3, H, W) in [-1, 1], 0 in the hole: label maps are judged beside it.
        label: (B, K, H, W) class probabilities, or 0 and 1; all 0 where the label is to be ignored.
        image: (B, 3, H, W) in [-1, 1], judged alone.
    """
    return torch.cat((corrupted, label, image), dim=1)


def one_hot(label: Tensor, num_classes: int) -> Tensor:
    """(B, H, W) int64 → (B, K, H, W) float32 of 0 and 1; all 0 where there is no class id, such as 255."""
    classes = torch.arange(num_classes, device=label.device)
    return (label[:, None] == classes[None, :, None, None]).to(torch.float32)


def _normed(convolution: nn.Conv2d | nn.ConvTranspose2d) -> nn.Sequential:
    return nn.Sequential(convolution, group_norm(convolution.out_channels), nn.ReLU())


def _reflect(x: Tensor) -> Tensor:
    return F.pad(x, (3, 3, 3, 3), mode="reflect")
