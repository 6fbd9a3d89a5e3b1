"""FID and KID by torchmetrics: how far the inpainted images' features are from the originals', as distributions.

Both are gathered while images stream by. FID needs no more than sums, KID a bounded sample.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

# torchmetrics takes seconds to import: only where there are features to compare.
if TYPE_CHECKING:
    from torchmetrics.image.fid import FrechetInceptionDistance

KEPT_IMAGES = 5000
"""So many images' features are kept for KID, drawn from all with a seed: 41 MB of each side."""

SUBSET_IMAGES = 1000
"""Images of a subset that KID is taken over; fewer images are one subset, all of them."""

NUM_SUBSETS = 100
_SEED = 20200823

Features = npt.NDArray[np.float32]
"""(N, D), a row an image."""


class FeatureComparison:
    """Gathers the features of originals and of what was inpainted, block by block.

    What a worker hands over is the features of its block and nothing else. They are added up where blocks are joined,
    in the blocks' order, so that the result depends neither on the number of workers nor on the size of a batch, and
    memory does not grow with the number of images.
    """

    def __init__(self) -> None:
        self._block: list[tuple[Features, Features]] = []
        self._fid: FrechetInceptionDistance | None = None
        self._kept: list[tuple[Features, Features]] = []
        self._count = 0
        self._rng = np.random.default_rng(_SEED)

    def update(self, original: Features, inpainted: Features) -> None:
        """Add (N, D) features of originals and of the same images, inpainted, to the block at hand."""
        self._block.append((original, inpainted))

    def extend(self, other: FeatureComparison) -> None:
        """Add the block that another process gathered."""
        assert other._fid is None, "only a single block can be joined"
        self._close_block()
        self._block = list(other._block)
        self._close_block()

    def scores(self) -> dict[str, float]:
        """``fid`` and ``kid``; NaN for fewer than two images."""
        self._close_block()
        if self._fid is None or self._count < 2:
            return {"fid": math.nan, "kid": math.nan}
        # Rounding may leave less than nothing of alike images.
        return {"fid": max(float(self._fid.compute()), 0.0), "kid": self._kid()}

    def _kid(self) -> float:
        from torchmetrics.image.kid import KernelInceptionDistance

        subset = min(len(self._kept), SUBSET_IMAGES)
        num_subsets = NUM_SUBSETS if subset < len(self._kept) else 1
        kid = KernelInceptionDistance(_given_features(self._kept[0][0].shape[0]), num_subsets, subset)
        for real, side in ((True, 0), (False, 1)):
            kid.update(torch.from_numpy(np.stack([pair[side] for pair in self._kept])).double(), real=real)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_SEED)
            return float(kid.compute()[0])

    def _close_block(self) -> None:
        if not self._block:
            return
        from torchmetrics.image.fid import FrechetInceptionDistance

        original, inpainted = (np.concatenate(side) for side in zip(*self._block, strict=True))
        self._block = []
        if self._fid is None:
            self._fid = FrechetInceptionDistance(_given_features(original.shape[1]))
        self._fid.update(torch.from_numpy(original).double(), real=True)
        self._fid.update(torch.from_numpy(inpainted).double(), real=False)
        for pair in zip(original, inpainted, strict=True):
            self._keep(pair)

    def _keep(self, pair: tuple[Features, Features]) -> None:
        """Each of the images so far is kept with the same probability (reservoir sampling, Vitter 1985)."""
        self._count += 1
        if len(self._kept) < KEPT_IMAGES:
            self._kept.append(pair)
        elif (position := int(self._rng.integers(0, self._count))) < KEPT_IMAGES:
            self._kept[position] = pair


def _given_features(num_features: int) -> nn.Module:
    """In place of Inception where the features are there already."""
    network = nn.Identity()
    network.num_features = num_features  # type: ignore[assignment]
    return network
