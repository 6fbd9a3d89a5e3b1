"""What must hold for a model whatever its scores: tried on the model as the registry gives it back."""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pipelines.registry.gate.decision import Check
from pipelines.settings.params import PromotionSettings
from pipelines.storage.files import sha256_of_file
from sgenet.batch import Prediction
from sgenet.errors import UserError, one_line
from sgenet.inpainter import Inpainted, Inpainter
from sgenet.methods.files import WEIGHTS

_FILLS = 5  # of each model, taking turns
_SEED = 20200823

Pixels = npt.NDArray[np.uint8]
Hole = npt.NDArray[np.bool_]


def check_weights(model: Path, expected: str) -> Check:
    """The weights in the registry are the ones that were registered."""
    found = sha256_of_file(model / WEIGHTS)
    detail = f"SHA-256 {found[:12]}…" if found == expected else f"SHA-256 {found[:12]}…, registered as {expected[:12]}…"
    return Check("weights", found == expected, detail)


def check_filling(inpainter: Inpainter, crop: int) -> list[Check]:
    """Fill holes in images of several sizes: known pixels, finite output, the same twice, every size accepted.

    Args:
        crop: side of the square the model was trained on.
    """
    sizes = [(1, 1), (7, 5), (crop, crop), (crop - 3, crop + 1), (2 * crop + 5, crop + 31)]
    faults: dict[str, list[str]] = {"every size": [], "known pixels": [], "finite output": [], "deterministic": []}
    for height, width in sizes:
        size = f"{height}×{width}"
        try:
            for kind, hole in _holes(height, width).items():
                where = f"{size}, {kind}"
                _try(inpainter, _image(height, width), hole, where, faults)
        except (UserError, RuntimeError, ValueError, IndexError) as error:
            faults["every size"].append(f"{size}: {one_line(error)[:200]}")
    tried = ", ".join(f"{height}×{width}" for height, width in sizes)
    return [Check(name, not found, "; ".join(found) or f"held at {tried}") for name, found in faults.items()]


def check_latency(challenger: Inpainter, champion: Inpainter | None, crop: int, rules: PromotionSettings) -> Check:
    """Median time of a fill at the crop's size, against the champion's, measured in turns on this machine."""
    image, hole = _image(crop, crop), _holes(crop, crop)["centre"]
    models = [challenger] if champion is None else [challenger, champion]
    times: list[list[float]] = [[] for _ in models]
    for number in range(_FILLS + 1):
        for model, measured in zip(models, times, strict=True):
            start = time.perf_counter()
            model(image, hole)
            if number:  # the first call of each also pays for what is set up once
                measured.append(time.perf_counter() - start)
    medians = [statistics.median(measured) for measured in times]
    seen = f"{1000 * medians[0]:.1f} ms for {crop}×{crop}"
    if champion is None:
        return Check("latency", True, f"{seen}; no champion to compare with")
    allowed = rules.latency_factor * medians[1] + rules.latency_slack
    detail = f"{seen}, the champion takes {1000 * medians[1]:.1f} ms, allowed are {1000 * allowed:.1f} ms"
    return Check("latency", medians[0] <= allowed, detail)


def _try(inpainter: Inpainter, image: Pixels, hole: Hole, where: str, faults: dict[str, list[str]]) -> None:
    with warnings.catch_warnings(), _not_finite(inpainter.generator) as unfit:
        warnings.simplefilter("ignore", UserWarning)  # full holes are meant
        first, second = inpainter(image, hole), inpainter(image, hole)
    if first.image.shape != image.shape or first.image.dtype != np.uint8:
        faults["every size"].append(f"{where}: the result is {first.image.shape} of {first.image.dtype}")
        return
    spoilt = int((first.image != image).any(axis=-1)[~hole].sum())
    if spoilt:
        faults["known pixels"].append(f"{where}: {spoilt} of {int((~hole).sum())} were changed")
    if unfit:
        faults["finite output"].append(f"{where}: the network's {', '.join(sorted(set(unfit)))} holds NaN or infinity")
    if not _equal(first, second):
        faults["deterministic"].append(f"{where}: two fills of the same image differ")


@contextmanager
def _not_finite(generator: nn.Module) -> Iterator[list[str]]:
    """Collects the names of what the generator gave that is not finite; conversion to 8 bits would hide it."""
    unfit: list[str] = []

    def look(module: nn.Module, inputs: tuple[Tensor, ...], prediction: Prediction) -> None:
        for name in ("images", "label_logits", "reliability"):
            if not all(bool(torch.isfinite(tensor).all()) for tensor in getattr(prediction, name)):
                unfit.append(name)

    handle = generator.register_forward_hook(look)
    try:
        yield unfit
    finally:
        handle.remove()


def _equal(first: Inpainted, second: Inpainted) -> bool:
    pairs = ((first.image, second.image), (first.label, second.label), (first.confidence, second.confidence))
    return all(
        (one is None and other is None) or (one is not None and other is not None and np.array_equal(one, other))
        for one, other in pairs
    )


def _image(height: int, width: int) -> Pixels:
    """A sky with noise: the same every time, with no two equal rows."""
    rng = np.random.default_rng(_SEED)
    slope = np.linspace(0, 120, height)[:, None, None] + np.array([60, 90, 120])
    image: Pixels = np.clip(slope + rng.normal(0, 20, (height, width, 3)), 0, 255).astype(np.uint8)
    return image


def _holes(height: int, width: int) -> dict[str, Hole]:
    y, x = np.mgrid[0:height, 0:width]
    centre = (np.abs(y - (height - 1) / 2) <= height / 4) & (np.abs(x - (width - 1) / 2) <= width / 4)
    corner = (y >= height / 2) & (x >= width / 2)
    nothing = np.zeros((height, width), bool)
    return {"centre": centre, "corner": corner, "no hole": nothing, "all missing": ~nothing}
