"""SGE-Net: semantic-aware image inpainting for mixed scenes (Liao et al., ECCV 2020).

The method alone: tensors and images in, tensors and images out. Nothing here
knows of clusters, object stores, experiment trackers or settings files.
"""

__version__ = "0.1.0"
