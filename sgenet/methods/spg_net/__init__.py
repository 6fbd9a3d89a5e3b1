"""SPG-Net: the segmentation first, then the picture guided by it (Song et al., BMVC 2018)."""
