"""The networks that FID, KID, LPIPS and VGG distance are taken with: from files, where the settings name them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from pipelines.settings.params import EvaluationSettings
from sgenet.evaluation.networks import ALEXNET, INCEPTION, check_weights, load_inception, load_lpips
from sgenet.evaluation.vgg_distance import WEIGHTS as VGG_WEIGHTS
from sgenet.evaluation.vgg_distance import load_vgg
from sgenet.losses.vgg import VGG

if TYPE_CHECKING:
    from torchmetrics import Metric

_INCEPTION_SETTING = "evaluation.inception_weights"
_LPIPS_SETTING = "evaluation.lpips_weights"
_VGG_SETTING = "evaluation.vgg_weights"


@dataclass(frozen=True)
class WeightFiles:
    """Where the networks' weights lie; None for a score that is not taken."""

    inception: Path | None = None
    lpips: Path | None = None
    vgg: Path | None = None


@dataclass(frozen=True)
class ScoringNetworks:
    """The networks themselves; None for a score that is not taken."""

    inception: nn.Module | None = None
    lpips: Metric | None = None
    vgg: VGG | None = None


def weight_files(settings: EvaluationSettings) -> WeightFiles:
    """The files that the settings name, before any image is scored with them.

    Raises:
        CheckpointError: one of them is missing, or not the file that its score is defined by.
    """
    paths = (settings.inception_weights, settings.lpips_weights, settings.vgg_weights)
    files = WeightFiles(*(None if path == "none" else Path(path) for path in paths))
    if files.inception is not None:
        check_weights(files.inception, INCEPTION, _INCEPTION_SETTING)
    if files.lpips is not None:
        check_weights(files.lpips, ALEXNET, _LPIPS_SETTING)
    if files.vgg is not None:
        check_weights(files.vgg, VGG_WEIGHTS, _VGG_SETTING)
    return files


@lru_cache(maxsize=1)
def load_networks(files: WeightFiles, use_gpu: bool) -> ScoringNetworks:
    """The networks, kept for the next block.

    Args:
        use_gpu: compute on this machine's GPU, where it has one.
    """
    device = torch.device("cuda" if use_gpu and torch.cuda.is_available() else "cpu")
    return ScoringNetworks(
        inception=None if files.inception is None else load_inception(files.inception, _INCEPTION_SETTING).to(device),
        lpips=None if files.lpips is None else load_lpips(files.lpips, _LPIPS_SETTING).to(device),
        vgg=None if files.vgg is None else load_vgg(files.vgg, _VGG_SETTING).to(device),
    )
