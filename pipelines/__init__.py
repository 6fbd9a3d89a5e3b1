"""Everything of SGE-Net that touches the world: files, object stores, clusters, tracking, the command line."""
