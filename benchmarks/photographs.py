"""Real photographs, filled: `python benchmarks/photographs.py --data ../shared/data [--model FOLDER] [--limit N]`.

On 200 photographs that no training sees (those of intel_scenes whose names have the smallest SHA-256), cut to 128×128
around the middle, with a hole of 64×64 and with irregular holes, and on photographs of 640×480 with a hole of the size
of an object: Telea, PatchMatch, the model alone, and the model with texture from the photograph. Prints one Markdown
table with paired 95 % intervals against PatchMatch, and draws a contact sheet to look at.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from pipelines.evaluation.baselines import patchmatch, telea
from sgenet.evaluation.metrics import score_images
from sgenet.evaluation.statistics import paired_difference
from sgenet.evaluation.vgg_distance import load_vgg, vgg_distances
from sgenet.inpainter import Inpainter

NUM_KEPT = 200
SIDE, HOLE = 128, 64
LARGE, OBJECT = (640, 480), (150, 190)
SHOWN = 10
REFERENCE = "PatchMatch"

Fill = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass
class Scores:
    """One number an image, in the images' order."""

    psnr: list[float] = field(default_factory=list)
    ssim: list[float] = field(default_factory=list)
    vgg: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def main() -> None:
    """Score, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--model", type=Path, default=Path("pipelines/registry/shipped"))
    parser.add_argument("--limit", type=int, default=NUM_KEPT, help="photographs of each kind (default: all)")
    parser.add_argument("--sheet", type=Path, default=Path("photographs.png"), help="the contact sheet")
    options = parser.parse_args()
    fills = methods(Inpainter.load(options.model))
    vgg = load_vgg(options.data / "weights" / "vgg16_photographs.pth", "--data")
    print("| photographs | method | images | PSNR | SSIM | VGG distance | against PatchMatch | PSNR against it | s |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    sheets = []
    for title, cases in (
        ("128×128, centre", centre_cases(options.data, options.limit)),
        ("128×128, irregular", irregular_cases(options.data, options.limit)),
        ("640×480, object", large_cases(options.data, options.limit)),
    ):
        scores, rows = run(cases, fills, vgg)
        print_rows(title, scores)
        sheets.append(np.concatenate(rows))
    draw_sheet(sheets, ["hole", *fills, "original"], options.sheet)
    print(f"\n{options.sheet}")


def methods(inpainter: Inpainter) -> dict[str, Fill]:
    """From a method's title to how it fills an image (H, W, 3) uint8 whose hole is (H, W) bool."""
    return {
        "Telea": lambda image, hole: telea(image, hole.astype(np.uint8)),
        REFERENCE: lambda image, hole: patchmatch(image, hole.astype(np.uint8)),
        "model": lambda image, hole: inpainter(image, hole, texture="network").image,
        "model + exemplar": lambda image, hole: inpainter(image, hole, texture="exemplar").image,
    }


def run(
    cases: Iterator[tuple[np.ndarray, np.ndarray]], fills: dict[str, Fill], vgg: torch.nn.Module
) -> tuple[dict[str, Scores], list[np.ndarray]]:
    """Scores of every method, and rows of the contact sheet."""
    scores = {name: Scores() for name in fills}
    rows = []
    for number, (image, hole) in enumerate(cases):
        shown = [np.where(hole[..., None], np.uint8(255), image)]
        for name, fill in fills.items():
            started = time.perf_counter()
            filled = fill(image.copy(), hole)
            scores[name].seconds.append(time.perf_counter() - started)
            score(scores[name], filled, image, hole, vgg)
            shown.append(filled)
        if number < SHOWN:
            rows.append(np.concatenate([*shown, image], axis=1))
    return scores, rows


def score(scores: Scores, filled: np.ndarray, image: np.ndarray, hole: np.ndarray, vgg: torch.nn.Module) -> None:
    """Add one image's scores."""
    inpainted, original = (torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None] for pixels in (filled, image))
    [found] = score_images(inpainted, original, torch.from_numpy(hole)[None, None].to(torch.uint8))
    scores.psnr.append(found.psnr)
    scores.ssim.append(found.ssim)
    scores.vgg += vgg_distances(vgg, inpainted, original)


def centre_cases(data: Path, limit: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The kept photographs with a square hole in the middle."""
    hole = np.zeros((SIDE, SIDE), bool)
    start = (SIDE - HOLE) // 2
    hole[start : start + HOLE, start : start + HOLE] = True
    for photo in kept_photographs(data)[:limit]:
        yield cut(photo, (SIDE, SIDE)), hole


def irregular_cases(data: Path, limit: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The kept photographs, each with another irregular hole, of all ratios."""
    masks = sorted((data / "irregular_masks").rglob("*.png"))
    for number, photo in enumerate(kept_photographs(data)[:limit]):
        # A step that shares no factor with their number visits all ratios soon.
        mask = Image.open(masks[number * 587 % len(masks)]).convert("L").resize((SIDE, SIDE), Image.Resampling.NEAREST)
        yield cut(photo, (SIDE, SIDE)), np.asarray(mask) >= 128


def large_cases(data: Path, limit: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Larger photographs with an ellipse missing, a little below the middle."""
    width, height = LARGE
    rows, columns = np.ogrid[:height, :width]
    hole = ((rows - 0.55 * height) / (OBJECT[1] / 2)) ** 2 + ((columns - 0.5 * width) / (OBJECT[0] / 2)) ** 2 < 1
    for photo in sorted((data / "free_photos").glob("*.jpg"))[:limit]:
        yield cut(photo, LARGE), hole


def kept_photographs(data: Path) -> list[Path]:
    """Those whose names have the smallest SHA-256."""
    photos = (data / "intel_scenes" / "images").iterdir()
    return sorted(photos, key=lambda photo: hashlib.sha256(photo.name.encode()).hexdigest())[:NUM_KEPT]


def cut(photo: Path, size: tuple[int, int]) -> np.ndarray:
    """The middle of a photograph, scaled down first where it is more than a quarter larger, (H, W, 3) uint8."""
    with Image.open(photo) as opened:
        image = opened.convert("RGB")
    scale = max(size[0] / image.width, size[1] / image.height)
    if scale < 0.8 or scale > 1:
        image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
    left, top = (image.width - size[0]) // 2, (image.height - size[1]) // 2
    return np.asarray(image.crop((left, top, left + size[0], top + size[1])))


def print_rows(title: str, scores: dict[str, Scores]) -> None:
    """One row a method."""
    reference = scores[REFERENCE]
    for name, found in scores.items():
        against = ["", ""]
        if name != REFERENCE:
            vgg, psnr = paired_difference(found.vgg, reference.vgg), paired_difference(found.psnr, reference.psnr)
            share = 100 / np.mean(reference.vgg)
            against[0] = f"{vgg.value * share:+.1f} % ({vgg.low * share:+.1f} to {vgg.high * share:+.1f})"
            against[1] = f"{psnr.value:+.2f} dB ({psnr.low:+.2f} to {psnr.high:+.2f})"
        means = f"{np.mean(found.psnr):.2f} | {np.mean(found.ssim):.3f} | {np.mean(found.vgg):.3f}"
        print(
            f"| {title} | {name} | {len(found.vgg)} | {means} | {against[0]} | {against[1]} "
            f"| {np.median(found.seconds):.2f} |",
            flush=True,
        )


def draw_sheet(sheets: list[np.ndarray], titles: list[str], path: Path) -> None:
    """One image of all rows, those of a kind at one scale, with a line of titles above each kind."""
    parts = []
    for sheet in sheets:
        step = sheet.shape[1] // len(titles)
        header = Image.new("RGB", (sheet.shape[1], 16), "white")
        for number, title in enumerate(titles):
            ImageDraw.Draw(header).text((number * step + 4, 2), title, fill="black")
        parts.append(np.concatenate((np.asarray(header), sheet)))
    widest = max(part.shape[1] for part in parts)
    padded = [np.pad(part, ((0, 0), (0, widest - part.shape[1]), (0, 0))) for part in parts]
    Image.fromarray(np.concatenate(padded)).save(path)


if __name__ == "__main__":
    main()
