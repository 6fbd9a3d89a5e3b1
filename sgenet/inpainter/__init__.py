"""The front door for use: a picture and its hole in, the filled picture out, at any size."""

from sgenet.inpainter.inpainter import Inpainter, Texture
from sgenet.inpainter.masks import Guide, Hole, as_hole
from sgenet.inpainter.pictures import Picture, as_pixels
from sgenet.inpainter.result import Inpainted, ScaleResult

__all__ = ["Guide", "Hole", "Inpainted", "Inpainter", "Picture", "ScaleResult", "Texture", "as_hole", "as_pixels"]
