"""The front door for use: an image and its hole in, the filled image out, at any size."""

from sgenet.inpainter.images import ImageLike, as_pixels
from sgenet.inpainter.inpainter import Inpainter, Texture
from sgenet.inpainter.masks import Guide, Hole, as_hole
from sgenet.inpainter.result import Inpainted, ScaleResult

__all__ = ["Guide", "Hole", "ImageLike", "Inpainted", "Inpainter", "ScaleResult", "Texture", "as_hole", "as_pixels"]
