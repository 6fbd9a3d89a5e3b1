"""How long fitting a segmenter takes, before it is begun."""

from __future__ import annotations

import time
from datetime import timedelta

import torch

from pipelines.parallel.device import device_of_workers
from pipelines.settings.params import Settings
from sgenet.segmenters.build import build_segmenter

_TIMED = 2
"""The first pass also plans its convolutions."""


def fitting_ahead(settings: Settings, dataset: str) -> str | None:
    """What a segmenter takes that is fitted before the first training, to label or to score; None without one.

    Raises:
        SettingsError: a GPU is asked for and there is none.
    """
    labels = settings.labels_of(dataset)
    if not labels.needs_segmenter or labels.checkpoint is not None:
        return None
    seconds = timedelta(seconds=round(seconds_to_fit(settings, dataset)))
    return (
        f"{dataset}: the segmenter {labels.segmenter} is fitted first, {labels.recipe.training.steps:,} steps, about "
        f"{seconds} for one process here if it is idle; to use a fitted one, set labels.{dataset}.checkpoint"
    )


def seconds_to_fit(settings: Settings, dataset: str) -> float:
    """About how many seconds one process needs to fit the segmenter of a dataset: its steps times one that is timed.

    Raises:
        SettingsError: a GPU is asked for and there is none.
    """
    labels, data = settings.labels_of(dataset), settings.data[dataset]
    training, device = labels.recipe.training, device_of_workers(settings.run)
    segmenter = build_segmenter(labels.segmenter, labels.recipe, data.labels.num_classes, load=False).to(device).train()
    # Two images: a batch of one has no statistics where an encoder normalises.
    image = torch.zeros(2, 3, data.crop, data.crop, device=device)
    for _ in range(_TIMED):
        begin = time.perf_counter()
        segmenter(image).mean().backward()
        if device != "cpu":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - begin
    return seconds * training.batch_size / len(image) * training.steps
