"""How tables and pages call methods and segmenters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from sgenet.methods.registry import METHODS

BASELINE_TITLES = {
    "mean_colour": "Mean colour",
    "telea": "Telea",
    "navier_stokes": "Navier–Stokes",
    "biharmonic": "Biharmonic",
    "membrane": "Membrane",
    "patchmatch": "PatchMatch",
}
"""How the tables call a method without learning."""

if TYPE_CHECKING:
    BaselineName = str
else:
    BaselineName = Literal[tuple(BASELINE_TITLES)]

TITLES = {
    **BASELINE_TITLES,
    **{name: spec.title for name, spec in METHODS.items()},
    **{f"{name}_exemplar": f"{spec.title} + exemplars" for name, spec in METHODS.items()},
    "undamaged": "Undamaged images",
}
"""How the tables call a method."""

SEGMENTER_TITLES = {"deep_parsing": "DPN", "deeplab_v3_plus": "DeepLab v3+", "transformers": "transformers"}
"""How the tables call a segmenter."""
