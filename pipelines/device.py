"""Where this process computes."""

from __future__ import annotations

from typing import Literal

import torch

from pipelines.params import RunSettings
from sgenet.errors import SettingsError


def device_of(run: RunSettings) -> Literal["cpu", "cuda"]:
    """What the settings ask for.

    Raises:
        SettingsError: a GPU, and there is none.
    """
    if run.use_gpu and not torch.cuda.is_available():
        raise SettingsError(["run.use_gpu is true, but PyTorch finds no GPU; set it to false"])
    return "cuda" if run.use_gpu else "cpu"
