"""A procedural landscape: :func:`render_scene` draws a picture and its exact label map from a seed."""

from pipelines.landscapes.scene import SMALLEST_SIDE, Scene, render_scene

__all__ = ["SMALLEST_SIDE", "Scene", "render_scene"]
