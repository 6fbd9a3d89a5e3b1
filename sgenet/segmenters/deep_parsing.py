"""Deep Parsing Network: VGG-16 whose scores go through one step of mean field inference (Liu et al. 2015, 2018)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from sgenet.errors import CheckpointError, one_line
from sgenet.losses.vgg import read_vgg_state
from sgenet.segmenters.mean_field import MeanFieldStep
from sgenet.segmenters.segmenter import imagenet_normalised
from sgenet.segmenters.settings import DeepParsingSettings

_BLOCKS = (2, 2, 3, 3, 3)
_FACTORS = (1, 2, 4, 8, 8)
_FIRST_SCORES = 0.01


class UnaryNetwork(nn.Module):
    """The unary part (b1 to b11): VGG-16 without its last two poolings, so that its scores have an eighth of the size.

    What comes after a pooling that was left out is dilated by 2 for each (b8: 5×5 with holes, b9: 25×25 with holes),
    and the fully connected layers are convolutions, so that ImageNet's weights mean the same.

    Args:
        num_classes: C.
        settings: sizes and where weights come from.
        load: False builds it without reading weights, for a state that is loaded afterwards.

    Raises:
        CheckpointError: the weights cannot be had, or are not those of a VGG-16 of this width.
    """

    def __init__(self, num_classes: int, settings: DeepParsingSettings, load: bool = True) -> None:
        super().__init__()
        # Numbered as torchvision's `features`, so that its state loads as it is; there is nothing where a pooling was.
        layers: list[nn.Module] = []
        channels = 3
        for block, (count, factor) in enumerate(zip(_BLOCKS, _FACTORS, strict=True)):
            dilation = 2 if block == 4 else 1
            for _ in range(count):
                width = settings.width * factor
                layers += [nn.Conv2d(channels, width, 3, padding=dilation, dilation=dilation), nn.ReLU()]
                channels = width
            layers.append(nn.MaxPool2d(2) if block < 3 else nn.Identity())
        self.features = nn.Sequential(*layers)
        self.fc6 = nn.Conv2d(channels, settings.context_width, 7, padding=12, dilation=4)
        self.fc7 = nn.Conv2d(settings.context_width, settings.context_width, 1)
        self.scores = nn.Conv2d(settings.context_width, num_classes, 1)
        self._initialise()
        if load and settings.weights != "none":
            self._load(settings.weights)

    def forward(self, image: Tensor) -> Tensor:
        """From (B, 3, H, W) in [-1, 1] to (B, C, H, W) logits, upsampled bilinearly from an eighth of the size."""
        hidden = self.features(imagenet_normalised(image))
        hidden = F.relu(self.fc7(F.relu(self.fc6(hidden))))
        return F.interpolate(self.scores(hidden), image.shape[-2:], mode="bilinear", align_corners=False)

    def _initialise(self) -> None:
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        nn.init.normal_(self.scores.weight, std=_FIRST_SCORES)

    def _load(self, weights: str) -> None:
        setting = "deep_parsing.weights"
        state = read_vgg_state(16, weights, setting)
        try:
            self.features.load_state_dict(
                {key.removeprefix("features."): state[key] for key in state if key.startswith("features.")}
            )
        except RuntimeError as error:
            raise CheckpointError(
                f"{setting}: {weights} does not hold torchvision's VGG-16 of width {self.features[0].out_channels} "
                f"(features.0.weight …): {one_line(error)[:200]}"
            ) from None
        # With fewer hidden channels than VGG's 4,096, these two are initialised from scratch.
        for layer, name in ((self.fc6, "classifier.0"), (self.fc7, "classifier.3")):
            weight, bias = state.get(f"{name}.weight"), state.get(f"{name}.bias")
            if weight is not None and bias is not None and weight.numel() == layer.weight.numel():
                layer.load_state_dict({"weight": weight.view_as(layer.weight), "bias": bias})


class DeepParsingNetwork(nn.Module):
    """A :class:`~sgenet.segmenters.segmenter.Segmenter`: the unary network and the mean field step on its result."""

    def __init__(self, num_classes: int, settings: DeepParsingSettings, load: bool = True) -> None:
        super().__init__()
        self.unary = UnaryNetwork(num_classes, settings, load)
        self.mean_field = MeanFieldStep(
            num_classes, settings.local_window, settings.context_window, settings.num_contexts
        )

    def forward(self, image: Tensor) -> Tensor:
        """From (B, 3, H, W) in [-1, 1] to (B, C, H, W) logits; images of at least 8 × 8 pixels."""
        return self.mean_field(self.unary(image), image * 0.5 + 0.5)
