"""A procedural landscape: :func:`render_scene` draws an image and its exact label map from a seed."""

from pipelines.landscapes.scene import SMALLEST_SIDE, Scene, render_scene

__all__ = ["SMALLEST_SIDE", "Scene", "render_scene"]
