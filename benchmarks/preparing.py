"""How fast raw photographs become shards: by one worker and by two, beside img2dataset and the limit of the codecs.

python benchmarks/preparing.py [--images 2048] [--side 256] [--from FOLDER] [--without-ray]

Embedded landscapes drawn at 683×512, as JPEGs of quality 92 (or the colour JPEGs of a folder), become tar shards of
images whose shorter side is 256 pixels, as JPEGs of quality 95. Rates are those after start-up. The limit is reading,
decoding, resizing and encoding the same files with the same libraries and nothing else; our share of it is measured by
turns in the same processes, our rate, like img2dataset's, in a run of its own. Fidelity is the PSNR of the stored
images against Pillow's bicubic reduction of all their pixels: before encoding, and as they are read back.
img2dataset, in an environment of its own, reads the same files by file:// addresses.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import simplejpeg
from mixed_scenes import processor
from peers import peer_python
from PIL import Image
from rates import Rate, Timed, ray_cluster, spread, spread_by_turns, steady_rate

from pipelines.data.adapters.build import build_adapters
from pipelines.data.adapters.files import Adapter
from pipelines.data.shards.decode_raw import DecodedImage, resize_image
from pipelines.data.shards.sources import read_sources
from pipelines.data.shards.writer import ShardPlan, plan_shards, write_shard
from pipelines.landscapes import render_scene
from pipelines.parallel.parallel import parallel_map
from pipelines.settings.params import DataSettings
from pipelines.stages import index
from sgenet.transforms import Pixels

DRAWN, HEIGHT, WIDTH = 128, 512, 683
RAW_QUALITY, QUALITY = 92, 95
NUM_SHARDS = 8  # img2dataset's processes start anew after five
RAY_TIMES = 4  # all images: what a second worker brings is asked of long work
JUDGED = 32


def main() -> None:
    """Print a table: who, how many workers, images/s, to img2dataset, share of the limit, start-up, fidelity."""
    options = _parse()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        raw = _raw_images(root / "raw", options)
        kilobytes = sum(path.stat().st_size for path in raw) / len(raw) / 1000
        print(f"{len(raw)} JPEGs of {kilobytes:.0f} kB, to a shorter side of {options.side}; {processor()}\n")
        peer = _img2dataset(raw, root, options.side)
        print("| | by | images/s | to img2dataset | share of the limit | start-up | fidelity |")
        print("| --- | --- | --: | --: | --: | --: | --- |")
        if peer is not None:
            fidelity = _fidelity(raw, root / "img2dataset", options.side)
            _row("img2dataset", "2 processes", peer.images_per_second, peer, None, peer.start_up, fidelity)
        for decoding in ("full", "scaled"):
            for workers, by in ((1, "this process"), (2, "2 processes")):
                preparing = _preparing(raw, root, options.side, decoding, by)
                recode = partial(_recode, raw[0].parent, options.side, decoding)
                limit, ours = spread_by_turns([recode, preparing.work], preparing.again(2), workers)
                rate = spread(preparing.work, preparing.plans, workers)
                fidelity = f"{_psnr_of_pixels(raw, options.side, decoding):.1f} dB before encoding"
                _row(f"limit, {decoding} decoding", by, limit, peer, 1, None, fidelity)
                fidelity = _fidelity(raw, preparing.folder, options.side)
                share = ours / limit
                _row(f"sgenet, {decoding} decoding", by, rate.images_per_second, peer, share, rate.start_up, fidelity)
        if not options.without_ray:
            for workers, by in ((1, "1 Ray worker"), (2, "2 Ray workers")):
                preparing = _preparing(raw, root, options.side, "full", by)
                with ray_cluster(workers):
                    rate = spread(preparing.work, preparing.again(RAY_TIMES), workers, over_ray=True)
                _row("sgenet, full decoding", by, rate.images_per_second, peer, None, rate.start_up, "")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--images", type=int, default=2048)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--from", dest="source", type=Path, help="a folder of JPEGs, taken as often as is needed")
    parser.add_argument("--without-ray", action="store_true")
    return parser.parse_args()


def _row(
    who: str, by: str, speed: float, peer: Rate | None, share: float | None, start_up: float | None, fidelity: str
) -> None:
    ratio = f"× {speed / peer.images_per_second:.2f}" if peer else "not measured"
    of_limit = "" if share is None else f"{share:.0%}"
    seconds = "" if start_up is None else f"{max(start_up, 0):.1f} s"
    print(f"| {who} | {by} | {speed:.0f} | {ratio} | {of_limit} | {seconds} | {fidelity} |", flush=True)


def _raw_images(folder: Path, options: argparse.Namespace) -> list[Path]:
    """So many files, whose contents repeat."""
    folder.mkdir()
    if options.source is None:
        contents = list(parallel_map(_drawn, range(min(DRAWN, options.images))))
    else:
        found = sorted(path for path in options.source.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
        contents = [path.read_bytes() for path in found[: options.images]]
        if not contents:
            raise SystemExit(f"{options.source} holds no JPEG; give --from another folder")
    paths = [folder / f"{number:06d}.jpg" for number in range(options.images)]
    for path, content in zip(paths, itertools.cycle(contents), strict=False):
        path.write_bytes(content)
    return paths


def _drawn(seed: int) -> bytes:
    content = io.BytesIO()
    Image.fromarray(render_scene(seed, HEIGHT, WIDTH).image).save(content, "JPEG", quality=RAW_QUALITY)
    return content.getvalue()


class Preparing(NamedTuple):
    """What the stage of this name does for one shard, the shards, and where they go."""

    work: Callable[[ShardPlan], int]
    plans: list[ShardPlan]
    folder: Path

    def again(self, times: int) -> list[ShardPlan]:
        """The same shards by other names: a file that is there already takes longer to write."""
        return [replace(plan, name=f"{number}-{plan.name}") for number in range(times) for plan in self.plans]


def _preparing(raw: list[Path], root: Path, side: int, decoding: str, name: str) -> Preparing:
    data = DataSettings.model_validate(
        {
            "sources": [{"adapter": "folder", "root": str(raw[0].parent), "val_ratio": 0.0}],
            "label_space": "outdoor_scenes",
            "shorter_side": side,
            "crop": side,
            "samples_per_shard": len(raw) // NUM_SHARDS,
            "jpeg_decoding": decoding,
            "jpeg_quality": QUALITY,
        }
    )
    folder = root / f"{decoding}, {name}"
    folder.mkdir()
    index.run(data, root / "sources.parquet")
    plans = plan_shards(read_sources(root / "sources.parquet"), data.samples_per_shard)
    return Preparing(partial(_write, dict(build_adapters(data)), data, folder), plans, folder)


def _write(adapters: Mapping[str, Adapter], data: DataSettings, folder: Path, plan: ShardPlan) -> int:
    return len(write_shard(plan, adapters, data, folder).index)


def _recode(folder: Path, side: int, decoding: str, plan: ShardPlan) -> int:
    for row in plan.rows:
        with open(f"{folder}/{row.sample.image_path}", "rb", 0) as file:
            resized = _reduced(file.read(), side, decoding)
        simplejpeg.encode_jpeg(resized, QUALITY, "RGB", "444", fastdct=False)
    return len(plan.rows)


def _reduced(content: bytes, side: int, decoding: str) -> Pixels:
    height, width, _, _ = simplejpeg.decode_jpeg_header(content)
    least = side if decoding == "scaled" else 0
    pixels = simplejpeg.decode_jpeg(content, "RGB", False, False, least, least)
    return resize_image(DecodedImage(pixels, (width, height), None), side)


def _exact(path: Path, side: int) -> Pixels:
    with Image.open(path) as image:
        width, height = ((length * side + min(image.size) // 2) // min(image.size) for length in image.size)
        return np.asarray(image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC))


def _psnr_of_pixels(raw: list[Path], side: int, decoding: str) -> float:
    pairs = ((_reduced(path.read_bytes(), side, decoding), _exact(path, side)) for path in raw[:JUDGED])
    return float(np.mean([_psnr(one, other) for one, other in pairs]))


def _fidelity(raw: list[Path], shards: Path, side: int) -> str:
    """The mean PSNR of the first stored images; those of another size do not count."""
    import webdataset

    exact = {path.stem: _exact(path, side) for path in raw[:JUDGED]}
    urls = [str(path) for path in sorted(shards.glob("*.tar"))]
    found = []
    for sample in webdataset.WebDataset(urls, shardshuffle=False):
        name = Path(json.loads(sample["json"]).get("url") or sample["__key__"]).stem
        if name not in exact:
            continue
        stored = simplejpeg.decode_jpeg(sample["jpg"], "RGB", fastdct=False, fastupsample=False)
        if exact[name].shape == stored.shape:
            found.append(_psnr(stored, exact[name]))
    return f"{np.mean(found):.1f} dB" if found else "of another size"


def _psnr(one: Pixels, other: Pixels) -> float:
    # An image that is exact counts as one that is wrong by 1 in a thousandth of its values.
    error = max(float(np.mean((one.astype(np.float64) - other) ** 2)), 1e-3)
    return 10 * float(np.log10(255**2 / error))


def _img2dataset(raw: list[Path], root: Path, side: int) -> Rate | None:
    """Its rate with as many shards as ours; None where it cannot be installed, with the reason printed."""
    try:
        python = peer_python()
    except SystemExit as error:
        print(f"img2dataset is not measured: {error}\n")
        return None
    (root / "addresses.txt").write_text("".join(f"file://{path}\n" for path in raw), encoding="utf-8")
    command = [
        str(python.with_name("img2dataset")), f"--url_list={root / 'addresses.txt'}", "--input_format=txt",
        "--output_format=webdataset", f"--output_folder={root / 'img2dataset'}", "--processes_count=2",
        "--thread_count=8", f"--image_size={side}", "--resize_mode=keep_ratio", f"--encode_quality={QUALITY}",
        f"--number_sample_per_shard={len(raw) // NUM_SHARDS}",
    ]  # fmt: skip
    started = time.time()
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": ""}, cwd=root)
    if done.returncode:
        raise SystemExit(f"img2dataset failed: {done.stderr.strip().splitlines()[-1]}")
    return steady_rate(list(_pieces(root / "img2dataset")), started, workers=2)


def _pieces(folder: Path) -> Iterator[Timed]:
    """Its own record of each shard; it does not say which process wrote it, so whoever was free is taken."""
    free = [0.0, 0.0]
    records = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*_stats.json")]
    for record in sorted(records, key=lambda record: float(record["start_time"])):
        worker = int(np.argmin(free))
        free[worker] = record["end_time"]
        yield Timed(worker, record["start_time"], record["end_time"], record["successes"])


if __name__ == "__main__":
    main()
