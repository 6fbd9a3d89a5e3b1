"""SPG-Net: the segmentation first, then the image guided by it (Song et al., BMVC 2018)."""
