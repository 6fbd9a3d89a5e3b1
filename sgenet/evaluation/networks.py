"""The networks that FID, KID and LPIPS are defined by, from torch-fidelity and torchmetrics, each with the one file of
weights that it was published with: what other weights give may not go by that score's name."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from sgenet.errors import CheckpointError

# The libraries take seconds to import: only where one of their networks is loaded.
if TYPE_CHECKING:
    from torchmetrics import Metric


@dataclass(frozen=True)
class PublishedWeights:
    """A file of weights.

    Attributes:
        file_name: what it is called where it is published.
        sha256: of its content.
        score: what is taken with it.
    """

    file_name: str
    sha256: str
    score: str


INCEPTION = PublishedWeights(
    "pt_inception-2015-12-05-6726825d.pth", "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2", "FID"
)
"""TensorFlow's Inception as pytorch-fid published it; torch-fidelity's ``weights-inception-2015-12-05-6726825d.pth``
is the same bytes."""

ALEXNET = PublishedWeights(
    "alexnet-owt-7be5be79.pth", "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02", "LPIPS"
)
"""torchvision's ImageNet weights of AlexNet."""


def check_weights(path: Path, wanted: PublishedWeights, setting: str) -> None:
    """Refuse every file but one.

    Args:
        path: the file.
        wanted: which one it must be.
        setting: the key that the path comes from, for messages.

    Raises:
        CheckpointError: it cannot be read, or is another file.
    """
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(
            f"{setting}: {path} cannot be read ({error.strerror}); give the path of {wanted.file_name}, or 'none'"
        ) from None
    if found != wanted.sha256:
        raise CheckpointError(
            f"{setting}: {path} is not {wanted.file_name} (its SHA-256 begins with {found[:8]}, not "
            f"{wanted.sha256[:8]}), and scores of other weights are not {wanted.score}; give that file, or 'none'"
        )


def load_inception(path: Path, setting: str) -> nn.Module:
    """Inception-v3 as TensorFlow trained it: from (B, 3, H, W) uint8 to a tuple of (B, 2048) float32.

    Raises:
        CheckpointError: as :func:`check_weights`.
    """
    from torch_fidelity import FeatureExtractorInceptionV3

    check_weights(path, INCEPTION, setting)
    # Images are resized as TensorFlow 1 did; torchmetrics' own class of this network smooths them first.
    network: nn.Module = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], str(path))
    return network


def load_lpips(path: Path, setting: str) -> Metric:
    """LPIPS with AlexNet (Zhang et al. 2018, version 0.1) of pairs of images in [-1, 1].

    Raises:
        CheckpointError: as :func:`check_weights`.
    """
    from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

    check_weights(path, ALEXNET, setting)
    # It takes AlexNet from where torch.hub keeps downloads, so the file is laid there.
    usual = torch.hub.get_dir()
    with TemporaryDirectory() as folder:
        (Path(folder) / "checkpoints").mkdir()
        (Path(folder) / "checkpoints" / ALEXNET.file_name).symlink_to(path.resolve())
        torch.hub.set_dir(folder)
        try:
            return LearnedPerceptualImagePatchSimilarity("alex", reduction="none").requires_grad_(False)
        finally:
            torch.hub.set_dir(usual)


@torch.inference_mode()
def image_features(network: nn.Module, images: Tensor) -> npt.NDArray[np.float32]:
    """Features of images (B, 3, H, W) uint8: (B, 2048) on the CPU.

    Images go through one at a time: kernels for other batch sizes round differently.
    """
    device = next(network.parameters()).device
    features: npt.NDArray[np.float32] = (
        torch.cat([network(image[None].to(device))[0] for image in images]).cpu().numpy()
    )
    return features


@torch.inference_mode()
def image_distances(lpips: Metric, inpainted: Tensor, original: Tensor) -> list[float]:
    """LPIPS of each of the images (B, 3, H, W) uint8, one at a time, so that no result depends on the batch."""
    lpips.reset()
    for pair in zip(inpainted, original, strict=True):
        lpips.update(*(image[None].to(lpips.device) / 127.5 - 1 for image in pair))
    # For a single pair it gives a number.
    distances: list[float] = lpips.compute().reshape(-1).tolist()
    lpips.reset()
    return distances
