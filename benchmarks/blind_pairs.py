"""Blind pairs of two fillings of the same hole, to be judged by eye:
`python benchmarks/blind_pairs.py make FOLDER --pairs 60 [--against patchmatch] [--size 640x480]`, then
`python benchmarks/blind_pairs.py read FOLDER`.

`make` writes FOLDER/sheets/001.png …, each the photograph with its hole in white, one filling on the left and one on
the right, and FOLDER/answers.csv to write `left`, `right` or nothing (neither) into, beside each sheet. Which is which
is in FOLDER/key.csv, for `read` alone: it prints how often ours was preferred, with the 95 % interval. A hole that
both fill alike, within 4 grey levels, gets no sheet. What is cut out of which photograph, where the hole is and which
side is ours follow from --seed. The photographs are those that nobody trains on: `free_photos`, or with --kept the 200
of intel_scenes, which are 150 pixels large: --size 128x128.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from photographs import Fill, cut, kept_photographs
from PIL import Image, ImageDraw

from pipelines.evaluation.baselines import BASELINES
from pipelines.report.study.preferences import wilson_interval
from sgenet.inpainter import Inpainter

SHEETS, KEY, ANSWERS = "sheets", "key.csv", "answers.csv"
OURS = "shipped:exemplar"
GAP, TITLE = 8, 18  # pixels
ALIKE = 4  # grey levels, which nobody sees
SMALLEST, LARGEST = 0.2, 0.42  # of the image's height: how long the axes of a hole are


def main() -> None:
    """Write the sheets, or read the answers."""
    options = _parse()
    if options.command == "read":
        print(read(options.folder))
        return
    photos = kept_photographs(options.data) if options.kept else sorted((options.data / "free_photos").glob("*.jpg"))
    fills = {name: _fill(name) for name in (options.ours, options.against)}
    make(options.folder, cases(photos, options.pairs, options.size, options.seed), fills, options.seed)
    print(f"judge the sheets in {options.folder / SHEETS}, without {KEY}, in {options.folder / ANSWERS}")


def cases(
    photos: Sequence[Path], number: int, size: tuple[int, int], seed: int
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Parts of photographs with a hole like an object: their names, (H, W, 3) uint8 and (H, W) bool.

    Every photograph in turn, each time another part of it and another ellipse, which touches no border.
    """
    width, height = size
    rows, columns = np.ogrid[:height, :width]
    for index in range(number):
        rng = np.random.default_rng((seed, index))
        photo = photos[index % len(photos)]
        image = _part(photo, size, rng)
        axes = rng.uniform(SMALLEST, LARGEST, 2) * height / 2
        middle = [rng.uniform(axis + 2, side - axis - 2) for axis, side in zip(axes, (height, width), strict=True)]
        hole = ((rows - middle[0]) / axes[0]) ** 2 + ((columns - middle[1]) / axes[1]) ** 2 < 1
        yield photo.name, image, hole


def make(folder: Path, holes: Iterator[tuple[str, np.ndarray, np.ndarray]], fills: dict[str, Fill], seed: int) -> None:
    """Write a sheet for each hole, the key and the empty answers.

    Args:
        folder: made where it is not there; one that holds answers is refused, so that none is lost.
        fills: two, by name.
    """
    if (folder / ANSWERS).exists():
        sys.exit(f"{folder} holds pairs already; give another folder")
    (folder / SHEETS).mkdir(parents=True, exist_ok=True)
    sides = np.random.default_rng(seed)
    key: list[dict[str, str]] = []
    alike = 0
    for photo, image, hole in holes:
        names = list(fills) if sides.random() < 0.5 else list(reversed(fills))
        filled = [fills[name](image.copy(), hole) for name in names]
        if np.abs(filled[0].astype(int) - filled[1]).max() <= ALIKE:
            alike += 1
            continue
        sheet = f"{len(key) + 1:03}.png"
        _draw(image, hole, filled, folder / SHEETS / sheet)
        key.append({"sheet": sheet, "left": names[0], "right": names[1], "photograph": photo})
        print(sheet, end=" ", flush=True)
    print(f"\n{len(key)} pairs; {alike} more holes are filled alike")
    _write(folder / KEY, key)
    _write(folder / ANSWERS, [{"sheet": row["sheet"], "better": ""} for row in key])


def read(folder: Path) -> str:
    """How often each of the two was preferred where one was, with Wilson's 95 % interval."""
    key = {row["sheet"]: row for row in _rows(folder / KEY)}
    answers = {row["sheet"]: row["better"].strip().lower() for row in _rows(folder / ANSWERS)}
    if wrong := sorted(set(answers.values()) - {"left", "right", ""}):
        sys.exit(f"{folder / ANSWERS}: {', '.join(wrong)} is neither left nor right nor nothing")
    if strange := sorted(answers.keys() - key.keys()):
        sys.exit(f"{folder / ANSWERS}: there is no sheet {', '.join(strange)}; write names as in {folder / KEY}")
    chosen = [key[sheet][answer] for sheet, answer in answers.items() if answer]
    if not chosen:
        sys.exit(f"{folder / ANSWERS} holds no answer yet")
    first = next(iter(key.values()))
    lines = [f"{len(chosen)} of {len(key)} pairs decided"]
    for name in sorted({first["left"], first["right"]}):
        low, high = wilson_interval(chosen.count(name), len(chosen))
        lines.append(f"{name}: {chosen.count(name) / len(chosen):.0%} ({low:.0%} to {high:.0%})")
    return "\n".join(lines)


def _fill(name: str) -> Fill:
    """A baseline by its name, or a model's folder (or ``shipped``) with ``:network`` or ``:exemplar``."""
    if name in BASELINES:
        function = BASELINES[name]
        return lambda image, hole: function(image, hole.astype(np.uint8))
    model, _, texture = name.rpartition(":")
    if not model or texture not in ("network", "exemplar"):
        sys.exit(
            f"{name} is no baseline ({', '.join(BASELINES)}) and no model: write FOLDER:exemplar or FOLDER:network"
        )
    return partial(_by_model, Inpainter.load(model), texture=texture)


def _by_model(inpainter: Inpainter, image: np.ndarray, hole: np.ndarray, *, texture: str) -> np.ndarray:
    return inpainter(image, hole, texture=texture).image


def _part(photo: Path, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Some part of a photograph; its middle, where it is hardly larger."""
    with Image.open(photo) as opened:
        image = opened.convert("RGB")
    if image.width < 1.25 * size[0] or image.height < 1.25 * size[1]:
        return cut(photo, size)
    # At most twice as wide as what is cut out, so that the part shows more than one thing.
    scale = min(1.0, 2 * size[0] / image.width)
    scale = max(scale, size[0] / image.width, size[1] / image.height)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
    left, top = (int(rng.integers(0, room + 1)) for room in (image.width - size[0], image.height - size[1]))
    return np.asarray(image.crop((left, top, left + size[0], top + size[1])))


def _draw(image: np.ndarray, hole: np.ndarray, filled: Sequence[np.ndarray], path: Path) -> None:
    height, width = hole.shape
    sheet = Image.new("RGB", (3 * width + 2 * GAP, height + TITLE), "white")
    shown = {"hole": np.where(hole[..., None], np.uint8(255), image), "left": filled[0], "right": filled[1]}
    for number, (title, pixels) in enumerate(shown.items()):
        place = number * (width + GAP)
        ImageDraw.Draw(sheet).text((place + 4, 3), title, fill="black")
        sheet.paste(Image.fromarray(pixels), (place, TITLE))
    sheet.save(path)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _write(path: Path, rows: Sequence[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _size(text: str) -> tuple[int, int]:
    width, height = (int(side) for side in text.split("x"))
    return width, height


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    made = commands.add_parser("make", help="write sheets, key and empty answers")
    made.add_argument("folder", type=Path)
    made.add_argument("--pairs", type=int, default=60)
    made.add_argument("--size", type=_size, default=(640, 480), help="width x height (default: 640x480)")
    made.add_argument("--data", type=Path, default=Path("../shared/data"))
    made.add_argument("--kept", action="store_true", help="the 200 kept photographs of intel_scenes")
    made.add_argument("--ours", default=OURS, help=f"FOLDER:exemplar or FOLDER:network (default: {OURS})")
    made.add_argument("--against", default="patchmatch", help="the same, or a baseline (default: patchmatch)")
    made.add_argument("--seed", type=int, default=0)
    answered = commands.add_parser("read", help="print what the answers say")
    answered.add_argument("folder", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
