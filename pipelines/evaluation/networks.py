"""The networks that FID, KID, LPIPS and VGG distance are taken with: from files, where the settings name them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from pipelines.settings.params import EvaluationSettings
from sgenet.evaluation.networks import ALEXNET, INCEPTION, check_weights, load_inception, load_lpips
from sgenet.evaluation.vgg_distance import WEIGHTS, load_vgg
from sgenet.losses.vgg import VGG

if TYPE_CHECKING:
    from torchmetrics import Metric

_NETWORKS = {
    "inception": (INCEPTION, load_inception),
    "lpips": (ALEXNET, load_lpips),
    "vgg": (WEIGHTS, load_vgg),
}


@dataclass(frozen=True)
class ScoringNetworks:
    """The networks; None for a score that is not taken."""

    inception: nn.Module | None = None
    lpips: Metric | None = None
    vgg: VGG | None = None


def check_weight_files(settings: EvaluationSettings) -> None:
    """Look at the files that the settings name, before any image is scored with them.

    Raises:
        CheckpointError: one of them is missing, or not the file that its score is defined by.
    """
    for name, path in _weight_files(settings).items():
        check_weights(path, _NETWORKS[name][0], f"evaluation.{name}_weights")


@lru_cache(maxsize=1)
def load_networks(settings: EvaluationSettings, use_gpu: bool) -> ScoringNetworks:
    """The networks, kept for the next block.

    Args:
        use_gpu: compute on this machine's GPU, where it has one.
    """
    device = torch.device("cuda" if use_gpu and torch.cuda.is_available() else "cpu")
    loaded: dict[str, Any] = {
        name: _NETWORKS[name][1](path, f"evaluation.{name}_weights").to(device)
        for name, path in _weight_files(settings).items()
    }
    return ScoringNetworks(**loaded)


def _weight_files(settings: EvaluationSettings) -> dict[str, Path]:
    paths = {name: getattr(settings, f"{name}_weights") for name in _NETWORKS}
    return {name: Path(path) for name, path in paths.items() if path != "none"}
