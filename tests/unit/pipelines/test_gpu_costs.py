"""The estimates of a dry run: arithmetic by hand, and no more figures than an estimate has."""

from __future__ import annotations

import pytest

from pipelines.training.gpu_costs import KINDS, PRICES_OF, cost_lines, share_warning
from sgenet.settings import TrainingSettings

PLACES = TrainingSettings(steps=125_000, batch_size=64, compile=True)


def _lines(training: TrainingSettings, workers: int = 8, gigabytes: float = 10.0) -> dict[str, str]:
    lines = cost_lines(training, workers, 1061e9, gigabytes * 1e9, "bfloat16")[1:]
    return {kind.name: line for kind, line in zip(KINDS, lines, strict=True)}


def test_hours_and_price_follow_from_the_work() -> None:
    # 0.2 to 0.3 of 989 teraflops on 8 GPUs: 1,491 to 2,237 images a second; 8 million images; 28 dollars an hour.
    assert _lines(PLACES)["H200"].endswith(
        "1,500 to 2,200 images/s, 0.99 to 1.5 hours, 28 to 42 USD at 3.5 per GPU-hour"
    )


def test_an_estimate_is_called_one_and_its_prices_have_a_year() -> None:
    header = cost_lines(PLACES, 8, 1061e9, 1e10, "bfloat16")[0]
    assert f"estimated, not measured, at list prices of {PRICES_OF}" in header


def test_determinism_and_eager_kernels_cost_what_is_said_of_them() -> None:
    def hours(**changes: bool) -> float:
        line = _lines(TrainingSettings(steps=125_000, batch_size=64, **changes))["H100"]
        return float(line.split("images/s, ")[1].split(" ")[0])

    assert hours(compile=True) < hours() < hours(deterministic=True)


def test_a_gpu_that_is_too_small_is_said_to_be() -> None:
    lines = _lines(PLACES, gigabytes=60)
    assert "needs about 75 GB a GPU and has 24" in lines["A10G"]
    assert "USD" in lines["H100"]


@pytest.mark.parametrize(("workers", "warned"), [(8, False), (16, True), (32, True)])
def test_less_than_eight_images_a_gpu_are_warned_of(workers: int, warned: bool) -> None:
    warning = share_warning(PLACES, workers)
    assert (warning is not None) == warned
    if warning is not None:
        assert f"is {64 // workers} images a step for each of {workers} GPUs" in warning
        assert f"a batch of {8 * workers}" in warning
