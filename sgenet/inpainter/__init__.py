"""The front door for use: a picture and its hole in, the filled picture out, at any size."""

from sgenet.inpainter.inpainter import Inpainter
from sgenet.inpainter.pictures import Hole, Picture
from sgenet.inpainter.result import Inpainted, ScaleResult

__all__ = ["Hole", "Inpainted", "Inpainter", "Picture", "ScaleResult"]
