"""``python -m pipelines init``: a settings file made from the photographs of a folder."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.settings.layout import PARAMS
from pipelines.settings.program import program
from sgenet.errors import DataError, UserError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipelines.data.survey import Survey

HELP = "Write params.yaml for a folder of your own photographs: crop, split and classes as found there."

_CROPS = {256: "photographs_256", 128: "photographs_128", 64: "photographs_128"}
"""Sides of the training crop, and which preset is made for images of that size."""

_MOST_WITHOUT_GPU = 128
"""A larger crop is asked for by ``--crop``."""

_LARGER_IN_TRAINING = 1.5
"""Images this much larger than the crop show it more places to lie in."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The folders, and what the dataset is called."""
    parser.add_argument("folder", type=Path, help="images at any depth; or the folders images and labels")
    parser.add_argument("--labels", type=Path, help="label maps: LABELS/a/b.png for FOLDER/a/b.jpg, ids 0 … n-1")
    parser.add_argument("--unlabelled", type=Path, help="more images, without label maps")
    parser.add_argument("--classes", help="names of the classes in the order of their ids: sky,tree,water")
    parser.add_argument("--name", help="of the dataset (default: that of the folder)")
    parser.add_argument(
        "--crop",
        type=int,
        choices=_CROPS,
        help="side of the square that networks see; 256 is for GPUs (default: 128, or 64 for small images)",
    )
    parser.add_argument("-o", "--output", type=Path, default=PARAMS, help="file to write (default: params.yaml)")
    parser.add_argument("--force", action="store_true", help="replace the file")


def execute(options: argparse.Namespace) -> None:
    """Look at the images and write the file.

    Raises:
        UserError: the folder does not hold what it should, or the file exists.
    """
    from pipelines.data.survey import survey
    from pipelines.settings.load import parse
    from pipelines.storage.files import write_atomically

    output: Path = options.output
    if output.exists() and not options.force:
        raise UserError(
            f"{output} exists; give --force to replace it (Git keeps what was committed), or another file with -o"
        )
    found = survey(options.folder, options.labels)
    more = None if options.unlabelled is None else survey(options.unlabelled)
    name = options.name or re.sub(r"[^\w-]+", "_", options.folder.resolve().name).strip("_").lower() or "mine"
    sides = [*found.sides, *(more.sides if more is not None else [])]
    crop = options.crop or _crop_for(sides, options.folder)
    names = _class_names(found, options.classes)
    class_ids = _named_ids(found, names)
    text = template(found, more, name, crop, dict(zip(class_ids, names, strict=True)))
    import yaml

    parse(yaml.safe_load(text), str(output))
    write_atomically(output, text.encode())
    kept = len(found.keys) - found.num_val
    print(f"{output}: {len(sides)} images, the smallest {min(sides)} px on its shorter side; crop {crop}")
    unlabelled = len(sides) - (len(found.keys) if found.label_root else 0)
    print(f"  {kept} to train on and {found.num_val} held out of {found.root}; {unlabelled} without labels")
    print(f"  classes: {', '.join(names)}" if names else "  no labels: trained without the segmentation terms")
    absent = [name for class_id, name in zip(class_ids, names, strict=True) if class_id not in found.class_ids]
    if absent:
        print(f"  none of the label maps read holds {' or '.join(absent)}")
    if len(names) == 1:
        print("  255 means ignore: if the label maps are masks of 0 and 255, write 1 instead of 255")
    print(f"Next: {_next(output)}")


def _next(output: Path) -> str:
    if output.resolve() == PARAMS.resolve():
        return f"{program()} check, then dvc repro"
    given = shlex.quote(str(output))
    return f"{program()} check --params {given}; dvc repro reads {PARAMS} alone, so copy it there to train by it"


def template(found: Survey, more: Survey | None, name: str, crop: int, classes: Mapping[int, str]) -> str:
    """The settings file of a dataset, as YAML with comments.

    Args:
        found: its images.
        more: images without labels.
        name: of the dataset.
        crop: side of the training crop.
        classes: id in the label maps → name; none without labels.
    """
    sides = [*found.sides, *(more.sides if more is not None else [])]
    sources = [_source(found, found.val_ratio, list(classes))]
    if more is not None:
        sources.append(_source(more, 0.0, []))
    too_small = sum(side < crop for side in sides) / len(sides)
    larger = int(crop * _LARGER_IN_TRAINING)
    optional = [f"    train_shorter_side: {larger}\n"] if min(sides) >= larger else []
    if too_small:
        optional.append(f"    max_quarantine_ratio: {too_small + 0.005:.2f}  # some are smaller than the crop\n")
    label_space = f"{{names: [{', '.join(classes.values())}]}}" if classes else "outdoor_scenes"
    return f"""\
# Settings of the dataset {name}, made by `python -m pipelines init`; docs/settings.md lists all that can be said.
datasets: [{name}]
methods: [base_net, sg_net, sge_net]
storage: storage

data:
  {name}:
    # val_ratio: the share held out for evaluation; crop: side of the square that networks see and are released for.
    sources:
{"".join(f"      - {source}{chr(10)}" for source in sources)}\
    label_space: {label_space}
    shorter_side: {crop}
    crop: {crop}
{"".join(optional)}\

# Holes, in training drawn again for every sample, in evaluation fixed.
masks:
  {name}:
    training: [{{kind: centre, size: {crop // 2}, weight: 2}}, {{kind: rectangles}}, {{kind: strokes}}]
    evaluation:
      - {{name: centre, hole: {{kind: centre, size: {crop // 2}}}}}
      - {{name: irregular, hole: {{kind: medium}}}}

# More steps are better; `python -m pipelines train --dataset {name} --dry-run` says what memory they take,
# once shards and masks are there.
recipes:
  {name}: {{preset: {_CROPS[crop]}}}

# Where labels come from: human, or fill: a segmenter labels what people did not.
labels:
  {name}: {{source: human}}

transfer: []
evaluation: {{split: val, baselines: [mean_colour, telea, membrane]}}
run: {{workers: 1, use_gpu: false}}
search: {{run: []}}
registry: {{method: sge_net, name: sge-net}}
promotion: {{primary: psnr_hole, baseline: mean_colour}}
"""


def _source(found: Survey, val_ratio: float, class_ids: list[int]) -> str:
    parts = ["adapter: folder", f"root: {_quoted(found.root)}"]
    if found.label_root is not None:
        parts.append(f"label_root: {_quoted(found.label_root)}")
    parts.append(f"val_ratio: {val_ratio:g}")
    if class_ids != list(range(len(class_ids))):
        pairs = ", ".join(f"{given}: {index}" for index, given in enumerate(class_ids))
        parts.append(f"class_map: {{{pairs}}}")
    return f"{{{', '.join(parts)}}}"


def _quoted(path: Path) -> str:
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _class_names(found: Survey, given: str | None) -> list[str]:
    if found.label_root is None:
        if given is not None:
            raise UserError("--classes names classes, but there are no label maps; name their folder with --labels")
        return []
    if not found.class_ids:
        raise UserError(
            f"the label maps of {found.label_root} hold nothing but 255, which is ignore and no class; correct them, "
            "or leave them out"
        )
    if given is None:
        return [f"class_{class_id}" for class_id in found.class_ids]
    names = [name.strip() for name in given.split(",") if name.strip()]
    if len(names) < len(found.class_ids) or not names:
        raise UserError(
            f"--classes names {len(names)} of {len(found.class_ids)} classes: the label maps hold the ids "
            f"{', '.join(map(str, found.class_ids))}; name each of these"
        )
    if len(names) > len(found.class_ids) and found.class_ids[-1] >= len(names):
        raise UserError(
            f"--classes names {len(names)} classes, but the label maps hold {len(found.class_ids)}, of the ids "
            f"{', '.join(map(str, found.class_ids))}; name each of these, or all from 0 to {found.class_ids[-1]}"
        )
    return names


def _named_ids(found: Survey, names: Sequence[str]) -> Sequence[int]:
    """The id of each name: those found, or 0, 1, … where there are names for more than were found."""
    return found.class_ids if len(names) == len(found.class_ids) else range(len(names))


def _crop_for(sides: Sequence[int], folder: Path) -> int:
    """The largest crop for one processor that nineteen of twenty images give without being enlarged."""
    typical = sorted(sides)[len(sides) // 20]
    fitting = [crop for crop in _CROPS if crop <= min(typical, _MOST_WITHOUT_GPU)]
    if not fitting:
        raise DataError(
            f"the images of {folder} have {typical} px on their shorter side, and the smallest crop is {min(_CROPS)}; "
            "give larger ones"
        )
    return max(fitting)
