"""The row of copied texture in an evaluation is what the inpainter makes of the same image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from pipelines.evaluation.fills import model_fill
from pipelines.registry.shipping import SHIPPED
from sgenet.inpainter import Inpainter
from sgenet.methods.release import load_released


@pytest.mark.slow
def test_copied_texture_is_that_of_the_inpainter() -> None:
    folder = SHIPPED
    released = load_released(folder)
    side = released.recipe.network.image_size
    with Image.open(folder.parents[1] / "inference" / "page" / "photos" / "forest_stream.jpg") as photo:
        image = np.asarray(photo.convert("RGB").resize((side, side)))
    hole = np.zeros((side, side), np.uint8)
    hole[side // 4 : side // 2, side // 4 : side // 2] = 1
    expected = Inpainter.load(folder)(image, hole.astype(bool), texture="exemplar").image
    pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)[None]
    label = torch.zeros(1, side, side, dtype=torch.uint8)
    fill = model_fill(released, torch.device("cpu"), copies_texture=True)
    filled = fill(pixels, torch.from_numpy(hole)[None, None], label)
    found = filled.image[0].permute(1, 2, 0).numpy()
    assert np.abs(found.astype(int) - expected).max() <= 1  # rounded in another way
    assert not np.array_equal(found, image)
    assert filled.label is None
