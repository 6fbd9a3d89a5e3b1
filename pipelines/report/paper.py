"""The paper's numbers, to be shown beside ours where dataset, crop and holes are the paper's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipelines.settings.params import Settings


@dataclass(frozen=True)
class Published:
    """PSNR in dB, SSIM and FID of Table 1; its rows of Outdoor Scenes with centre holes are Table 3's too."""

    psnr: float
    ssim: float
    fid: float

    def __str__(self) -> str:
        return f"{self.psnr:.2f} / {self.ssim:.2f} / {self.fid:.2f}"


_SIDE = 256
_DATASETS = {"outdoor_scenes": (256, 128), "cityscapes": (512, 96)}
"""From the adapter of the paper's dataset to the images' shorter side and that of the centre hole."""

_TABLE_1 = {
    ("outdoor_scenes", "centre"): {
        "gated_conv": Published(19.06, 0.73, 42.34),
        "edge_connect": Published(19.32, 0.76, 41.25),
        "spg_net": Published(18.04, 0.70, 45.31),
        "base_net": Published(19.14, 0.71, 45.31),
        "sg_net": Published(19.58, 0.77, 41.49),
        "sge_net": Published(20.53, 0.81, 40.67),
    },
    ("outdoor_scenes", "irregular"): {
        "gated_conv": Published(19.27, 0.81, 40.31),
        "edge_connect": Published(19.63, 0.83, 44.31),
        "spg_net": Published(17.85, 0.74, 50.03),
        "sg_net": Published(19.87, 0.81, 41.74),
        "sge_net": Published(20.02, 0.83, 42.47),
    },
    ("cityscapes", "centre"): {
        "gated_conv": Published(21.13, 0.74, 20.03),
        "edge_connect": Published(21.71, 0.76, 19.87),
        "spg_net": Published(20.14, 0.71, 23.21),
        "sg_net": Published(23.04, 0.83, 18.98),
        "sge_net": Published(23.41, 0.85, 18.67),
    },
    ("cityscapes", "irregular"): {
        "gated_conv": Published(17.42, 0.72, 40.57),
        "edge_connect": Published(17.83, 0.73, 38.07),
        "spg_net": Published(16.01, 0.64, 44.13),
        "sg_net": Published(17.94, 0.64, 41.24),
        "sge_net": Published(18.03, 0.75, 39.93),
    },
}

_TABLE_4 = {
    ("outdoor_scenes", "deep_parsing"): {"edge_connect": 0.73, "spg_net": 0.63, "sge_net": 0.79},
    ("cityscapes", "deeplab_v3_plus"): {"edge_connect": 0.61, "spg_net": 0.57, "sge_net": 0.71},
}
"""mIoU: of EdgeConnect's and SPG-Net's fillings by a segmenter; of SGE-Net by itself."""

_TABLE_5 = {
    ("outdoor_scenes", "deep_parsing"): {"auto": 20.19, "human": 20.53},
    ("cityscapes", "deeplab_v3_plus"): {"auto": 22.94, "human": 23.41},
}
"""PSNR of SGE-Net in dB, by where the labels came from."""


def published(settings: Settings, dataset: str, set_name: str) -> Mapping[str, Published]:
    """What the paper reports, by method; empty where images or holes are not the paper's.

    They are where the adapter, the resizing, the crop, the split and the hole are: the centre square of the
    paper's size, or the files of irregular masks.
    """
    setting = _setting(settings, dataset, set_name)
    return {} if setting is None else _TABLE_1[setting]


def published_segmentation(settings: Settings, dataset: str, set_name: str, segmenter: str | None) -> dict[str, float]:
    """The mIoU of Table 4 by method; empty where data or segmenter are not the paper's.

    The paper does not say of which holes: they are taken to be the centre ones.
    """
    adapter, holes = _setting(settings, dataset, set_name) or (None, None)
    return _TABLE_4.get((adapter, segmenter), {}) if adapter and segmenter and holes == "centre" else {}


def published_label_sources(settings: Settings, dataset: str, set_name: str, segmenter: str | None) -> dict[str, float]:
    """The PSNR of Table 5 by label source; empty where data or segmenter are not the paper's.

    Its number of people's labels is that of Table 1 with centre holes.
    """
    adapter, holes = _setting(settings, dataset, set_name) or (None, None)
    return _TABLE_5.get((adapter, segmenter), {}) if adapter and segmenter and holes == "centre" else {}


def _setting(settings: Settings, dataset: str, set_name: str) -> tuple[str, str] | None:
    """The paper's dataset and kind of holes that these are; None for others, and for models of other data."""
    if settings.models_of(dataset) != dataset:
        return None
    data = settings.data[dataset]
    adapters = {source.adapter for source in data.sources}
    hole = next((masks.hole for masks in settings.masks[dataset].evaluation if masks.name == set_name), None)
    if hole is None or len(adapters) != 1 or settings.evaluation.split != "val":
        return None
    (adapter,) = adapters
    if adapter not in _DATASETS or (data.shorter_side, data.crop) != (_DATASETS[adapter][0], _SIDE):
        return None
    if hole.kind == "centre" and hole.size == _DATASETS[adapter][1]:
        return adapter, "centre"
    return (adapter, "irregular") if hole.kind == "files" else None
