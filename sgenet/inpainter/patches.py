"""One size of an image as patches: which known patch each patch over the hole resembles, and what they draw together.

PatchMatch (Barnes et al. 2009), for all patches over the hole at once: each tries what its neighbours found, moved by
as much, and places at random around its own find. A patch is named by the index of its middle pixel, row by row.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

RADIUS = 3
"""Of a patch: 7×7 pixels."""

SIDE = 2 * RADIUS + 1

_NUM_COMPONENTS = 24
"""Principal components by which patches are compared. They leave out the finest detail, so that what is still soft in
the hole may resemble what is crisp outside it."""

_SAMPLES = 4000
_ROUNDS = 2
_JUMPS = (4, 2, 1)
_COHERENCE = 1.5
"""A neighbour's find is taken although it fits this much worse: what continues the neighbour's copy has no seam."""

_KNOWN_REACH = 2
"""So far around its middle a source is known. What is unknown at its edge is compared as it is drawn, and not copied:
where an image is small, few patches are known to the last pixel."""

_TRUST = 3.0
"""Patches nearer to the hole's edge, which see more of what is known, count so many times more than those a pixel
further in. Else what lies deep in the hole, which agrees with itself, outvotes them, and the edge becomes a seam."""

_ENOUGH = 0.25
"""A class whose known patches are fewer than this share of those to be filled is asked for less strictly."""


@dataclass(frozen=True)
class Scene:
    """One size of an image.

    Attributes:
        image: (h, w, 3) in [-1, 1]: what is known, and in the hole a first filling.
        unknown: (h, w) bool, what must not be copied; includes the hole.
        hole: (h, w) bool, what is filled.
        label, confidence: (h, w) class ids and how sure they are, in [0, 1]; or None.
    """

    image: Tensor
    unknown: Tensor
    hole: Tensor
    label: Tensor | None = None
    confidence: Tensor | None = None


def mirrored(scene: Scene) -> Scene:
    """The scene with a mirrored margin of a patch's radius, so that every pixel is the middle of a patch."""
    label, confidence = (None if plane is None else _mirror(plane) for plane in (scene.label, scene.confidence))
    return Scene(_mirror(scene.image), _mirror(scene.unknown), F.pad(scene.hole, (RADIUS,) * 4), label, confidence)


def _mirror(plane: Tensor) -> Tensor:
    """(h, w, …) → (h + 2 radii, w + 2 radii, …); a side must be longer than the radius."""
    channels_first = plane.reshape(*plane.shape[:2], -1).permute(2, 0, 1)[None].float()
    padded = F.pad(channels_first, (RADIUS,) * 4, mode="reflect")[0].permute(1, 2, 0)
    return padded.reshape(padded.shape[:2] + plane.shape[2:]).to(plane.dtype)


def within_reach(mask: Tensor, reach: int = RADIUS) -> Tensor:
    """(h, w) bool → (h, w): whether a pixel of the mask lies within so many rows and columns."""
    return F.max_pool2d(mask[None, None].float(), 2 * reach + 1, 1, reach)[0, 0] > 0


class Patches:
    """The patches of one size: sources, known around their middle, and targets, which overlap the hole.

    Attributes:
        matches: (N,) the source that each target resembles, once there are some.
    """

    def __init__(self, scene: Scene) -> None:
        """Find sources and targets in a scene with a margin."""
        image, unknown, hole = scene.image, scene.unknown, scene.hole
        self.height, self.width = hole.shape
        self.pixels = image.reshape(-1, 3)
        inside = torch.zeros_like(hole)
        inside[RADIUS : self.height - RADIUS, RADIUS : self.width - RADIUS] = True
        self._is_known = ~unknown.flatten()
        self.is_source = (inside & ~within_reach(unknown, _KNOWN_REACH)).flatten()
        self.sources = self.is_source.nonzero()[:, 0]
        self.targets = (inside & within_reach(hole)).flatten().nonzero()[:, 0]
        self.hole = hole.flatten().nonzero()[:, 0]
        self._target_at = torch.full((self.height * self.width,), -1, device=hole.device)
        self._target_at[self.targets] = torch.arange(len(self.targets), device=hole.device)
        span = torch.arange(-RADIUS, RADIUS + 1, device=hole.device)
        self._offsets = (span[:, None] * self.width + span).flatten()
        self.matches = torch.empty(0, dtype=torch.long, device=hole.device)

    def match_at_random(self, generator: torch.Generator) -> None:
        """Begin with any source."""
        self.matches = self._random_sources(generator)

    def match_as(self, coarser: Patches, generator: torch.Generator) -> None:
        """Begin with the matches of the patches of half the size."""
        # Without the margin, which is as wide at every size.
        rows, columns = self.targets // self.width - RADIUS, self.targets % self.width - RADIUS
        under = (rows // 2 + RADIUS) * coarser.width + columns // 2 + RADIUS
        found = coarser.matches[coarser._target_at[under]]
        found_rows = (found // coarser.width - RADIUS) * 2 + rows % 2
        found_columns = (found % coarser.width - RADIUS) * 2 + columns % 2
        found, is_source = self._sources_at(found_rows + RADIUS, found_columns + RADIUS)
        self.matches = torch.where(is_source, found, self._random_sources(generator))

    def vote(self, current: Tensor, depths: Tensor, weights: Tensor) -> Tensor:
        """Colour each pixel of the hole by the mean of what the patches over it copy there.

        Args:
            current: (h·w, 3), kept outside the hole.
            depths: (h·w,), how many pixels each lies within the hole, 0 outside.
            weights: (N,), how much each target counts; less, the deeper in the hole it lies.
        """
        rows, columns = self.hole // self.width, self.hole % self.width
        target_depths, hole_depths = depths[self.targets], depths[self.hole]
        colours = torch.zeros_like(current[self.hole])
        total = torch.zeros_like(colours[:, :1])
        for row in range(-RADIUS, RADIUS + 1):
            for column in range(-RADIUS, RADIUS + 1):
                target, is_there = self._targets_at(rows - row, columns - column)
                copied = torch.where(is_there, self.matches[target] + row * self.width + column, self.hole)
                trusted = weights[target] * _TRUST ** (hole_depths - target_depths[target])
                weight = torch.where(is_there & self._is_known[copied], trusted, 0.0)[:, None]
                colours += weight * self.pixels[copied]
                total += weight
        voted = current.clone()
        voted[self.hole] = torch.where(total > 0, colours / total.clamp(min=1e-30), current[self.hole])
        inner = voted.view(self.height, self.width, 3)[RADIUS:-RADIUS, RADIUS:-RADIUS]
        return _mirror(inner).reshape(-1, 3)

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

    def _random_sources(self, generator: torch.Generator) -> Tensor:
        chosen = torch.randint(len(self.sources), (len(self.targets),), generator=generator)
        return self.sources[chosen.to(self.sources.device)]


class Search:
    """Finds the sources that targets resemble in texture, in what the guide says, and in class.

    Args:
        patches: whose matches are improved.
        scene: what they are patches of.
        guide: (h, w, G), what to follow beside the texture, such as blurred colours; squared differences in it count
            as much as the mean ones of a patch's values.
        class_weight: what another class costs, where both classes are certain.
    """

    def __init__(self, patches: Patches, scene: Scene, guide: Tensor, class_weight: float) -> None:
        self._patches = patches
        self._basis = self._principal_components()
        components = self._basis.shape[1]
        kernels = self._basis.T.reshape(components, SIDE, SIDE, 3).permute(0, 3, 1, 2)
        texture = F.conv2d(scene.image.permute(2, 0, 1)[None], kernels, padding=RADIUS)[0].flatten(1).T
        self._features = torch.cat((texture, guide.flatten(0, 1)), dim=1).contiguous()
        self._label = None if scene.label is None else scene.label.flatten().long()
        if self._label is not None and scene.confidence is not None:
            certain = scene.confidence.flatten() * class_weight**0.5
            self._source_certain = certain
            self._target_certain = (certain * self._supply(self._label)[self._label])[patches.targets]
        self._cost = torch.empty(0)

    def run(self, current: Tensor, generator: torch.Generator, *, by_texture: bool) -> None:
        """Improve the matches.

        Args:
            current: (h·w, 3), the image as it is filled so far.
            by_texture: False where what is filled so far has none: guide and class decide.
        """
        patches, features = self._patches, self._features
        texture = self._patches_of(current, patches.targets) @ self._basis
        wanted = torch.cat((texture, features[patches.targets, texture.shape[1] :]), dim=1)
        if not by_texture:
            wanted, features = wanted[:, texture.shape[1] :], features[:, texture.shape[1] :].contiguous()
        self._cost = self._costs(wanted, features, patches.matches)
        rows, columns = patches.targets // patches.width, patches.targets % patches.width
        for _ in range(_ROUNDS):
            for jump in _JUMPS:
                for down, right in ((-jump, 0), (jump, 0), (0, -jump), (0, jump)):
                    neighbour, is_there = patches._targets_at(rows + down, columns + right)
                    found = patches.matches[neighbour]
                    moved, usable = patches._sources_at(found // patches.width - down, found % patches.width - right)
                    self._take_better(wanted, features, moved, is_there & usable, _COHERENCE if jump == 1 else 1.0)
            reach = max(patches.height, patches.width) // 2
            while reach >= 1:
                moves = torch.randint(-reach, reach + 1, (2, len(rows)), generator=generator).to(rows.device)
                found = patches.matches
                tried, usable = patches._sources_at(found // patches.width + moves[0], found % patches.width + moves[1])
                self._take_better(wanted, features, tried, usable, 1.0)
                reach //= 2

    def weights(self, sharpness: float) -> Tensor:
        """How much each target counts in the vote, (N,): the more, the better it fits, and the sharper the vote."""
        typical = self._cost[:: max(1, len(self._cost) // 10_000)].quantile(0.75)
        # The best fit counts 1, so that no pixel is left without a vote.
        return torch.exp(-(self._cost - self._cost.min()) * (sharpness / 2) / (typical + 1e-8)).clamp(min=1e-20)

    def _take_better(self, wanted: Tensor, features: Tensor, tried: Tensor, usable: Tensor, patience: float) -> None:
        tried = torch.where(usable, tried, self._patches.matches)
        cost = self._costs(wanted, features, tried)
        better = cost < self._cost * patience
        better &= usable
        self._patches.matches = torch.where(better, tried, self._patches.matches)
        self._cost = torch.where(better, cost, self._cost)

    def _costs(self, wanted: Tensor, features: Tensor, sources: Tensor) -> Tensor:
        cost = features.index_select(0, sources).sub_(wanted).square_().sum(dim=1)
        if self._label is not None:
            differs = self._label[self._patches.targets] != self._label[sources]
            cost += self._target_certain * self._source_certain[sources] * differs
        return cost

    def _supply(self, label: Tensor) -> Tensor:
        """(K,) in [0, 1]: whether there is enough of each class to copy from."""
        classes = int(label.max()) + 1
        wanted, there = (
            torch.bincount(label[patches], minlength=classes)
            for patches in (self._patches.targets, self._patches.sources)
        )
        return (there / (wanted * _ENOUGH).clamp(min=1)).clamp(max=1)

    def _principal_components(self) -> Tensor:
        """(147, components), scaled so that squared distances are means over a patch's values."""
        sources = self._patches.sources
        values = self._patches_of(self._patches.pixels, sources[:: max(1, len(sources) // _SAMPLES)]).double()
        values -= values.mean(dim=0)
        _, directions = torch.linalg.eigh(values.T @ values)
        return (directions[:, -_NUM_COMPONENTS:] / values.shape[1] ** 0.5).float()

    def _patches_of(self, pixels: Tensor, middles: Tensor) -> Tensor:
        return pixels[middles[:, None] + self._patches._offsets].flatten(1)
