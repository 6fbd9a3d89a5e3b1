"""The result in words: which method is first in what, by how much, and whether chance could have done it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pipelines.report.collect import DatasetResults, MethodResult
from pipelines.report.tables import SCORES, Score, difference, interval

_SENTENCES = {
    "psnr_hole": "{first} is nearest to the original in the hole: PSNR {value} dB{interval}",
    "ssim_hole": "{first} keeps the structure best: SSIM in the hole {value}{interval}",
    "vgg_distance": "{first} looks most like the original in the features of a VGG: distance {value}{interval}",
    "miou_hole": "{first} predicts the classes in the hole best: mIoU {value}{interval}",
    "miou_filled_hole": "The classes in the hole filled by {first} are right most often: mIoU {value}{interval}",
}
_UNITS = {"psnr_hole": " dB"}


def summary(results: DatasetResults, set_name: str) -> list[str]:
    """What one set of holes shows, a sentence or two for each score that decides."""
    scores = [score for score in SCORES if score.name in _SENTENCES]
    said = [sentence for score in scores if (sentence := _first_and_second(results, set_name, score))]
    return said + _without_learning(results, set_name)


def _first_and_second(results: DatasetResults, set_name: str, score: Score) -> str:
    ranked = _ranked(results.methods, set_name, score)
    if not ranked:
        return ""
    first = ranked[0]
    bounds = interval(score, first, set_name)
    sentence = _SENTENCES[score.name].format(
        first=first.title,
        value=score.format(first.metrics[set_name][score.name]),
        interval=f" (95 % interval {bounds})" if bounds else "",
    )
    if len(ranked) == 1:
        return f"{sentence}."
    return f"{sentence}. It leads {ranked[1].title} by {_lead(score, first, ranked[1], set_name)}."


def _without_learning(results: DatasetResults, set_name: str) -> list[str]:
    """How far the best trained method is from the best baseline, where the first sentence does not say so."""
    score = next(score for score in SCORES if score.name == "psnr_hole")
    ranked = _ranked(results.methods, set_name, score)
    trained = [method for method in ranked if method.training is not None]
    baselines = [method for method in ranked if method.training is None]
    if not trained or not baselines or [trained[0], baselines[0]] == ranked[:2]:
        return []
    best, baseline = trained[0], baselines[0]
    if best is ranked[0]:
        lead = _lead(score, best, baseline, set_name)
        return [f"Without learning, {baseline.title} fills best; {best.title} leads it by {lead}."]
    return [f"No trained method is as near to the original as {baseline.title}, which learns nothing."]


def _ranked(methods: Sequence[MethodResult], set_name: str, score: Score) -> list[MethodResult]:
    scored = [method for method in methods if score.name in method.metrics[set_name]]
    return sorted(scored, key=lambda method: method.metrics[set_name][score.name], reverse=score.higher_is_better)


def _lead(score: Score, first: MethodResult, second: MethodResult, set_name: str) -> str:
    """By how much, over the same images, and what that means."""
    better, worse = (first, second) if score.higher_is_better else (second, first)
    lead = difference(better, worse, set_name, score.name)
    value, low, high = (f"{bound:z.{score.decimals}f}" for bound in (lead.value, lead.low, lead.high))
    text = f"{value}{_UNITS.get(score.name, '')} ({low} … {high})"
    number = int(first.metrics[set_name]["num_images"])
    if math.isnan(lead.low) or round(lead.low, score.decimals) <= 0:
        return f"{text}: too little for {number} images to tell the two apart"
    return f"{text} on the same {number} images: more than the choice of images explains; another seed may change more"
