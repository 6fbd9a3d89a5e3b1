"""Decoding and encoding of photographs: bytes of files and requests in, PNG bytes out.

The command, the web page and the servers read photographs with :func:`decode_photo` and write what was filled with
:func:`encode_photo`, so that depth, alpha, colour profile, EXIF data and resolution are kept by all of them.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, UnidentifiedImageError

from sgenet.errors import DataError
from sgenet.inpainter.images import Pixels, open_image, to_eight_bits
from sgenet.label_space import LabelSpace

if TYPE_CHECKING:
    from sgenet.inpainter import Inpainted

_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "AVIF")
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_DESCRIBING_TAGS = frozenset(
    {
        ExifTags.Base.ImageDescription,
        ExifTags.Base.Make,
        ExifTags.Base.Model,
        ExifTags.Base.Software,
        ExifTags.Base.DateTime,
        ExifTags.Base.Artist,
        ExifTags.Base.Copyright,
        ExifTags.IFD.Exif,
        ExifTags.IFD.GPSInfo,
    }
)
"""Those of a TIFF; its other tags say how its own pixels are stored."""

_HIGH_BIT_DEPTH = 0x40
_HEADER_BYTES = 33  # the signature and the chunk IHDR of a PNG
_QUICK_PIXELS = 4_000_000
"""PNGs of more pixels are compressed quickly: a tenth larger, three times as fast."""


@dataclass(frozen=True, eq=False)
class Photo:
    """A photograph as it was opened, upright.

    Attributes:
        pixels: (H, W) grey, (H, W, 2) grey with alpha, (H, W, 3) RGB or (H, W, 4) RGB with alpha, of uint8 or uint16:
            the values of the file, if they are no CMYK.
        icc_profile, exif: as files hold them, the EXIF data without orientation; empty where there are none.
        dpi: dots per inch, across and down; None where the file says nothing.
        warnings: what of the file is left out or converted.
    """

    pixels: Pixels
    icc_profile: bytes = b""
    exif: bytes = b""
    dpi: tuple[float, float] | None = None
    warnings: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def rgb(self) -> npt.NDArray[np.uint8]:
        """(H, W, 3) uint8: what is seen of it."""
        return to_eight_bits(open_image(self.pixels).rgb)


class OversizedImage(DataError):
    """An image that claims to be larger than memory allows."""


def decode_image(content: bytes, where: str, *, inspect: Callable[[Image.Image], None] | None = None) -> Image.Image:
    """Decode a whole image with 8 bits a channel (grey: 16); see :func:`decode_photo` for what is to be kept.

    Nothing cut off is accepted, nor what claims to be larger than memory allows.

    Args:
        inspect: called with the image before its pixels are decoded; what it raises is passed on.

    Raises:
        DataError: ``where``, and what is wrong with it.
    """
    try:
        with warnings.catch_warnings():
            # Pillow warns at the size where it should be refused here.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(content), formats=_FORMATS)
            if inspect is not None:
                inspect(image)
            image.load()
    except UnidentifiedImageError as error:
        if content[4:8] == b"ftyp" and content[8:12] in _HEIC_BRANDS:
            raise DataError(f"{where} is a HEIC image, which is not read here; save it as JPEG or PNG") from error
        if content[:4] in (b"II*\0", b"MM\0*"):
            raise DataError(f"{where} is a TIFF of a kind that is not read here; save it as PNG") from error
        raise DataError(f"{where} is not in a known image format; use PNG or JPEG") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        limit = (Image.MAX_IMAGE_PIXELS or 0) // 10**6
        raise OversizedImage(f"{where} has more than {limit} million pixels; scale it down") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{where} is damaged ({error}); save it again") from error
    return image


def decode_photo(content: bytes, where: str, *, inspect: Callable[[Image.Image], None] | None = None) -> Photo:
    """Decode a photograph with its own depth and what travels with it, upright by its EXIF orientation.

    Palettes become RGB, with alpha where something is transparent; black and white becomes grey; CMYK becomes RGB.

    Args:
        inspect: as for :func:`decode_image`.

    Raises:
        DataError: ``where``, and what is wrong with it, also where some of its depth would be lost.
    """
    stored, orientation = "", 1

    def look(image: Image.Image) -> None:
        nonlocal stored, orientation
        if inspect is not None:
            inspect(image)
        # Gone once Pillow has decoded the pixels, and turned those of a TIFF.
        stored = str(getattr(image, "tile", ""))
        orientation = getattr(image, "tag_v2", {}).get(ExifTags.Base.Orientation, 1)

    image = decode_image(content, where, inspect=look)
    warned = [_further_frames(image, where)]
    if image.mode == "CMYK":
        warned.append(f"{where} is CMYK and becomes RGB, by which its colours may change")
    opened = open_image(image)
    upright = opened.given
    assert isinstance(upright, Image.Image)
    match upright.mode:
        case "CMYK" | "YCbCr":
            pixels: Any = opened.rgb
        case "1":
            pixels = np.asarray(upright.convert("L"))
        case "L" | "LA" | "RGB" | "RGBA":
            pixels = np.asarray(upright)
        case _:
            pixels = np.asarray(upright).astype(np.uint16)
    if _bits(image, content) > 8 and pixels.dtype == np.uint8:
        readable = image.mode in ("RGB", "RGBA") and image.format != "AVIF"
        turns = (orientation, image.getexif().get(ExifTags.Base.Orientation, 1))
        pixels = _all_bits(content, where, readable, turns, pixels)
        if "LA;16" in stored:
            pixels = np.ascontiguousarray(pixels[..., [0, 3]])
    try:
        exif = _exif(image)
    except Exception:  # whatever Pillow's parser makes of damaged data
        exif = b""
        warned.append(f"{where} has damaged EXIF data, which are left out")
    # A profile of CMYK says nothing about RGB.
    profile = b"" if upright.mode == "CMYK" else image.info.get("icc_profile") or b""
    return Photo(pixels, profile, exif, _dpi(image), tuple(warning for warning in warned if warning))


def encode_photo(photo: Photo) -> bytes:
    """A photograph as PNG: its values bit for bit, its colour profile, EXIF data and resolution.

    Grey with alpha of 16 bits is written as RGB with alpha of 16 bits, of the same values.
    """
    pixels = photo.pixels
    if pixels.dtype == np.uint8 or pixels.ndim == 2:
        return _png(Image.fromarray(pixels), photo)
    import cv2

    if pixels.shape[2] == 2:
        pixels = pixels[..., [0, 0, 0, 1]]
    code = cv2.COLOR_RGB2BGR if pixels.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
    encoded = cv2.imencode(".png", cv2.cvtColor(np.ascontiguousarray(pixels), code))[1].tobytes()
    # OpenCV writes no such chunks, and Pillow no such pixels.
    described = _png(Image.new("L", (1, 1)), photo)
    chunks = described[_HEADER_BYTES : described.rindex(b"IDAT") - 4]
    return encoded[:_HEADER_BYTES] + chunks + encoded[_HEADER_BYTES:]


def filled_photo(photo: Photo, inpainted: Inpainted) -> Photo:
    """A photograph with what was made of its pixels."""
    filled = inpainted.in_source_format
    assert isinstance(filled, np.ndarray), "a photograph's pixels are an array"
    return replace(photo, pixels=filled)


def encode_filled(photo: Photo, inpainted: Inpainted) -> bytes:
    """What was made of a photograph's pixels, as PNG; see :func:`encode_photo`."""
    return encode_photo(filled_photo(photo, inpainted))


def encode_png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """(H, W, 3) RGB or (H, W) grey uint8 as PNG."""
    return _png(Image.fromarray(pixels))


def encode_label(label: npt.NDArray[np.uint8], label_space: LabelSpace) -> bytes:
    """(H, W) class ids as a palette PNG: the ids are the indices, and viewers show the classes' colours."""
    image = Image.fromarray(label).convert("L")
    coloured = Image.frombytes("P", image.size, image.tobytes())
    palette = label_space.colourise(np.arange(256, dtype=np.uint8)[None])
    coloured.putpalette(palette.tobytes())
    return _png(coloured)


def _png(image: Image.Image, photo: Photo | None = None) -> bytes:
    buffer = io.BytesIO()
    options: dict[str, Any] = {}
    if photo is not None:
        options = {"icc_profile": photo.icc_profile, "exif": photo.exif}
        options |= {} if photo.dpi is None else {"dpi": photo.dpi}
    if image.width * image.height > _QUICK_PIXELS:
        options["compress_level"] = 1
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


def _further_frames(image: Image.Image, where: str) -> str | None:
    """A report of an animation or a file of many pages. A phone's JPEG may hold a second image for 3D screens."""
    if image.format in ("JPEG", "MPO") or not getattr(image, "is_animated", False):
        return None
    kind = "has several pages" if image.format == "TIFF" else "is an animation"
    return f"{where} {kind}, of which only the first image is filled"


def _bits(image: Image.Image, content: bytes) -> int:
    """Bits a channel of the file. Pillow gives colours 8 whatever there were."""
    match image.format:
        case "PNG":
            return content[24]
        case "TIFF":
            return int(max(getattr(image, "tag_v2", {}).get(ExifTags.Base.BitsPerSample, (1,))))
        case "AVIF":
            at = content.find(b"av1C")
            return 10 if 0 <= at < len(content) - 6 and content[at + 6] & _HIGH_BIT_DEPTH else 8
        case _:
            return 8


def _all_bits(
    content: bytes, where: str, readable: bool, orientations: tuple[int, ...], eight: npt.NDArray[np.uint8]
) -> Pixels:
    """The colours of a file of 16 bits, upright, (H, W, 3) or (H, W, 4) uint16.

    Args:
        readable: whether OpenCV is to be asked.
        orientations: by which the file's pixels may have to be turned.
        eight: the same with 8 bits, as Pillow decodes them: their upper halves, by which those of OpenCV are checked.
    """
    try:
        import cv2
    except ImportError:
        raise DataError(
            f"{where} has 16 bits a channel, for which OpenCV is needed; install opencv-python-headless, or save it "
            "with 8 bits"
        ) from None
    decoded = _decoded(cv2, content) if readable else None
    if decoded is not None and decoded.dtype == np.uint16 and decoded.ndim == 3:
        colour = cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB if decoded.shape[2] == 3 else cv2.COLOR_BGRA2RGBA)
        for upright in (colour, *(_turned(colour, orientation) for orientation in orientations)):
            bands = min(upright.shape[2], eight.shape[2])
            if upright.shape[:2] == eight.shape[:2] and (upright[..., :bands] >> 8 == eight[..., :bands]).all():
                return np.ascontiguousarray(upright)
    raise DataError(
        f"{where} has more than 8 bits a channel in a form that would be lost here; save it as a PNG with 16 bits, or "
        "with 8"
    )


def _decoded(cv2: Any, content: bytes) -> Any:
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None


def _turned(pixels: Any, orientation: int) -> Any:
    """(H, W, bands) turned upright by an EXIF orientation of 1 to 8."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def _exif(image: Image.Image) -> bytes:
    """EXIF data without the orientation, and without the small preview, which shows what is filled."""
    exif = image.getexif()
    for tag in list(exif):
        if tag == ExifTags.Base.Orientation or (image.format == "TIFF" and tag not in _DESCRIBING_TAGS):
            del exif[tag]
    return exif.tobytes() if len(exif) else b""


def _dpi(image: Image.Image) -> tuple[float, float] | None:
    try:
        across, down = (float(value) for value in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return (across, down) if all(math.isfinite(dpi) and 0 < dpi < 1e6 for dpi in (across, down)) else None
