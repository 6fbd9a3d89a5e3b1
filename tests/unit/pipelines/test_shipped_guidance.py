"""The shipped model on photographs: a class that is given in the hole changes what is filled there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.tracking.model_source import shipped_model
from sgenet.inpainter import Inpainter, Texture

PHOTOS = Path(__file__).resolve().parents[4] / "shared" / "data" / "free_photos"
# Aitzol Berasategi 2018, CC BY 4.0.
WITH_A_BLUE_SKY = ("rocky_path.jpg", "sunset.jpg")


@pytest.mark.slow
@pytest.mark.skipif(not PHOTOS.is_dir(), reason="the photographs for development are not here")
@pytest.mark.parametrize("texture", ["network", "exemplar"])
@pytest.mark.parametrize("name", WITH_A_BLUE_SKY)
def test_sky_and_grass_given_in_the_hole_look_like_sky_and_grass(name: str, texture: Texture) -> None:
    inpainter = Inpainter.load(shipped_model().folder)
    image = Image.open(PHOTOS / name).convert("RGB")
    image.thumbnail((192, 192))
    hole = np.zeros((image.height, image.width), bool)
    # Around the horizon: sky above, ground below.
    hole[image.height // 4 : image.height * 2 // 3, image.width // 3 : image.width * 2 // 3] = True

    def filled_with(class_name: str) -> np.ndarray:
        guide = np.full(hole.shape, 255, np.uint8)
        guide[hole] = inpainter.label_space.names.index(class_name)
        return inpainter(image, hole, guide=guide, texture=texture).image[hole].astype(float)

    sky, grass = filled_with("sky"), filled_with("grass")
    assert np.abs(sky - grass).mean() >= 40
    red, green, blue = (sky - grass).mean(axis=0)
    assert blue > green
    assert blue > red
    assert red + green + blue > 0
