"""Which code a score was taken with: scores of two versions of it are not comparable."""

from __future__ import annotations

import hashlib
import importlib.metadata

from pipelines.storage.code import CARRIERS, digest_code

SCORED_BY = ("pipelines.evaluation.scoring", "pipelines.data.evaluation_masks", "pipelines.data.shards.loader")
"""What lies between a stored image and its scores."""

# Code that fills holes is being scored; it is not part of the metric.
_SCORED = ("sgenet.methods", "sgenet.segmenters")

# PSNR, SSIM, confusion matrices, FID and the arithmetic below them.
_DEPENDENCIES = ("torch", "torchmetrics", "torch-fidelity")


def digest_metric_code() -> str:
    """Hash the sources that scores depend on, and the versions of the libraries they use.

    A build's local suffix (``+cpu``, ``+cu130``) does not count.
    """
    parts = [digest_code(*SCORED_BY, without=(*CARRIERS, *_SCORED))]
    parts += [f"{name}=={importlib.metadata.version(name).split('+')[0]}" for name in _DEPENDENCIES]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
