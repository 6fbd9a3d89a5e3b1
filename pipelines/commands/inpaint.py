"""``python -m pipelines inpaint``: fill the hole of a photo, or of every photo below a folder."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from pipelines.commands.common import add_precision, positive
from sgenet.errors import DataError, UserError

if TYPE_CHECKING:
    from pipelines.inference.folders.folder import Summary
    from pipelines.inference.folders.places import Place
    from pipelines.inference.folders.work import ManifestRow

HELP = "Fill the hole of a photograph, or of every photograph of a folder."

_DESCRIPTION = """\
Fill the hole of a photograph, or of every photograph below a folder.

The white part of the mask is what is missing. Every other pixel of the result is the photo's, bit for
bit. Photos, masks and results may lie on this machine or under s3://bucket/…
"""

_EPILOG = """\
examples:
  one photo:
    %(prog)s photo.jpg --mask mask.png -o filled.png
  and where the model saw what, and how sure it was (filled.segmentation.png, filled.confidence.png):
    %(prog)s photo.jpg --mask mask.png -o filled.png --save-segmentation --save-confidence
  every photo below a folder, with the mask of the same name:
    %(prog)s photos/ --mask masks/ -o filled/
  the same mask for every photo, by a model of the registry:
    %(prog)s photos/ --mask logo.png -o filled/ --model sge-net-mixed_scenes@candidate
  millions, on a Ray cluster:
    RAY_ADDRESS=head:6379 %(prog)s s3://bucket/photos --mask s3://bucket/masks -o s3://bucket/filled

folders:
  photos/a/b.jpg is filled where masks/a/b.png is white (any image ending will do) and becomes filled/a/b.png.
  A photo that cannot be filled does not stop the others. filled/manifest/ has a row for each image: what became of
  it and why, hashes, confidence, seconds. Called again, the command fills only what is missing, what failed, and
  what was made from another photo, mask, model or option, by their hashes.

models:
  Without --model, the registry's champion where there is one, and the small model that comes with the code
  otherwise. --model takes: champion, candidate, NAME@ALIAS, models:/NAME/VERSION, runs:/ID, a folder, s3://…, shipped.

exit status:
  0 all done, 1 an internal error, 2 something you can fix: among many, that some images failed, 130 interrupted.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The photos, their masks, the model and the outputs."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description, parser.epilog = _DESCRIPTION, _EPILOG
    parser.usage = "%(prog)s PHOTO --mask MASK -o OUTPUT [options]"
    photo = parser.add_mutually_exclusive_group(required=True)
    photo.add_argument(
        "photo",
        metavar="PHOTO",
        nargs="?",
        default=argparse.SUPPRESS,
        help="an image, a folder (with its subfolders), or s3://…",
    )
    photo.add_argument("--image", metavar="PHOTO", dest="photo", help=argparse.SUPPRESS)
    parser.add_argument(
        "--mask",
        metavar="MASK",
        required=True,
        help="white where the photo is missing: an image for all photos, or a folder with one for each",
    )
    parser.add_argument("--hole", action=_Renamed, help=argparse.SUPPRESS)
    parser.add_argument(
        "-o", "--output", metavar="OUTPUT", required=True, help="a .png file, or a folder; never the photos' own"
    )
    masks = parser.add_argument_group("masks")
    masks.add_argument("--black-is-hole", action="store_true", help="the black part of the masks is what is missing")
    model = parser.add_argument_group("model")
    model.add_argument("--model", metavar="MODEL", help="see below (default: the champion, else the shipped model)")
    model.add_argument("--method", metavar="METHOD", help="a registered model of this method, such as sge_net")
    model.add_argument(
        "--texture",
        choices=("exemplar", "network"),
        default="exemplar",
        help="exemplar: texture copied from known pixels, guided by the model's prediction; network: the model's own "
        "output (default: exemplar)",
    )
    model.add_argument(
        "--device",
        default="cpu",
        metavar="DEVICE",
        help="cpu, cuda, cuda:1, or auto: a GPU where there is one (default: cpu)",
    )
    add_precision(model)
    more = parser.add_argument_group("more results", "without PATH beside the filled image: filled.segmentation.png")
    more.add_argument(
        "--save-segmentation",
        metavar="PATH",
        nargs="?",
        const="",
        help="save the predicted segmentation: a palette PNG whose values are class ids; PATH is a .png for one photo, "
        "a folder for many",
    )
    more.add_argument(
        "--save-confidence",
        metavar="PATH",
        nargs="?",
        const="",
        help="save the confidence of the segmentation: a grey PNG, 255 = certain; PATH as above",
    )
    work = parser.add_argument_group("work")
    work.add_argument(
        "--workers",
        type=positive,
        metavar="N",
        help="processes (default: one a core; with RAY_ADDRESS the whole cluster)",
    )


class _Renamed(argparse.Action):
    """Refuses the old name of ``--mask``."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        parser.error(f"--hole is called --mask: {parser.prog} photo.jpg --mask mask.png -o filled.png")


def execute(options: argparse.Namespace) -> int:
    """Fill one photo or a folder of them and say what became of it.

    Returns:
        The exit status: 1 where some images of a folder failed by a fault of this program, else 0.

    Raises:
        UserError: a file cannot be used; or, after all were tried, some images of a folder failed.
    """
    from pipelines.inference.folders.folder import fill_folder
    from pipelines.inference.folders.places import check_apart, find_place, output_place
    from pipelines.inference.folders.work import Job, Model, Work, check_outputs, fill
    from pipelines.parallel.parallel import cluster_is_addressed, workers_for
    from pipelines.tracking.model_source import find_model

    photos, holes = find_place(options.photo, "photo"), find_place(options.mask, "mask")
    outputs = output_place(options.output, photos)
    check_apart(outputs, [photos, holes])
    segmentation = _more("--save-segmentation", options.save_segmentation, photos, outputs, holes)
    confidence = _more("--save-confidence", options.save_confidence, photos, outputs, holes)
    if segmentation and segmentation == confidence:
        raise UserError(f"segmentation and confidence cannot both be {options.save_confidence}; give two names")
    source = find_model(options.model, options.method)
    device, workers = options.device, options.workers
    if device == "auto":
        from pipelines.parallel.device import found_device

        device = found_device()
    if workers is None and device.startswith("cuda"):
        # `cuda:1` asks for that one; its number would be none of a process that sees one GPU alone.
        workers = workers_for(use_gpu=True) if device == "cuda" else 1
    in_processes = photos.name is None and workers != 1
    work = Work(
        photos=photos.folder,
        holes=holes.folder,
        output=outputs.folder,
        # On a cluster the model travels with the work: nodes need not see its folder.
        model=Model.of(source.folder, carry=in_processes and cluster_is_addressed()),
        hole=None if holes.name is None else holes.storage.read(holes.name),
        segmentation=segmentation,
        confidence=confidence,
        white_is_hole=not options.black_is_hole,
        texture=options.texture,
        device=device,
        precision=options.precision,
        # One thread each, whatever the workers: PyTorch rounds differently when threads share a convolution.
        threads=1 if photos.name is None else None,
    )
    print(f"model: {source.described}", file=sys.stderr)
    if photos.name is not None and outputs.name is not None:
        job = Job(photos.name, outputs.name)
        check_outputs(job, work)
        _say_one(fill(job, work), outputs)
        return 0
    return _say_all(fill_folder(photos, work, workers), outputs)


def _more(option: str, path: str | None, photos: Place, outputs: Place, holes: Place) -> str | None:
    """The address of a further result, checked; "" is beside the filled image."""
    from pipelines.inference.folders.places import check_apart, check_lossless, output_place
    from pipelines.storage.store import join

    if not path:
        return path
    if photos.name is not None:
        check_lossless(path)
    place = output_place(path, photos)
    check_apart(place, [photos, holes, outputs], option)
    return place.folder if place.name is None else join(place.folder, place.name)


def _say_one(row: ManifestRow, output: Place) -> None:
    if row.warning:
        print(f"warning: {row.warning}", file=sys.stderr)
    if not row.hole_ratio:
        print(f"{output.shown}: the mask marks nothing as missing, so the image is unchanged")
        return
    sure = "" if row.confidence is None else f", its classes predicted with confidence {row.confidence:.2f}"
    print(f"{output.shown}: filled {row.hole_ratio:.1%} of the image{sure}")


def _say_all(summary: Summary, output: Place) -> int:
    from pipelines.inference.folders.manifest import FOLDER

    for failure in summary.failures:
        print(f"failed: {failure}", file=sys.stderr)
    for doubt in summary.doubts:
        print(f"warning: {doubt}", file=sys.stderr)
    manifest = f"{output.shown.rstrip('/')}/{FOLDER}/"
    parts = [f"filled {summary.done:,} of {summary.images:,} images"]
    parts += [f"{summary.unchanged:,} were done already"] if summary.unchanged else []
    parts += [f"{summary.failed:,} failed"] if summary.failed else []
    parts += [f"{summary.warnings:,} with a warning (see the manifest)"] if summary.warnings else []
    sure = (
        "" if summary.mean_confidence is None else f", classes predicted with confidence {summary.mean_confidence:.2f}"
    )
    print(f"{output.shown}: {', '.join(parts)}, in {summary.seconds:.1f} s{sure}; a row for each in {manifest}")
    if summary.ours:
        print(
            f"error: {summary.ours:,} images failed because of a bug in this program; please report it", file=sys.stderr
        )
        return 1
    if summary.failed:
        raise DataError(
            f"{summary.failed:,} of {summary.images:,} images failed, each with its reason in {manifest}; fix "
            "them and rerun the command: images that are done are skipped"
        )
    return 0
