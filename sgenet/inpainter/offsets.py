"""At which offsets an image repeats itself, by the most similar patches to some of its own.

The offsets from patches anywhere to the most similar ones are few, and the same over and over: along a horizon, from
wave to wave, over a meadow (He and Sun, *Statistics of Patch Offsets*, ECCV 2012). Those of patches beside the hole,
however rare, continue what it cuts: a ridge, a trunk, the edge of a cloud.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view
from scipy.ndimage import gaussian_filter, maximum_filter

from sgenet.inpainter.pyramid import Bools, Floats

Offsets = npt.NDArray[np.int64]
"""(L, 2): rows down and columns right, from a pixel to the one that it is copied from."""

_NONE: Offsets = np.zeros((0, 2), np.int64)
_SIDE = 8
"""Pixels of a patch, each way."""

_NUM_COMPONENTS = 24
"""Principal components by which patches are compared."""

_SAMPLES = 3000
"""Patches whose principal components are taken."""

_QUERIES = 2000
"""Patches anywhere whose most similar one is sought."""

_LEVELS = 400
"""Levels of the first component, either way. Of integers no larger, distances are exact in float32, so that equal
patches are equally far, however many threads multiply."""

_AT_ONCE = 256
_FEWEST_PATCHES = 64
_NEIGHBOURHOOD = 1 / 15
"""Of the longer side: closer patches are similar in any image, and say nothing."""

_PEAK = 9
"""Rows and columns around a peak in which there is no other."""


def offsets_to_similar(
    image: Floats, hole: Bools, unknown: Bools, frequent: int, beside: int
) -> tuple[Offsets, Offsets]:
    """The offsets that patches of an image have to the most similar ones.

    Args:
        image: (h, w, 3).
        hole: (h, w), what is to be filled.
        unknown: (h, w), what cannot be copied; includes the hole.
        frequent: how many, at most, of those that most patches have and that reach known pixels from much of the hole.
        beside: how many patches beside the hole to take the offset of.

    Returns:
        The frequent ones, the most frequent first, and those of patches beside the hole; none where hardly anything is
        known. The same for the same arguments.
    """
    height, width = hole.shape
    if min(height, width) < _SIDE:
        return _NONE, _NONE
    known = sliding_window_view(~unknown, (_SIDE, _SIDE)).all((2, 3))
    rows, columns = np.nonzero(known)
    if len(rows) < _FEWEST_PATCHES:
        return _NONE, _NONE
    anywhere = np.random.default_rng(0).permutation(len(rows))[:_QUERIES]
    hole_and_rim: Bools = maximum_filter(hole, size=3)
    at_hole = np.flatnonzero(sliding_window_view(hole_and_rim, (_SIDE, _SIDE))[rows, columns].any((1, 2)))
    at_hole = at_hole[np.linspace(0, len(at_hole) - 1, min(len(at_hole), beside)).astype(int)]
    queries = np.concatenate((anywhere, at_hole))
    found = _most_similar(_features(image, rows, columns), rows, columns, queries, max(height, width) * _NEIGHBOURHOOD)
    offsets = np.stack((rows[found] - rows[queries], columns[found] - columns[queries]), axis=1)
    votes = np.zeros((2 * height + 1, 2 * width + 1), np.float32)
    for sign in (1, -1):  # what resembles the other is resembled by it
        np.add.at(votes, tuple((sign * offsets[: len(anywhere)] + (height, width)).T), 1)
    votes[height, width] = 0  # patches that resemble none
    continuing = np.unique(offsets[len(anywhere) :], axis=0)
    often = _peaks(gaussian_filter(votes, np.sqrt(2)) * _share_known(hole, unknown), frequent)
    return often, continuing[continuing.any(axis=1)]


def _peaks(score: Floats, number: int) -> Offsets:
    """The offsets of the highest peaks of (2h + 1, 2w + 1) scores, the highest first."""
    peaks = (score == maximum_filter(score, size=_PEAK)) & (score > 1e-4)
    best = np.argsort(-score[peaks], kind="stable")[:number]
    return np.stack(np.nonzero(peaks), axis=1)[best] - [score.shape[0] // 2, score.shape[1] // 2]


def reached(offsets: Offsets, hole: Bools, unknown: Bools) -> Bools:
    """(h, w): the pixels of the hole that some offset takes to a known one."""
    height, width = hole.shape
    known = np.pad(~unknown, ((height, height), (width, width)))
    found = np.zeros_like(hole)
    for down, right in offsets:
        found |= known[height + down : 2 * height + down, width + right : 2 * width + right]
    return found & hole


def _features(image: Floats, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]) -> Floats:
    """(N, components) of the patches whose upper left pixels these are: integers, whose distances are nearly in
    proportion to those of the patches."""
    patches = sliding_window_view(image, (_SIDE, _SIDE), axis=(0, 1))
    some = np.linspace(0, len(rows) - 1, min(len(rows), _SAMPLES)).astype(int)
    sample = patches[rows[some], columns[some]].reshape(len(some), -1).astype(np.float64)
    mean = sample.mean(axis=0)
    _, directions = np.linalg.eigh((sample - mean).T @ (sample - mean))
    basis, middle = directions[:, -_NUM_COMPONENTS:].astype(np.float32), mean.astype(np.float32)
    features = np.empty((len(rows), basis.shape[1]), np.float32)
    for start in range(0, len(rows), 16384):
        part = slice(start, start + 16384)
        features[part] = (patches[rows[part], columns[part]].reshape(-1, len(middle)) - middle) @ basis
    return np.rint(features * np.float32(_LEVELS / max(1e-6, np.abs(features).max())))


def _most_similar(
    features: Floats,
    rows: npt.NDArray[np.intp],
    columns: npt.NDArray[np.intp],
    queries: npt.NDArray[np.intp],
    nearest: float,
) -> npt.NDArray[np.intp]:
    """For each queried patch the most similar one that is farther than ``nearest``; the patch itself if none is."""
    # Squared distances but for the query's own square, which is the same for all, as one product of matrices.
    squares = np.square(features).sum(axis=1, keepdims=True)
    sources = np.concatenate((features, squares), axis=1).T.copy()
    wanted = np.concatenate((-2 * features[queries], np.ones((len(queries), 1), np.float32)), axis=1)
    first = np.searchsorted(rows, rows[queries] - int(nearest), side="left")
    last = np.searchsorted(rows, rows[queries] + int(nearest), side="right")
    found = queries.copy()
    for start in range(0, len(queries), _AT_ONCE):
        distance = wanted[start : start + _AT_ONCE] @ sources
        for number, line in enumerate(distance, start):
            around = slice(first[number], last[number])
            apart = np.hypot(rows[around] - rows[queries[number]], columns[around] - columns[queries[number]])
            line[around][apart <= nearest] = np.inf
            best = line.argmin()
            if np.isfinite(line[best]):
                found[number] = best
    return found


def _share_known(hole: Bools, unknown: Bools) -> Floats:
    """(2h + 1, 2w + 1): the share of the hole that each offset copies from known pixels; (0, 0) is in the middle."""
    from scipy.signal import fftconvolve  # takes a second to import, which what never copies texture has no need of

    count = fftconvolve((~unknown).astype(np.float32), hole[::-1, ::-1].astype(np.float32))
    return np.pad(count / np.count_nonzero(hole), 1).clip(0, 1).astype(np.float32)
