"""The search's parts: its space, its settings file, its comparison of trials, and what it says mattered."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.utils.hydra import apply_overrides
from every_dataset import every_dataset

from pipelines.settings.load import load, parse
from pipelines.settings.params import SearchSettings
from pipelines.training.search.outcome import FEWEST_TRIALS, importances, overrides, plot, with_settings
from pipelines.training.search.plan import search_recipe
from pipelines.training.search.space import (
    Dimension,
    current_values,
    dimensions,
    not_searched,
    outside_bounds,
    rounded,
    settings_of,
    with_values,
)
from pipelines.training.search.trials import Trial, best_trial, common_scores, table
from sgenet.errors import SettingsError
from sgenet.methods.recipe import Recipe
from sgenet.settings import LossSettings, TrainingSettings

ROOT = Path(__file__).resolve().parents[3]
SEARCH = SearchSettings()
TRIED = {
    "lambda_p": 0.5,
    "lambda_alpha": 0.002,
    "lambda_s": 0.7,
    "tau_0": 0.1,
    "tau_1": 0.2,
    "tau_2": 0.8,
    "tau_3": 0.9,
}


def test_only_sge_net_has_thresholds_to_search_and_weights_alone_are_drawn_logarithmically() -> None:
    drawn = {dimension.name: dimension for dimension in dimensions(SEARCH, "sge_net")}
    assert list(drawn) == list(TRIED)
    assert drawn["lambda_alpha"] == Dimension("lambda_alpha", *SEARCH.lambda_alpha, logarithmic=True)
    assert drawn["tau_2"] == Dimension("tau_2", *SEARCH.tau, logarithmic=False)
    assert [dimension.name for dimension in dimensions(SEARCH, "sg_net")] == ["lambda_p", "lambda_alpha", "lambda_s"]
    with pytest.raises(SettingsError, match="not gated_conv"):
        dimensions(SEARCH, "gated_conv")


def test_values_arrive_where_the_paper_has_them() -> None:
    recipe = with_values(Recipe(), TRIED)
    assert (recipe.losses.perceptual, recipe.losses.adversarial, recipe.losses.segmentation) == (0.5, 0.002, 0.7)
    assert recipe.network.tau.ratios == (0.1, 0.2, 0.8, 0.9)
    assert with_values(recipe, current_values(Recipe(), dimensions(SEARCH, "sge_net")) or {}) == Recipe()


def test_the_recipe_itself_is_tried_only_where_it_lies_in_what_is_searched() -> None:
    searched = dimensions(SEARCH, "sge_net")
    assert current_values(with_values(Recipe(), TRIED), searched) == TRIED
    assert outside_bounds(with_values(Recipe(), TRIED), searched) is None
    wide = with_values(Recipe(), {"lambda_alpha": 0.5})
    assert current_values(wide, searched) is None
    assert "lambda_alpha is 0.5, searched from 0.001 to 0.1;" in str(outside_bounds(wide, searched))


def test_lambda_p_is_searched_only_where_vgg_can_be_had(tmp_path: Path) -> None:
    def reason(**losses: Any) -> str | None:
        return not_searched(replace(Recipe(), losses=LossSettings(**losses))).get("lambda_p")

    assert reason(perceptual=0.1, perceptual_weights="random") is None
    assert "stays 0" in str(reason(perceptual=0.0))
    assert "λ_p is not searched and is 0: " in str(reason(perceptual=0.1, perceptual_weights=str(tmp_path / "no.pth")))


def test_a_term_that_the_recipe_has_off_stays_off() -> None:
    losses = LossSettings(perceptual_weights="random", adversarial=0.0, segmentation=0.0)
    reasons = not_searched(replace(Recipe(), losses=losses))
    assert reasons == {
        "lambda_alpha": "λ_α is not searched and stays 0, as losses.adversarial of the recipe says",
        "lambda_s": "λ_s is not searched and stays 0, as losses.segmentation of the recipe says",
    }


def test_trials_are_stored_and_judged_at_the_same_steps_whatever_ends_a_training() -> None:
    timed = Recipe(training=TrainingSettings(budget="wall_clock", seconds=60.0))
    search = SearchSettings(steps=600, report_every=200, grace_steps=200)
    training = search_recipe(timed, search).training
    assert (training.steps, training.validate_every, training.checkpoint_every) == (600, 200, 200)
    assert search_recipe(timed, search) == search_recipe(Recipe(), search)


def test_a_trial_that_was_stopped_early_is_never_the_best() -> None:
    early = Trial("early", {}, ((1, 10.0), (2, 30.0)))
    failed = Trial("failed", {}, ((1, 9.0), (2, 20.0), (4, 99.0)), error="NaN")
    first, second = Trial("a", {}, ((1, 1.0), (4, 20.0))), Trial("b", {}, ((1, 2.0), (4, 21.0)))
    unjudged = Trial("none", {}, ())
    trials = [early, failed, first, second, unjudged]
    assert best_trial(trials, maximises=True) is second
    assert best_trial(trials, maximises=False) is first
    assert best_trial([failed, unjudged], maximises=True) is None
    # Compared at the last step that all sound trials share, not at their last.
    assert common_scores(trials) == (1, [(early, 10.0), (first, 1.0), (second, 2.0)])


def test_the_table_has_a_row_for_every_trial() -> None:
    trials = [Trial("a", {"x": 1.5}, ((2, 3.0),)), Trial("b", {"x": 2.0}, (), error="lost")]
    assert table(trials, ["x"], "psnr_hole") == "trial,step,psnr_hole,x,error\na,2,3.0,1.5,\nb,0,,2.0,lost\n"


@pytest.mark.parametrize(
    ("value", "shown"), [(0.0123456, 0.01235), (0.00987654, 0.009877), (0.5, 0.5), (12.3456, 12.35), (0.0, 0.0)]
)
def test_values_are_written_with_four_digits(value: float, shown: float) -> None:
    assert rounded(value) == shown


@pytest.mark.parametrize("dataset", ["mixed_scenes", "cityscapes"])
def test_the_best_settings_are_a_whole_settings_file(raw: dict[str, Any], dataset: str, tmp_path: Path) -> None:
    """Also where the file says little or nothing of the recipe."""
    before = parse(raw)
    changed = settings_of(before.recipes[dataset], TRIED)
    path = tmp_path / "best.yaml"
    path.write_text(yaml.safe_dump(with_settings(raw, dataset, changed), allow_unicode=True, sort_keys=False))
    after = load(path)
    assert after.recipes[dataset] == with_values(before.recipes[dataset], TRIED)
    others = {name: recipe for name, recipe in after.recipes.items() if name != dataset}
    assert others == {name: recipe for name, recipe in before.recipes.items() if name != dataset}
    assert after.model_copy(update={"recipes": {}}) == before.model_copy(update={"recipes": {}})


@pytest.mark.parametrize("dataset", ["mixed_scenes", "cityscapes"])
def test_dvc_makes_the_same_settings_of_the_printed_changes(raw: dict[str, Any], dataset: str, tmp_path: Path) -> None:
    """By DVC's own function for ``dvc exp run -S``."""
    before = parse(raw)
    changed = settings_of(before.recipes[dataset], TRIED)
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(every_dataset(), sort_keys=False))
    apply_overrides(path, overrides(yaml.safe_load(path.read_text()), dataset, changed))
    assert load(path).recipes[dataset] == with_values(before.recipes[dataset], TRIED)


def _trials(count: int) -> list[tuple[Trial, float]]:
    """Scores that follow ten times as much from the logarithm of one number as from another, and not from a third."""
    draw = random.Random(0)
    scored = []
    for number in range(count):
        values = {"lambda_s": 10 ** draw.uniform(-2, 0), "tau_0": draw.uniform(0, 1), "tau_1": draw.uniform(0, 1)}
        scored.append((Trial(str(number), values, ()), 10 * math.log10(values["lambda_s"]) / 2 + values["tau_0"]))
    return scored


SEARCHED = (
    Dimension("lambda_s", 0.01, 1.0, logarithmic=True),
    Dimension("tau_0", 0.0, 1.0, logarithmic=False),
    Dimension("tau_1", 0.0, 1.0, logarithmic=False),
)


@pytest.mark.slow
def test_importance_is_the_share_in_the_variance() -> None:
    """Variances of 100/12, 1/12 and 0, so 99 %, 1 % and nothing."""
    shares = importances(_trials(60), SEARCHED, seed=1)
    assert next(iter(shares)) == "lambda_s"
    assert shares["lambda_s"] > 0.93
    assert shares["tau_1"] < 0.03
    assert sum(shares.values()) == pytest.approx(1)
    assert importances(_trials(60), SEARCHED, seed=1) == shares


def test_few_or_infinite_scores_say_nothing() -> None:
    scored = _trials(FEWEST_TRIALS)
    assert importances(scored, SEARCHED, seed=1)
    assert importances(scored[1:], SEARCHED, seed=1) == {}
    assert importances([(scored[0][0], math.nan), *scored[1:]], SEARCHED, seed=1) == {}
    assert plot({}, 2, 10, "psnr_hole").startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"lambda_s": [0, 1]}, "search.lambda_s ([0.0, 1.0]) must be two rising numbers above 0"),
        ({"tau": [0.5, 1.5]}, "search.tau ([0.5, 1.5]) must be two rising numbers between 0 and 1"),
        ({"grace_steps": 600}, "search.grace_steps (600) must not exceed search.steps (500)"),
        ({"report_every": 70}, "search.report_every (70) must divide"),
        ({"run": [{"dataset": "mars", "method": "sge_net"}]}, "search.run: dataset 'mars' is not in datasets"),
        ({"run": [{"dataset": "mixed_scenes", "method": "sge_nut"}]}, "search.run: method 'sge_nut' is not in methods"),
        ({"run": [{"dataset": "mixed_scenes", "method": "sg_net"}] * 2}, "names mixed_scenes/sg_net more than once"),
        ({"reduction_factor": 1}, "search.reduction_factor must be greater than 1"),
        ({"metric": "beauty"}, "search.metric must be 'psnr_hole'"),
    ],
)
def test_each_mistake_in_the_search_is_named(raw: dict[str, Any], changes: dict[str, Any], sentence: str) -> None:
    raw["search"] |= changes
    with pytest.raises(SettingsError) as caught:
        parse(raw)
    assert any(sentence in problem for problem in caught.value.problems), caught.value.problems


def test_nothing_is_searched_for_in_dvc_repro_unless_asked(raw: dict[str, Any]) -> None:
    assert raw["search"]["run"] == []
    stage = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["search"]
    assert stage["matrix"] == {"pair": "${search.run}"}
    # Every setting of the search but the list itself makes a new search.
    watched = {key.removeprefix("search.") for key in stage["params"] if key.startswith("search.")}
    assert watched == set(raw["search"]) - {"run"}
