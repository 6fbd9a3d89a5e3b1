"""SGE-Net, SG-Net and Base-Net (Sect. 3): one generator with its modules switched."""
