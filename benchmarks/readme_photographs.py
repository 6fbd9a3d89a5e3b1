"""The README's first picture: `python benchmarks/readme_photographs.py --data ../shared/data`.

Three photographs of `free_photos`, what is taken out of them, and what the shipped model fills in with texture from the
image itself. Writes docs/images/photographs.jpg.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from sgenet.inpainter import Inpainter

TILE, FACTOR, GAP = (440, 290), 2, 6  # pixels; filled at twice the size that is shown
HOLES: dict[str, tuple[tuple[int, int], ...]] = {
    "sunset": ((270, 164), (436, 162), (438, 230), (384, 238), (384, 290), (302, 290), (302, 236), (262, 214)),
    "mountain_meadow": (
        *((322, 112), (346, 108), (352, 118), (368, 106), (384, 110), (384, 128)),
        *((356, 160), (346, 206), (318, 216), (288, 210), (292, 176)),
    ),
    "rocky_path": (
        *((124, 146), (208, 146), (208, 172), (158, 206), (130, 290)),
        *((0, 290), (0, 254), (50, 236), (78, 194), (116, 178)),
    ),
}
"""What is taken out of each photograph, a polygon in pixels of the tile."""


def main() -> None:
    """Fill, arrange and write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--output", type=Path, default=Path("docs/images/photographs.jpg"))
    options = parser.parse_args()
    inpainter = Inpainter.load("shipped")
    columns = []
    for name, corners in HOLES.items():
        photo, hole = _photo(options.data / "free_photos" / f"{name}.jpg"), _hole(corners)
        filled = inpainter(photo, hole, texture="exemplar").image
        columns.append([photo, np.where(hole[..., None], np.uint8(255), photo), filled])
    width, height = TILE
    sheet = Image.new("RGB", (3 * width + 2 * GAP, 3 * height + 2 * GAP), "white")
    for column, images in enumerate(columns):
        for row, pixels in enumerate(images):
            tile = Image.fromarray(pixels).resize(TILE, Image.Resampling.LANCZOS)
            sheet.paste(tile, (column * (width + GAP), row * (height + GAP)))
    sheet.save(options.output, quality=88)


def _photo(path: Path) -> np.ndarray:
    """(H, W, 3) uint8, the middle of the photograph."""
    width, height = (side * FACTOR for side in TILE)
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    scale = max(width / image.width, height / image.height)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return np.asarray(image.crop((left, top, left + width, top + height)))


def _hole(corners: tuple[tuple[int, int], ...]) -> np.ndarray:
    """(H, W) bool."""
    mask = Image.new("L", (TILE[0] * FACTOR, TILE[1] * FACTOR))
    ImageDraw.Draw(mask).polygon([(x * FACTOR, y * FACTOR) for x, y in corners], fill=255)
    return np.asarray(mask) > 0


if __name__ == "__main__":
    main()
