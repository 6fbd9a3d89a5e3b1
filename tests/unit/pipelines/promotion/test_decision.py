"""What moves ``champion`` and what does not, on scores made by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from score_tables import COUNT, changed, rows_of, table, with_counts

from pipelines.registry.gate.decision import Check, Decision, Verdict, decide
from pipelines.registry.gate.images import ImageTable
from pipelines.settings.params import PromotionSettings

RULES = PromotionSettings()
CHAMPION = table()
BETTER = table(seed=1, psnr_hole=0.5)


def judge(challenger: ImageTable, champion: ImageTable = CHAMPION, **options: object) -> Decision:
    return decide(champion, challenger, RULES, **options)  # type: ignore[arg-type]


def verdict(decision: Decision, score: str, mask_set: str, stratum: str) -> Verdict:
    return next(
        item.verdict
        for item in decision.comparisons
        if (item.comparison.score, item.comparison.mask_set, item.comparison.stratum) == (score, mask_set, stratum)
    )


def test_a_better_challenger_is_promoted_and_the_reason_says_by_how_much() -> None:
    decision = judge(BETTER)
    assert decision.promote
    assert len(decision.reasons) == 1
    assert "PSNR hole is better: +0.50 [+0.4" in decision.reasons[0]
    assert "over 30 images" in decision.reasons[0]
    assert "no score is worse beyond its tolerance" in decision.reasons[0]


def test_noise_is_no_improvement() -> None:
    decision = judge(table(seed=1))
    assert not decision.promote
    assert "PSNR hole is not shown to be better" in decision.reasons[0]
    assert "the interval must lie above zero" in decision.reasons[0]


def test_no_improvement_or_one_that_some_images_make_alone_is_not_enough() -> None:
    assert not judge(CHAMPION).promote
    lucky = np.isin(np.arange(2 * COUNT) % COUNT, [4])
    decision = judge(changed(CHAMPION, "psnr_hole", lucky, by=3.0))
    assert decision.primary is not None
    assert decision.primary.comparison.improvement.value == pytest.approx(0.1)
    assert not decision.promote


def test_a_score_that_is_better_when_lower_counts_the_right_way_round() -> None:
    decision = decide(CHAMPION, table(seed=1, l1_hole=-0.02), PromotionSettings(primary="l1_hole"))
    assert decision.promote
    assert "L1 hole is better: +0.0201 [+0.0199" in decision.reasons[0]
    assert not decide(CHAMPION, table(seed=1, l1_hole=0.02), PromotionSettings(primary="l1_hole")).promote


@pytest.mark.parametrize(
    ("score", "by", "words"),
    [("ssim", -0.01, "SSIM is worse with the holes 'centre': -0.010"), ("l1", 0.004, "L1 is worse with the holes")],
)
def test_a_regression_of_another_score_refuses(score: str, by: float, words: str) -> None:
    decision = judge(table(seed=1, psnr_hole=0.5, **{score: by}))
    assert not decision.promote
    assert words in decision.reasons[0]
    assert "beyond the tolerance of 0.00" in decision.reasons[0]


def test_a_regression_within_the_tolerance_does_not_and_tolerances_are_settings() -> None:
    rules = PromotionSettings.model_validate({"tolerances": {"ssim": 0.02}})
    assert decide(CHAMPION, table(seed=1, psnr_hole=0.5, ssim=-0.01), rules).promote
    assert judge(table(seed=1, psnr_hole=0.5, ssim=-0.001)).promote


def test_a_regression_in_one_stratum_of_one_mask_set_refuses_and_is_named() -> None:
    rows = rows_of(BETTER, "irregular", "high")
    decision = judge(changed(BETTER, "psnr_hole", rows, by=-1.0))
    assert not decision.promote
    assert len(decision.reasons) == 1
    assert "PSNR hole in high scenes is worse with the holes 'irregular': -0.5" in decision.reasons[0]
    assert "over 10 images, beyond the tolerance of 0.1" in decision.reasons[0]
    assert verdict(decision, "psnr_hole", "irregular", "low") is Verdict.BETTER


def test_a_stratum_that_is_worse_by_chance_alone_is_shown_and_does_not_refuse() -> None:
    worst = np.flatnonzero(rows_of(BETTER, "irregular", "high"))[:1]
    decision = judge(changed(BETTER, "psnr_hole", worst, by=-7.0))
    assert verdict(decision, "psnr_hole", "irregular", "high") is Verdict.WITHIN_CHANCE
    assert decision.promote
    assert "1 within strata are, but no more than chance explains" in decision.reasons[0]


def test_a_stratum_with_too_few_images_is_shown_and_not_judged() -> None:
    def few(scores: ImageTable) -> ImageTable:
        return replace(scores, strata=tuple("low" if key < "image-07" else "high" for _, key in scores.rows))

    challenger = few(BETTER)
    challenger = changed(challenger, "ssim", rows_of(challenger, "centre", "low"), by=-0.05)
    challenger = changed(challenger, "ssim", rows_of(challenger, "centre", "high"), by=0.05)
    decision = judge(challenger, few(CHAMPION))
    assert verdict(decision, "ssim", "centre", "low") is Verdict.TOO_FEW
    assert decision.promote
    stricter = decide(few(CHAMPION), challenger, PromotionSettings(min_images=7))
    assert "SSIM in low scenes is worse" in stricter.reasons[0]


def test_too_few_images_altogether_prove_nothing() -> None:
    decision = judge(table(seed=1, count=6, psnr_hole=0.5), table(count=6))
    assert not decision.promote
    assert decision.reasons[0] == "PSNR hole was scored on 6 images, too few to tell anything from chance"


@pytest.mark.parametrize(
    "other", [{"rows": (("centre", "stranger"), *BETTER.rows[1:])}, {"strata": ("high", *BETTER.strata[1:])}]
)
def test_scores_of_other_images_refuse(other: dict[str, Any]) -> None:
    decision = judge(replace(BETTER, **other))
    assert not decision.promote
    assert decision.reasons == ("the two were scored on different images; evaluate both again",)


def test_a_score_that_is_not_a_number_refuses_and_names_its_image() -> None:
    broken = changed(BETTER, "ssim", np.arange(2 * COUNT) == 3, by=np.nan)
    decision = judge(broken)
    assert not decision.promote
    assert decision.reasons == ("the challenger's ssim is not a finite number for image-03 (centre)",)
    infinite = changed(BETTER, "psnr_hole", np.arange(2 * COUNT) < 5, by=np.inf)
    assert "image-00 (centre), image-01 (centre), image-02 (centre) and 2 more" in judge(infinite).reasons[0]
    assert (
        "the champion's ssim is not" in judge(BETTER, changed(CHAMPION, "ssim", np.arange(60) == 3, np.nan)).reasons[0]
    )


def test_an_image_without_a_hole_has_no_score_in_the_hole_for_either() -> None:
    empty = np.arange(2 * COUNT) == 3
    decision = judge(changed(BETTER, "ssim_hole", empty, np.nan), changed(CHAMPION, "ssim_hole", empty, np.nan))
    assert decision.promote


def test_a_missing_score_refuses() -> None:
    without = {name: values for name, values in BETTER.scores.items() if name != "ssim"}
    decision = judge(replace(BETTER, scores=without))
    assert not decision.promote
    assert decision.reasons == ("the challenger has no ssim, which the champion has",)
    without = {name: values for name, values in CHAMPION.scores.items() if name != "psnr_hole"}
    assert (
        "the champion has no psnr_hole, the primary score" in judge(BETTER, replace(CHAMPION, scores=without)).reasons
    )


def test_segmentation_is_judged_where_both_predict_it() -> None:
    worse = judge(with_counts(BETTER, right=80), with_counts(CHAMPION, right=90))
    assert not worse.promote
    assert "mIoU is worse with the holes 'centre': -0.152" in worse.reasons[0]  # 90/110 - 80/120
    assert judge(with_counts(BETTER, right=90), with_counts(CHAMPION, right=80)).promote


def test_a_challenger_without_segmentation_is_judged_on_the_rest_and_it_is_said() -> None:
    decision = judge(BETTER, with_counts(CHAMPION, right=90))
    assert decision.promote
    assert "miou: the challenger predicts no segmentation" in decision.notes


def test_a_broken_invariant_refuses_the_best_scores() -> None:
    checks = [Check("finite output", True, "fine"), Check("known pixels", False, "3 of 1000 changed at 33×47")]
    decision = judge(BETTER, checks=checks)
    assert not decision.promote
    assert decision.reasons == ("known pixels: 3 of 1000 changed at 33×47",)
    assert decision.primary is not None


def test_everything_that_stands_against_it_is_said_at_once() -> None:
    decision = judge(table(seed=1, ssim=-0.01), checks=[Check("known pixels", False, "changed")])
    assert [reason.split()[0] for reason in decision.reasons] == ["known", "PSNR", "SSIM", "SSIM"] + ["SSIM"] * 6


def test_against_a_baseline_the_primary_score_decides_alone() -> None:
    challenger = table(seed=1, psnr_hole=0.5, ssim=-0.1)
    assert not judge(challenger).promote
    decision = judge(challenger, against_baseline=True)
    assert decision.promote
    assert "there is no champion yet" in decision.reasons[0]
    assert verdict(decision, "ssim", "centre", "low") is Verdict.NOT_JUDGED
    assert not judge(table(seed=1), against_baseline=True).promote
