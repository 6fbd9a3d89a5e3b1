"""Everything of SGE-Net that touches the world: files, object stores, clusters, tracking, the command line."""

from pipelines.parallel.cpus import set_thread_defaults

# Read by OpenMP when PyTorch is imported. Every way into this package passes here first: commands, servers, the
# processes of pools and of Ray, the registered model.
set_thread_defaults()
