"""How tables and pages call methods and segmenters."""

from __future__ import annotations

from sgenet.methods.registry import METHODS

TITLES = {
    "mean_colour": "Mean colour",
    "telea": "Telea",
    "navier_stokes": "Navier–Stokes",
    "biharmonic": "Biharmonic",
    "membrane": "Membrane",
    "patchmatch": "PatchMatch",
    **{name: spec.title for name, spec in METHODS.items()},
    **{f"{name}_exemplar": f"{spec.title} + exemplars" for name, spec in METHODS.items()},
    "undamaged": "Undamaged images",
}
"""How the tables call a method."""

SEGMENTER_TITLES = {"deep_parsing": "DPN", "deeplab_v3_plus": "DeepLab v3+", "transformers": "transformers"}
"""How the tables call a segmenter."""
