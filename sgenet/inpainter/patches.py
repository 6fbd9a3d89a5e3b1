"""PatchMatch (Barnes et al. 2009) by the library PyPatchMatch, for an image of any size.

A large image is filled at a smaller size. What is filled there says what was copied from where: each patch over the
hole resembles the known patch that it came from. These are found, for all patches over the hole at once: each tries
what its neighbours found, moved by as much, and places at random around its own find. At full size, the same patches
are copied from the same places. A patch is named by the index of its middle pixel, row by row.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from scipy.ndimage import binary_dilation
from torch import Tensor

from sgenet.errors import UserError
from sgenet.inpainter.pyramid import Bools, Floats, Scene, to_floats

Pixels = npt.NDArray[np.uint8]

_RADIUS = 3
"""Of a patch: 7×7 pixels."""

_SIDE = 2 * _RADIUS + 1
_NUM_COMPONENTS = 24
"""Principal components by which patches are compared."""

_SAMPLES = 4000
_ROUNDS = 4
_JUMPS = (4, 2, 1)
_COHERENCE = 1.5
"""A neighbour's find is taken although it fits this much worse: what continues the neighbour's copy has no seam."""

_SHARPNESS = 40.0
"""How much more the patches that fit best count in a pixel's colour; the mean of all would be a blur."""


_LARGEST = 1_000_000
"""Pixels of the largest image that PyPatchMatch fills, in some 10 s."""


def fill_by_patches(scene: Scene) -> Floats:
    """Fill a hole by PatchMatch; the same for the same scene.

    Returns:
        (H, W, 3) in [-1, 1]; as drawn where too little is known to copy from.

    Raises:
        UserError: PyPatchMatch has no native code for this machine.
    """
    scenes = [scene]
    while scenes[-1].hole.size > _LARGEST:
        scenes.append(scenes[-1].halved())
    small = scenes[-1]
    if not source_middles(small.unknown).any():
        return scene.image
    pixels = np.rint((small.image + 1) * np.float32(127.5)).clip(0, 255).astype(np.uint8)
    filled = to_floats(patchmatch(pixels, small.hole, small.unknown & ~small.hole))
    return filled if small is scene else copy_at_full_size(scenes, filled)


def patchmatch(image: Pixels, hole: Bools, excluded: Bools | None = None) -> Pixels:
    """Fill a hole by PyPatchMatch, whose every call begins with the same seed.

    Args:
        image: (H, W, 3).
        hole: (H, W).
        excluded: (H, W), what is neither filled nor copied.

    Returns:
        (H, W, 3); known pixels are those of the image.

    Raises:
        UserError: the library has no native code for this machine.
    """
    import patchmatch as library

    if not library.patchmatch_available:
        raise UserError(
            "PyPatchMatch, which copies texture, has no native code for this machine; "
            "fill with the texture of the network, or without the baseline patchmatch"
        )
    excluded = excluded if excluded is not None and excluded.any() else None
    filled = library.inpaint(image, hole, global_mask=excluded, patch_size=_RADIUS)
    return np.where(hole[..., None], filled, image)


def source_middles(unknown: Bools) -> Bools:
    """(h, w): whether a pixel is the middle of a patch of which all is known."""
    return ~binary_dilation(unknown, np.ones((_SIDE, _SIDE), bool), border_value=True)


@torch.inference_mode()
def copy_at_full_size(sizes: Sequence[Scene], filled: Floats) -> Floats:
    """Copy at full size what was copied at the smallest one.

    Args:
        sizes: of the image: full size, half of it, a quarter …
        filled: (h, w, 3), the last of the sizes, filled with copies of what is known there.

    Returns:
        (H, W, 3): the first of the sizes, filled.
    """
    patches = _Patches(sizes[-1])
    patches.match(torch.from_numpy(filled), torch.Generator().manual_seed(0))
    for scene in reversed(sizes[:-1]):
        finer = _Patches(scene)
        finer.match_as(patches)
        patches = finer
    return patches.vote().numpy()


class _Patches:
    """The patches of one size: sources, of which all is known, and targets, which overlap the hole.

    Attributes:
        matches: (N,) the source that each target resembles, once there are some.
        fits: (N,) in (0, 1], how well.
    """

    def __init__(self, scene: Scene) -> None:
        self.image = torch.from_numpy(scene.image)
        self.height, self.width = scene.hole.shape
        self.is_source = torch.from_numpy(source_middles(scene.unknown)).flatten()
        self.sources = self.is_source.nonzero()[:, 0]
        self.hole = torch.from_numpy(scene.hole).flatten().nonzero()[:, 0]
        overlaps = binary_dilation(scene.hole, np.ones((_SIDE, _SIDE), bool))
        overlaps &= source_middles(np.zeros_like(scene.hole))  # inside the image
        self.targets = torch.from_numpy(overlaps).flatten().nonzero()[:, 0]
        self._target_at = torch.full((scene.hole.size,), -1)
        self._target_at[self.targets] = torch.arange(len(self.targets))
        self.matches = torch.empty(0, dtype=torch.long)
        self.fits = torch.empty(0)

    def match(self, filled: Tensor, generator: torch.Generator) -> None:
        """Find the source that each target resembles in a filled image (h, w, 3)."""
        features = self._features(filled)
        wanted = features[self.targets]
        self.matches = self.sources[torch.randint(len(self.sources), self.targets.shape, generator=generator)]
        cost = _distances(features, self.matches, wanted)
        rows, columns = self.targets // self.width, self.targets % self.width

        def take_better(found_rows: Tensor, found_columns: Tensor, usable: Tensor, patience: float) -> None:
            nonlocal cost
            tried, is_source = self._sources_at(found_rows, found_columns)
            tried = torch.where(usable & is_source, tried, self.matches)
            tried_cost = _distances(features, tried, wanted)
            better = (tried_cost < cost * patience) & (tried != self.matches)
            self.matches, cost = torch.where(better, tried, self.matches), torch.where(better, tried_cost, cost)

        for _ in range(_ROUNDS):
            for jump in _JUMPS:
                for down, right in ((-jump, 0), (jump, 0), (0, -jump), (0, jump)):
                    neighbour, is_there = self._targets_at(rows + down, columns + right)
                    found = self.matches[neighbour]
                    patience = _COHERENCE if jump == 1 else 1.0
                    take_better(found // self.width - down, found % self.width - right, is_there, patience)
            reach = max(self.height, self.width) // 2
            while reach >= 1:
                moves = torch.randint(-reach, reach + 1, (2, len(rows)), generator=generator)
                found = self.matches
                take_better(found // self.width + moves[0], found % self.width + moves[1], torch.tensor(True), 1.0)
                reach //= 2
        typical = cost[:: max(1, len(cost) // 10_000)].quantile(0.75)
        # The best fit counts 1, so that no pixel is left without a vote.
        self.fits = torch.exp((cost.min() - cost) * (_SHARPNESS / (typical + 1e-8))).clamp(min=1e-20)

    def match_as(self, coarser: _Patches) -> None:
        """Copy from where the patches of half the size copy."""
        rows, columns = self.targets // self.width, self.targets % self.width
        # At the border, where a patch of half the size would not lie inside, the next one does.
        under_rows = (rows // 2).clamp(_RADIUS, coarser.height - 1 - _RADIUS)
        under_columns = (columns // 2).clamp(_RADIUS, coarser.width - 1 - _RADIUS)
        under = coarser._target_at[under_rows * coarser.width + under_columns]
        found, self.fits = coarser.matches[under], coarser.fits[under]
        found_rows, found_columns = found // coarser.width * 2, found % coarser.width * 2
        moved, is_source = self._sources_at(
            found_rows + rows - under_rows * 2, found_columns + columns - under_columns * 2
        )
        # All is known around the middle of what was found.
        self.matches = torch.where(is_source, moved, found_rows * self.width + found_columns)

    def vote(self) -> Tensor:
        """(h, w, 3): each pixel of the hole is the mean of what patches copy there, weighted by how well they fit."""
        pixels = self.image.reshape(-1, 3)
        rows, columns = self.hole // self.width, self.hole % self.width
        colours, total = torch.zeros(len(self.hole), 3), torch.zeros(len(self.hole), 1)
        for down in range(-_RADIUS, _RADIUS + 1):
            for right in range(-_RADIUS, _RADIUS + 1):
                target, is_there = self._targets_at(rows - down, columns - right)
                weight = (self.fits[target] * is_there)[:, None]
                colours += weight * pixels[self.matches[target] + down * self.width + right]
                total += weight
        voted = pixels.clone()
        voted[self.hole] = colours / total
        return voted.reshape(self.image.shape)

    def _features(self, filled: Tensor) -> Tensor:
        """(h·w, components) of the patch around every pixel; squared differences are those of the patches."""
        planes = filled.permute(2, 0, 1)[None]
        patches = F.unfold(F.pad(planes, (_RADIUS,) * 4, mode="replicate"), _SIDE)[0]
        sample = patches[:, self.sources[:: max(1, len(self.sources) // _SAMPLES)]].double()
        sample -= sample.mean(dim=1, keepdim=True)
        _, directions = torch.linalg.eigh(sample @ sample.T)
        return (patches.T @ directions[:, -_NUM_COMPONENTS:].float()).contiguous()

    def _targets_at(self, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
        """Numbers of the targets at these places, and whether there are any."""
        inside = (rows >= 0) & (rows < self.height) & (columns >= 0) & (columns < self.width)
        target = self._target_at[torch.where(inside, rows * self.width + columns, 0)]
        return target.clamp(min=0), inside & (target >= 0)

    def _sources_at(self, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
        """Indices of these places, and whether sources are there."""
        inside = (rows >= 0) & (rows < self.height) & (columns >= 0) & (columns < self.width)
        index = torch.where(inside, rows * self.width + columns, 0)
        return index, inside & self.is_source[index]


def _distances(features: Tensor, sources: Tensor, wanted: Tensor) -> Tensor:
    return features.index_select(0, sources).sub_(wanted).square_().sum(dim=1)
