"""The paper's numbers, to stand beside ours where dataset, crop and holes are the paper's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipelines.params import Settings


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
"""From the adapter of the paper's dataset to the pictures' shorter side and that of the centre hole."""

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


def published(settings: Settings, dataset: str, set_name: str) -> Mapping[str, Published]:
    """What the paper reports, by method; empty where pictures or holes are not the paper's.

    They are where the adapter, the resizing, the crop, the split and the hole are: the centre square of the
    paper's size, or the files of irregular masks.
    """
    data = settings.data[dataset]
    adapters = {source.adapter for source in data.sources}
    hole = next((masks.hole for masks in settings.masks[dataset].evaluation if masks.name == set_name), None)
    if hole is None or len(adapters) != 1 or settings.evaluation.split != "val":
        return {}
    (adapter,) = adapters
    if adapter not in _DATASETS or (data.shorter_side, data.crop) != (_DATASETS[adapter][0], _SIDE):
        return {}
    if hole.kind == "centre" and hole.size == _DATASETS[adapter][1]:
        return _TABLE_1[adapter, "centre"]
    return _TABLE_1[adapter, "irregular"] if hole.kind == "files" else {}
