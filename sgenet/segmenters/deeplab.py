"""DeepLab v3+ (Chen et al., ECCV 2018) from segmentation-models-pytorch, with statistics of no batch."""

from __future__ import annotations

import math
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor, nn

from sgenet.errors import CheckpointError, SettingsError, one_line
from sgenet.losses.vgg import read_state
from sgenet.segmenters.segmenter import imagenet_normalised
from sgenet.segmenters.settings import DeepLabSettings

_STRIDE = 16
_MOST_GROUPS = 32


class DeepLabV3Plus(nn.Module):
    """A :class:`~sgenet.segmenters.segmenter.Segmenter`.

    An image's result depends on no other image: where the encoder comes with ImageNet's weights, its batch
    normalisation uses ImageNet's statistics for good; everywhere else it is group normalisation (Wu & He 2018). There
    is no dropout, as each worker would drop something else.

    Args:
        num_classes: C of the label space.
        settings: which encoder, with which weights.
        load: False builds it without reading weights, for a state that is loaded afterwards.

    Raises:
        SettingsError: the library has no such encoder, or it is normalised in a way of its own.
        CheckpointError: the weights cannot be had, or are those of another encoder.
    """

    def __init__(self, num_classes: int, settings: DeepLabSettings, load: bool = True) -> None:
        super().__init__()
        # Slow to import, and needed by nobody who trains an inpainting method.
        import segmentation_models_pytorch as library

        try:
            self.network = library.DeepLabV3Plus(
                settings.encoder,
                encoder_weights=None,
                encoder_output_stride=_STRIDE,
                decoder_aspp_dropout=0.0,
                classes=num_classes,
            )
        except (KeyError, ValueError, NotImplementedError, RuntimeError) as error:
            raise SettingsError(
                [
                    f"deeplab.encoder ({settings.encoder}) cannot be an encoder of DeepLab v3+ "
                    f"({one_line(error)[:200]}); choose another one, such as resnet34"
                ]
            ) from None
        if load and settings.weights != "none":
            _load_encoder(self.network.encoder, settings)
        _replace_norms(self.network, settings.encoder, frozen=False, below="decoder")
        _replace_norms(self.network, settings.encoder, frozen=settings.weights != "none", below="encoder")

    def forward(self, image: Tensor) -> Tensor:
        """From (B, 3, H, W) in [-1, 1] to (B, C, H, W) logits; any size, filled up to multiples of 16 by its border."""
        height, width = image.shape[-2:]
        filled = F.pad(imagenet_normalised(image), (0, -width % _STRIDE, 0, -height % _STRIDE), mode="replicate")
        return self.network(filled)[..., :height, :width]


def _replace_norms(network: nn.Module, encoder: str, *, frozen: bool, below: str) -> None:
    part = network.get_submodule(below)
    for name, module in list(part.named_modules()):
        if not isinstance(module, nn.modules.batchnorm._BatchNorm):
            continue
        if type(module) is not nn.BatchNorm2d:
            raise SettingsError(
                [
                    f"deeplab.encoder ({encoder}) is normalised by {type(module).__name__}, which cannot be replaced "
                    "by statistics that depend on no batch; choose another one, such as resnet34"
                ]
            )
        parent, _, attribute = name.rpartition(".")
        setattr(part.get_submodule(parent), attribute, _frozen(module) if frozen else _grouped(module))


def _frozen(norm: nn.BatchNorm2d) -> nn.Module:
    # Takes more than a second to import, and every stage that may read labels imports this module.
    from torchvision.ops import FrozenBatchNorm2d

    frozen = FrozenBatchNorm2d(norm.num_features, norm.eps)
    frozen.load_state_dict(norm.state_dict(), strict=False)
    return frozen


def _grouped(norm: nn.BatchNorm2d) -> nn.GroupNorm:
    return nn.GroupNorm(math.gcd(_MOST_GROUPS, norm.num_features), norm.num_features)


def _load_encoder(encoder: nn.Module, settings: DeepLabSettings) -> None:
    setting = "deeplab.weights"
    state = _imagenet_state(settings) if settings.weights == "imagenet" else read_state(Path(settings.weights), setting)
    wanted = {key: value for key, value in state.items() if key in encoder.state_dict()}
    try:
        # Past the encoder's own method, which drops what is not its own.
        nn.Module.load_state_dict(encoder, wanted)
    except RuntimeError as error:
        raise CheckpointError(
            f"{setting}: {settings.weights} does not hold the encoder {settings.encoder}: {one_line(error)[:200]}"
        ) from None


def _imagenet_state(settings: DeepLabSettings) -> dict[str, Tensor]:
    from segmentation_models_pytorch.encoders import get_encoder

    try:
        return dict(get_encoder(settings.encoder, weights="imagenet").state_dict())
    # What the library raises without a network differs from version to version.
    except Exception as error:
        raise CheckpointError(
            f"deeplab.weights: the ImageNet weights of {settings.encoder} cannot be downloaded "
            f"({one_line(error)[:200]}); give the path of a file, or 'none'"
        ) from None
