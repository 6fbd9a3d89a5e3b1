"""Where images, holes and results lie: a file, a folder, or ``s3://``, and what is paired with what."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipelines.storage.store import Storage, join, open_storage
from sgenet.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".avif", ".heic", ".heif")
"""The endings, in either case, of what is taken for an image; of several holes with one name the first counts.
The last two cannot be read, which is reported for each rather than passed over."""

SEGMENTATION, CONFIDENCE = "segmentation", "confidence"
OUTPUT_SUFFIX = ".png"


@dataclass(frozen=True)
class Place:
    """One image file, or a folder of them.

    Attributes:
        folder: a local folder, absolute, or ``s3://bucket/prefix``.
        name: of the file below it; None for the folder itself.
        shown: as the user wrote it.
    """

    folder: str
    name: str | None
    shown: str

    @property
    def storage(self) -> Storage:
        """The files of the folder."""
        return open_storage(self.folder)


def find_place(text: str, what: str) -> Place:
    """The image or folder that a user names; on S3 an image is told by its ending.

    Raises:
        UserError: a local file or folder does not exist, or an address is not one of S3.
    """
    _check_given(text, what)
    if "://" in text:
        return _file(text) if _is_image(text) else Place(text.rstrip("/"), None, text)
    path = Path(text).absolute()
    if not _there(path):
        raise UserError(f"the {what} {text} does not exist; check its path")
    return Place(str(path), None, text) if path.is_dir() else _file(str(path), text)


def output_place(text: str, photos: Place) -> Place:
    """Where the results go: a .png file or a folder for one photo, a folder for many.

    Raises:
        UserError: the name cannot be that of a result.
    """
    _check_given(text, "output")
    folder = text.endswith("/") or ("://" not in text and _there(Path(text)) and Path(text).is_dir())
    address = text.rstrip("/") if "://" in text else str(Path(text).absolute())
    if photos.name is None:
        if not folder and _is_image(text):
            raise UserError(
                f"{photos.shown} is a folder, so the output {text} must be a folder too, not an image; "
                "it gets one .png for each photo"
            )
        return Place(address, None, text)
    if folder:
        return Place(address, output_name(photos.name), join(text, output_name(photos.name)))
    check_lossless(text)
    return _file(address, text)


def check_lossless(text: str) -> None:
    """Refuse a name that does not end in .png.

    Raises:
        UserError: it does not.
    """
    if not text.lower().endswith(OUTPUT_SUFFIX):
        raise UserError(f"the output {text} must be a .png file, which keeps every known pixel as it was")


def check_apart(output: Place, inputs: list[Place], what: str = "the output") -> None:
    """Refuse an output that would overwrite what it is made from, or be taken for a photo by the next call.

    Raises:
        UserError: they meet.
    """
    for place in inputs:
        if output.name is not None and place.name is not None:
            if _real(join(output.folder, output.name)) == _real(join(place.folder, place.name)):
                raise UserError(f"{what} {output.shown} would overwrite {place.shown}; give it another name")
        elif place.name is None and output.name is None and _real(output.folder) == _real(place.folder):
            raise UserError(f"the folder {output.shown} is given twice; give these results a folder of their own")
        elif output.name is None and _meet(_real(output.folder), _real(place.folder), files=place.name is not None):
            raise UserError(
                f"{output.shown} and {place.shown} lie within one another; give these results a folder of their own"
            )


def stem(name: str) -> str:
    """``a/b.jpg`` → ``a/b``: what a photo, its hole and its results have in common."""
    return name[: -len(Path(name).suffix)] if _is_image(name) else name


def output_name(name: str) -> str:
    """``a/b.jpg`` → ``a/b.png``."""
    return stem(name) + OUTPUT_SUFFIX


def beside(name: str, kind: str) -> str:
    """Where a result of another kind lies beside the filled image: ``a/b.png`` → ``a/b.segmentation.png``."""
    return f"{stem(name)}.{kind}{OUTPUT_SUFFIX}"


def is_image(name: str) -> bool:
    """Whether a file of a folder is taken for an image."""
    return _is_image(name) and not Path(name).name.startswith(".")


def _is_image(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def _check_given(text: str, what: str) -> None:
    # A shell variable that is not set; as a path it would be the folder the command runs in.
    if not text:
        raise UserError(f"the name of the {what} is empty; give a file or a folder")
    if "://" in text:
        open_storage(text)  # refuses what is no s3:// address
        if _is_image(text) and text.count("/") < 3:
            raise UserError(f"the {what} {text} names no bucket; give s3://bucket/name")


def _file(address: str, shown: str | None = None) -> Place:
    folder, _, name = address.rpartition("/")
    return Place(folder or "/", name, shown or address)


def _there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False  # such as a name that is too long


def _real(address: str) -> str:
    if "://" in address:
        return address
    try:
        return str(Path(address).resolve())
    except (OSError, RuntimeError):
        return address  # links in a circle: what writes there says so


def _meet(output: str, other: str, *, files: bool) -> bool:
    """Whether a folder for results lies in a folder of inputs or holds it; one input's own folder may hold it."""
    if files:
        return output == other
    return output == other or f"{output}/".startswith(f"{other}/") or f"{other}/".startswith(f"{output}/")
