"""Plots of the report as SVG that reads on a light and on a dark page."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from pipelines.report.collect import Curve, DatasetResults, MethodResult

_GREY = "#808890"
_COLOURS = ("#4c8dd6", "#e08a3c", "#3fae7a", "#b56fc6", "#d65f6f", "#9a8f3c")
_STYLE: dict[Any, object] = {
    "svg.hashsalt": "sgenet",  # the same data give the same bytes
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": _GREY,
    "axes.labelcolor": _GREY,
    "axes.edgecolor": _GREY,
    "axes.titlecolor": _GREY,
    "xtick.color": _GREY,
    "ytick.color": _GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": _GREY,
    "grid.alpha": 0.2,
}
_COLUMNS = 3
_MOST_POINTS = 3000
_FEW_POINTS = 20  # are marked
_HEXAGONS = 45  # across a panel
_SMOOTHED = 0.05  # share of the points that the running mean covers


def loss_curves(results: DatasetResults) -> str | None:
    """One panel a loss term, one line a method."""
    return _curves([(method.title, method.training.losses) for method in results.trained if method.training])


def validation_curves(results: DatasetResults) -> str | None:
    """One panel a validation score, one line a method."""
    return _curves([(method.title, method.training.validation) for method in results.trained if method.training])


def _curves(curves: Sequence[tuple[str, Mapping[str, Curve]]]) -> str | None:
    """One panel a quantity, one line a method: the values, faint where there are many, and their running mean."""
    terms = list(dict.fromkeys(term for _, of_method in curves for term in of_method))
    if not terms:
        return None
    num_rows = -(-len(terms) // _COLUMNS)
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(3.4 * _COLUMNS, 2.4 * num_rows), layout="constrained")
        panels = figure.subplots(num_rows, _COLUMNS, squeeze=False).ravel()
        for panel, term in zip(panels, terms, strict=False):
            panel.set_title(term.replace("_", " "), fontsize=9)
            for (title, of_method), colour in zip(curves, _COLOURS * len(curves), strict=False):
                steps, values = of_method.get(term, ([], []))
                panel.plot(steps, values, color=colour, alpha=0.25, linewidth=0.8)
                marker = "." if len(steps) < _FEW_POINTS else ""
                panel.plot(
                    steps, _running_mean(values), marker, color=colour, linestyle="-", linewidth=1.5, label=title
                )
        for panel in panels[len(terms) :]:
            panel.set_visible(False)
        for panel in panels[max(0, len(terms) - _COLUMNS) : len(terms)]:
            panel.set_xlabel("step")
        panels[0].legend(frameon=False)
        return _svg(figure)


def confidence_scatter(results: DatasetResults) -> str | None:
    """Figure 8: hole L1 of every image over its mean confidence in the hole, one panel a method.

    A point an image, or, of more images than can be told apart, how many lie in each hexagon.
    """
    shown = [method for method in results.methods if len(_points(method)[0])]
    if not shown:
        return None
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(3.4 * len(shown), 2.8), layout="constrained")
        panels = figure.subplots(1, len(shown), squeeze=False, sharex=True, sharey=True).ravel()
        points = [_points(method) for method in shown]
        if max(len(confidence) for confidence, _ in points) <= _MOST_POINTS:
            for panel, of_method, colour in zip(panels, points, _COLOURS * len(shown), strict=False):
                panel.scatter(*of_method, s=6, alpha=0.5, color=colour, linewidths=0)
        else:
            _count_in_hexagons(figure, list(panels), points)
        for panel, method in zip(panels, shown, strict=True):
            panel.set_title(method.title, fontsize=9)
            panel.set_xlabel("mean confidence in the hole")
        panels[0].set_ylabel("hole L1")
        return _svg(figure)


def _count_in_hexagons(figure: Figure, panels: Sequence[Axes], points: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
    """How many points lie in each hexagon: the same hexagons and colours in every panel, and their scale."""
    extent = (0.0, 1.0, 0.0, max(float(hole_l1.max()) for _, hole_l1 in points))
    drawn = [
        panel.hexbin(*of_method, gridsize=_HEXAGONS, extent=extent, mincnt=1, cmap="viridis", linewidths=0)
        for panel, of_method in zip(panels, points, strict=True)
    ]
    scale = LogNorm(1, max(float(np.max(np.asarray(hexagons.get_array()))) for hexagons in drawn))
    for hexagons in drawn:
        hexagons.set_norm(scale)
    figure.colorbar(drawn[-1], ax=panels, label="holes in a hexagon")


def _points(method: MethodResult) -> tuple[np.ndarray, np.ndarray]:
    confidence = np.asarray(method.images["confidence_hole"].to_pylist(), np.float64)
    hole_l1 = np.asarray(method.images["l1_hole"].to_pylist(), np.float64)
    known = ~np.isnan(confidence) & ~np.isnan(hole_l1)
    return confidence[known], hole_l1[known]


def _running_mean(values: Sequence[float]) -> np.ndarray:
    """Centred mean over a share of the points, narrower towards the ends."""
    half = int(len(values) * _SMOOTHED / 2)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    positions = np.arange(len(values))
    reach = np.minimum(half, np.minimum(positions, len(values) - 1 - positions))
    means: np.ndarray = (sums[positions + reach + 1] - sums[positions - reach]) / (2 * reach + 1)
    return means


def _svg(figure: Figure) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return text.getvalue()
