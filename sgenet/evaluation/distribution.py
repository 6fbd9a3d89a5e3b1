"""FID and KID: how far the inpainted pictures' features are from the originals', as distributions.

Both are gathered while pictures stream by. FID needs no more than sums, KID a bounded sample.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

KEPT_PICTURES = 5000
"""So many pictures' features are kept for KID, drawn from all with a seed: 41 MB of each side."""

SUBSET_PICTURES = 1000
"""Pictures of a subset that KID is taken over; fewer pictures are one subset, all of them."""

NUM_SUBSETS = 100
_SEED = 20200823

Features = npt.NDArray[np.float32]
"""(N, D), a row a picture."""


@dataclass
class Moments:
    """What is needed of many features for their mean and covariance, in float64.

    Attributes:
        count: how many pictures.
        total: (D,), the sum of their features.
        outer: (D, D), the sum of the outer products of their features with themselves.
    """

    count: int
    total: Tensor
    outer: Tensor

    @staticmethod
    def zero(num_features: int) -> Moments:
        """Of no picture."""
        return Moments(
            0, torch.zeros(num_features, dtype=torch.float64), torch.zeros(2 * (num_features,), dtype=torch.float64)
        )

    def add(self, features: Features) -> None:
        """Add a block of pictures. The same blocks in the same order give the same bits."""
        block = torch.from_numpy(features).to(torch.float64)
        self.count += len(block)
        self.total += block.sum(dim=0)
        self.outer += block.T @ block

    @property
    def mean(self) -> Tensor:
        """(D,)."""
        return self.total / self.count

    @property
    def covariance(self) -> Tensor:
        """(D, D), over N - 1."""
        mean = self.mean
        return (self.outer - self.count * torch.outer(mean, mean)) / (self.count - 1)


def frechet_distance(first: Moments, second: Moments) -> float:
    """Fréchet distance of two Gaussians (Heusel et al. 2017); NaN where one of them has fewer than two pictures.

    The trace of √(Σ₁Σ₂) is taken from the eigenvalues of the symmetric √Σ₁ Σ₂ √Σ₁, which has the same: a general
    matrix root fails or turns complex where there are fewer pictures than features.
    """
    if min(first.count, second.count) < 2:
        return math.nan
    difference = first.mean - second.mean
    one, two = first.covariance, second.covariance
    values, vectors = torch.linalg.eigh(one)
    # Rounding leaves eigenvalues of zero a little to either side of it.
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    product = root @ two @ root
    trace_of_root = torch.linalg.eigvalsh((product + product.T) / 2).clamp(min=0).sqrt().sum()
    distance = difference @ difference + one.trace() + two.trace() - 2 * trace_of_root
    return max(float(distance), 0.0)


def kernel_distance(
    first: Features,
    second: Features,
    subset_pictures: int = SUBSET_PICTURES,
    num_subsets: int = NUM_SUBSETS,
    seed: int = _SEED,
) -> float:
    """Squared maximum mean discrepancy with the kernel (x·y / D + 1)³, unbiased (Bińkowski et al. 2018).

    The mean over random subsets; of no more than ``subset_pictures`` pictures, the value of all of them. Unbiased
    means that it may be negative where the two are alike.

    Args:
        first, second: (N, D), as many of each; NaN for fewer than two.
        seed: of the subsets.
    """
    num_pictures = len(first)
    if num_pictures < 2:
        return math.nan
    x, y = (torch.from_numpy(features).to(torch.float64) for features in (first, second))
    if num_pictures <= subset_pictures:
        return _discrepancy(x, y)
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(num_subsets):
        of_x, of_y = (torch.from_numpy(rng.choice(num_pictures, subset_pictures, replace=False)) for _ in range(2))
        values.append(_discrepancy(x[of_x], y[of_y]))
    return math.fsum(values) / num_subsets


class FeatureComparison:
    """Gathers the features of originals and of what was inpainted, block by block.

    What a worker hands over is the features of its block and nothing else. They are added up where blocks are joined,
    in the blocks' order, so that the result depends neither on the number of workers nor on the size of a batch, and
    memory does not grow with the number of pictures.
    """

    def __init__(self) -> None:
        self._block: list[tuple[Features, Features]] = []
        self._moments: tuple[Moments, Moments] | None = None
        self._kept: tuple[Features, Features] | None = None
        self._rng = np.random.default_rng(_SEED)

    def update(self, original: Features, inpainted: Features) -> None:
        """Add (N, D) features of originals and of the same pictures, inpainted, to the block at hand."""
        self._block.append((original, inpainted))

    def extend(self, other: FeatureComparison) -> None:
        """Add the block that another process gathered."""
        assert other._moments is None, "only a single block can be joined"
        self._close_block()
        self._block = list(other._block)
        self._close_block()

    def scores(self) -> dict[str, float]:
        """``fid`` and ``kid``; NaN for fewer than two pictures."""
        self._close_block()
        if self._moments is None or self._kept is None:
            return {"fid": math.nan, "kid": math.nan}
        num_kept = min(self._moments[0].count, KEPT_PICTURES)
        real, filled = (features[:num_kept] for features in self._kept)
        return {"fid": frechet_distance(*self._moments), "kid": kernel_distance(real, filled)}

    def _close_block(self) -> None:
        if not self._block:
            return
        pair = tuple(np.concatenate(side) for side in zip(*self._block, strict=True))
        self._block = []
        num_features = pair[0].shape[1]
        if self._moments is None:
            self._moments = Moments.zero(num_features), Moments.zero(num_features)
            self._kept = tuple(np.empty((KEPT_PICTURES, num_features), np.float32) for _ in pair)  # type: ignore[assignment]
        self._keep(pair, self._moments[0].count)
        for moments, features in zip(self._moments, pair, strict=True):
            moments.add(features)

    def _keep(self, pair: tuple[Features, ...], num_before: int) -> None:
        """Each of the pictures so far is kept with the same probability (reservoir sampling, Vitter 1985)."""
        assert self._kept is not None
        for row in range(len(pair[0])):
            position = num_before + row
            if position >= KEPT_PICTURES:
                position = int(self._rng.integers(0, position + 1))
            if position < KEPT_PICTURES:
                for kept, features in zip(self._kept, pair, strict=True):
                    kept[position] = features[row]


def _discrepancy(x: Tensor, y: Tensor) -> float:
    num_features, num_pictures = x.shape[1], len(x)

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.T / num_features + 1) ** 3

    within = sum(
        (k.sum() - k.diagonal().sum()) / (num_pictures * (num_pictures - 1)) for k in (kernel(x, x), kernel(y, y))
    )
    return float(within - 2 * kernel(x, y).mean())
