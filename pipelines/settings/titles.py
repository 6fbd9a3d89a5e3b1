"""How tables and pages call methods and segmenters."""

TITLES = {
    "mean_colour": "Mean colour",
    "telea": "Telea",
    "navier_stokes": "Navier–Stokes",
    "biharmonic": "Biharmonic",
    "membrane": "Membrane",
    "patchmatch": "PatchMatch",
    "base_net": "Base-Net",
    "sg_net": "SG-Net",
    "sge_net": "SGE-Net",
    "gated_conv": "GatedConv",
    "edge_connect": "EdgeConnect",
    "spg_net": "SPG-Net",
    "undamaged": "Undamaged pictures",
}
"""How the tables call a method."""

SEGMENTER_TITLES = {"deep_parsing": "DPN", "deeplab_v3_plus": "DeepLab v3+", "transformers": "transformers"}
"""How the tables call a segmenter."""
