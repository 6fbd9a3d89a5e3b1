"""What a training that starts from a released model says of it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from pipelines.training.job import StartingModel
from pipelines.training.start import take_start
from sgenet.label_space import OUTDOOR_SCENES
from sgenet.methods.build import build_generator, build_method
from sgenet.methods.recipe import Recipe
from sgenet.methods.release import save_released
from sgenet.settings import LossSettings, NetworkSettings
from sgenet.training.state import TrainingState


def recipe_of(crop: int) -> Recipe:
    network = NetworkSettings(
        widths=(4, 4, 4, 4, 4), context_blocks=1, encoder_blocks=(0, 0, 0, 0, 0), decoder_blocks=(0, 0, 0, 0),
        modulation_width=4, image_size=crop,
    )  # fmt: skip
    return Recipe(network=network, losses=LossSettings(perceptual=0, adversarial=0))


@pytest.mark.parametrize("crop", [32, 64])
def test_a_model_of_another_crop_is_told(tmp_path: Path, crop: int) -> None:
    classes = OUTDOOR_SCENES.num_classes
    generator = build_generator("base_net", recipe_of(32), classes)
    save_released(tmp_path / "model", "base_net", generator, recipe_of(32), OUTDOOR_SCENES)
    recipe = recipe_of(crop)
    job = SimpleNamespace(method="base_net", recipe=recipe, label_space=OUTDOOR_SCENES, dataset="photos")
    state = TrainingState(build_method("base_net", recipe, classes), recipe)
    said = take_start(job, StartingModel("small", "", str(tmp_path / "model")), state)  # type: ignore[arg-type]
    assert said.startswith("starting from small: ")
    of_another = "it was trained on crops of 32×32 pixels, these are of 64×64: more steps are needed"
    assert (of_another in said) == (crop == 64)
