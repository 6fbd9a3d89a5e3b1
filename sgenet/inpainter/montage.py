"""A hole as a montage of shifted copies of the image: which pixel is copied with which offset.

The choice is the one with the least visible seams (shift-map editing, Pritch et al. 2009): where neighbours are copied
with different offsets, it costs how much the two copies differ there. It is found by expansion moves (Boykov et al.
2001): each offset in turn is offered to all pixels at once, and which of them take it is a minimum cut of a graph.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_dilation, find_objects
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

from sgenet.inpainter.offsets import Offsets
from sgenet.inpainter.pyramid import Bools, Floats, Scene

Indices = npt.NDArray[np.intp]
Costs = npt.NDArray[np.float64]

_CANNOT = 1000.0
"""What it costs to copy an unknown pixel, more than all seams around it. Colours are in [-1, 1]."""

_AS_DRAWN = 100.0
"""Cost of a pixel as the network drew it, so high that only pixels without a usable offset stay so."""

_VISIBLE = 0.4
"""A difference of colours that costs itself; smaller ones, which blending closes, cost less, and larger ones more, by
their square."""

_MOST_NODES = 2500
"""Of a graph; pixels are joined to blocks for that, which the next size refines."""

_ROUNDS = 2
_PRECISION = 1000
"""Of costs, for the cut, whose capacities are integers."""

_BAND = 2
"""Pixels on either side of a seam that may choose again at the next larger size."""


@dataclass(frozen=True)
class Montage:
    """A scene and with which offset each of its pixels is copied.

    Attributes:
        scene: at some size.
        offsets: in pixels of that size; the first is (0, 0): a pixel stays as it is, in the hole as it was drawn.
        choice: (h·w,) the number of an offset, 0 outside of the hole.
    """

    scene: Scene
    offsets: Offsets
    choice: Indices

    def sources(self, pixels: Indices, choice: Indices | int) -> tuple[Indices, Bools]:
        """From which pixels these would be copied with some choice, and whether these are known."""
        height, width = self.scene.hole.shape
        rows = pixels // width + self.offsets[choice, 0]
        columns = pixels % width + self.offsets[choice, 1]
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        found = np.where(inside, rows * width + columns, pixels)
        return found, inside & ~self.scene.unknown.ravel()[found]

    def enlarged(self, scene: Scene) -> Montage:
        """The same at twice the size, that of ``scene``, its seams made finer."""
        height, width = scene.hole.shape
        choice = self.choice.reshape(self.scene.hole.shape).repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
        larger = Montage(scene, 2 * self.offsets, np.where(scene.hole, choice, 0).ravel())
        return larger.refined()

    def refined(self) -> Montage:
        """Pixels near a seam choose again, among the offsets on both of its sides."""
        shape = self.scene.hole.shape
        choice = self.choice.copy()
        refined = replace(self, choice=choice)
        near_seam = binary_dilation(_seams(choice.reshape(shape)), iterations=_BAND) & self.scene.hole
        for number, box in enumerate(find_objects(choice.reshape(shape)), 1):
            if box is None:
                continue
            part = tuple(slice(max(0, side.start - 2 * _BAND), side.stop + 2 * _BAND) for side in box)
            offered = binary_dilation(choice.reshape(shape)[part] == number, iterations=2 * _BAND) & near_seam[part]
            rows, columns = np.nonzero(offered)
            pixels = (rows + part[0].start) * shape[1] + columns + part[1].start
            pixels = pixels[self.sources(pixels, number)[1]]
            nothing = np.zeros(len(pixels))
            taken = _takers(refined, number, pixels, np.arange(len(pixels)), nothing)
            choice[pixels[taken]] = number
        return refined


def assemble(scene: Scene, offsets: Offsets, cost: Callable[[Indices, Indices], Floats]) -> Montage:
    """Choose for each pixel of the hole with which offset it is copied.

    Args:
        offsets: (L, 2), those to choose from.
        cost: of copying the first pixels (their indices) from the second ones, beside the seams; at least 0 each.
    """
    pixels = np.flatnonzero(scene.hole)
    choice = np.zeros(scene.hole.size, np.intp)
    montage = Montage(scene, np.concatenate((np.zeros((1, 2), np.int64), offsets)), choice)
    block = int(np.ceil(np.sqrt(len(pixels) / _MOST_NODES)))
    rows, columns = np.divmod(pixels, scene.hole.shape[1])
    _, blocks = np.unique(rows // block * scene.hole.shape[1] + columns // block, return_inverse=True)
    costs = np.full((len(offsets) + 1, len(pixels)), _CANNOT)
    costs[0] = _AS_DRAWN
    for number in range(1, len(costs)):
        sources, known = montage.sources(pixels, number)
        costs[number, known] = cost(pixels[known], sources[known])
    numbers = list(range(1, len(costs)))
    for _ in range(_ROUNDS):
        for number in numbers:
            possible = np.ones(blocks.max() + 1, bool)
            possible[blocks[costs[number] == _CANNOT]] = False
            offered = np.flatnonzero(possible[blocks])
            more = costs[number, offered] - costs[choice[pixels[offered]], offered]
            taken = _takers(montage, number, pixels[offered], blocks[offered], more)
            choice[pixels[offered[taken]]] = number
        numbers = np.setdiff1d(choice, [0]).tolist()  # only those in use
    return montage.refined()


def _takers(montage: Montage, number: int, pixels: Indices, nodes: Indices, more: Costs) -> Bools:
    """Which of some pixels take an offset that is offered to them all, so that the whole costs least.

    Args:
        number: of the offset.
        pixels: ascending, all of which may take it.
        nodes: of each pixel; those of one node take it together or not at all.
        more: what each pixel costs more, apart from seams, once it takes it.
    """
    if not len(pixels):
        return np.zeros(0, bool)
    _, nodes = np.unique(nodes, return_inverse=True)
    count = int(nodes.max()) + 1
    extra = np.zeros(count)
    extra += np.bincount(nodes, weights=more, minlength=count)
    first, second = neighbours(pixels, montage.scene)
    node_of = np.full(montage.scene.hole.size, -1)
    node_of[pixels] = nodes
    now = montage.choice[first], montage.choice[second]
    matters = (node_of[first] != node_of[second]) & ((now[0] != number) | (now[1] != number))
    first, second, now = first[matters], second[matters], (now[0][matters], now[1][matters])
    left, right, new = (_copies(montage, first, second, choice) for choice in (*now, number))
    seam, first_takes, second_takes = _seam_costs(left, right), _seam_costs(new, right), _seam_costs(left, new)
    one, other = node_of[first], node_of[second]
    both, only_second = (one >= 0) & (other >= 0), one < 0
    # A pair costs `seam` when neither takes it and nothing when both do: split into costs of either and one of the pair
    # (Kolmogorov and Zabih 2004, table 1).
    extra += np.bincount(one[~only_second], weights=(first_takes - seam)[~only_second], minlength=count)
    extra += np.bincount(other[only_second], weights=(second_takes - seam)[only_second], minlength=count)
    extra += np.bincount(other[both], weights=-first_takes[both], minlength=count)
    together = (first_takes + second_takes - seam)[both].clip(min=0)
    return _cut(extra, one[both], other[both], together)[nodes]


def _cut(extra: Costs, one: Indices, other: Indices, costs: Costs) -> Bools:
    """(N,) which nodes to choose, so that the least is paid: ``extra`` for each chosen one, and ``costs`` for each pair
    of which only the other is chosen."""
    count = len(extra)
    source, sink = count, count + 1
    every = np.arange(count)
    start = np.concatenate((one, np.full(count, source), every))
    end = np.concatenate((other, every, np.full(count, sink)))
    capacity = np.rint(np.concatenate((costs, extra.clip(min=0), (-extra).clip(min=0))) * _PRECISION).astype(np.int32)
    used = capacity > 0
    graph = csr_matrix((capacity[used], (start[used], end[used])), shape=(count + 2, count + 2))
    rest = graph - maximum_flow(graph, source, sink).flow
    rest.data[rest.data < 0] = 0
    rest.eliminate_zeros()
    chosen = np.ones(count + 2, bool)
    chosen[breadth_first_order(rest, source, return_predecessors=False)] = False
    return chosen[:count]


class _Copies(NamedTuple):
    """What pairs of neighbours show when both are copied with the same offset: (N, 3) colours, (N,) whether known."""

    first: Floats
    first_known: Bools
    second: Floats
    second_known: Bools


def _copies(montage: Montage, first: Indices, second: Indices, choice: Indices | int) -> _Copies:
    colours = montage.scene.image.reshape(-1, 3)
    (at_first, first_known), (at_second, second_known) = (montage.sources(each, choice) for each in (first, second))
    return _Copies(colours[at_first], first_known, colours[at_second], second_known)


def _seam_costs(one: _Copies, other: _Copies) -> Costs:
    """(N,) how visible the seam is where the first neighbour is of ``one`` and the second of ``other``: how much both
    copies differ at each of the two pixels. Where a copy is unknown at one, the other counts twice; where at both, the
    visible difference does."""
    at_first, at_second = _distance(one.first, other.first), _distance(one.second, other.second)
    first_known, second_known = one.first_known & other.first_known, one.second_known & other.second_known
    total = np.where(first_known, at_first, at_second) + np.where(second_known, at_second, at_first)
    return np.where(first_known | second_known, total, 2 * _distance(one.first, other.second))


def _distance(here: Floats, there: Floats) -> Costs:
    difference = here - there
    return np.einsum("ij,ij->i", difference, difference).astype(np.float64) / _VISIBLE


def neighbours(pixels: Indices, scene: Scene) -> tuple[Indices, Indices]:
    """All pairs of neighbours, left and right or above and below, with at least one of some pixels of the hole; what
    is transparent is no neighbour."""
    height, width = scene.hole.shape
    is_neighbour = (scene.hole | ~scene.unknown).ravel()
    chosen = np.zeros(height * width, bool)
    chosen[pixels] = True
    firsts, seconds = [], []
    for step, has_next, has_previous in (
        (1, pixels % width < width - 1, pixels % width > 0),
        (width, pixels < (height - 1) * width, pixels >= width),
    ):
        forward, back = pixels[has_next], pixels[has_previous]
        back = back[~chosen[back - step]]
        firsts += [forward, back - step]
        seconds += [forward + step, back]
    first, second = np.concatenate(firsts), np.concatenate(seconds)
    both = is_neighbour[first] & is_neighbour[second]
    return first[both], second[both]


def _seams(choice: Indices) -> Bools:
    """(h, w): whether a neighbour of a pixel is copied with another offset."""
    seams = np.zeros(choice.shape, bool)
    for before, after in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        differs = choice[before] != choice[after]
        seams[before] |= differs
        seams[after] |= differs
    return seams
