"""What a challenger must show before it becomes champion."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipelines.settings.strict import Strict
from pipelines.settings.titles import BaselineName


class ToleranceSettings(Strict):
    """By how much the mean of a score may be worse than the champion's, in the score's own unit.

    Attributes:
        psnr, psnr_hole: in dB.
        ssim, ssim_hole, l1, l1_hole, miou, miou_hole: in the score's own unit.
    """

    psnr: float = Field(default=0.1, ge=0)
    psnr_hole: float = Field(default=0.1, ge=0)
    ssim: float = Field(default=0.003, ge=0)
    ssim_hole: float = Field(default=0.01, ge=0)
    l1: float = Field(default=0.001, ge=0)
    l1_hole: float = Field(default=0.003, ge=0)
    miou: float = Field(default=0.01, ge=0)
    miou_hole: float = Field(default=0.02, ge=0)


class PromotionSettings(Strict):
    """What a challenger must show before it becomes ``champion``; see ``docs/registry.md``.

    Attributes:
        primary: the score that must be better, its paired bootstrap interval above zero.
        tolerances: how much worse any score may be, over all images and in every stratum.
        min_images: strata with fewer images are shown and not judged; the whole needs as many.
        baseline: method without learning that a first champion must beat.
        latency_factor, latency_slack: a fill may take this many times the champion's time, plus these seconds.
    """

    primary: Literal["psnr", "psnr_hole", "ssim", "ssim_hole", "l1", "l1_hole"] = "psnr_hole"
    tolerances: ToleranceSettings = ToleranceSettings()
    min_images: int = Field(default=8, ge=2)
    baseline: BaselineName = "mean_colour"
    latency_factor: float = Field(default=1.5, gt=0)
    latency_slack: float = Field(default=0.05, ge=0)
