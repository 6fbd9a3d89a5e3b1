"""The networks that FID, KID and LPIPS are taken with: from files, and only where the settings name them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch

from pipelines.settings.params import EvaluationSettings
from sgenet.evaluation import inception, lpips
from sgenet.evaluation.inception import InceptionV3, load_inception
from sgenet.evaluation.lpips import LPIPS, load_lpips
from sgenet.evaluation.weights import check_known_weights

_INCEPTION_SETTING = "evaluation.inception_weights"
_LPIPS_SETTING = "evaluation.lpips_weights"


@dataclass(frozen=True)
class WeightFiles:
    """Where the networks' weights lie; None for a score that is not taken."""

    inception: Path | None = None
    lpips: Path | None = None


@dataclass(frozen=True)
class ScoringNetworks:
    """The networks themselves; None for a score that is not taken."""

    inception: InceptionV3 | None = None
    lpips: LPIPS | None = None


def weight_files(settings: EvaluationSettings) -> WeightFiles:
    """The files that the settings name, before any picture is scored with them.

    Raises:
        CheckpointError: one of them is missing, or not the file that its score is defined by.
    """
    files = WeightFiles(
        *(None if path == "none" else Path(path) for path in (settings.inception_weights, settings.lpips_weights))
    )
    if files.inception is not None:
        known = inception.INCEPTION_SHA256, inception.INCEPTION_FILE
        check_known_weights(files.inception, *known, _INCEPTION_SETTING, score="FID")
    if files.lpips is not None:
        check_known_weights(files.lpips, lpips.ALEXNET_SHA256, lpips.ALEXNET_FILE, _LPIPS_SETTING, score="LPIPS")
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
    )
