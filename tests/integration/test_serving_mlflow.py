"""``mlflow models serve`` on a registered model, as the documents say to use it; its limits are nginx's."""

from __future__ import annotations

import urllib.error
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pytest
from served import pixels_of, post, row_of, running, scene, tiny_model

from sgenet.inpainter import Inpainter

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


class Served(NamedTuple):
    port: int
    inpainter: Inpainter


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    model = tiny_model(tmp_path_factory.mktemp("model"))
    with running("mlflow", model, {}) as (port, _):
        yield Served(port, Inpainter.load(model))


def test_rows_are_answered_with_what_the_inpainter_draws(served: Served) -> None:
    scenes = [scene(seed, 48 + seed, 64) for seed in range(2)]
    answered = post(served.port, "/invocations", {"inputs": [row_of(*each) for each in scenes]})
    for (image, hole), prediction in zip(scenes, answered["predictions"], strict=True):
        drawn = served.inpainter(image, hole, texture="exemplar")
        filled = pixels_of(prediction["inpainted"])
        np.testing.assert_array_equal(filled[hole == 0], image[hole == 0])
        np.testing.assert_allclose(filled.astype(int), drawn.image.astype(int), atol=1)
        assert prediction["confidence"] == pytest.approx(drawn.hole_confidence, abs=1e-4)


def test_a_row_that_is_wrong_is_refused_with_a_sentence(served: Served) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        post(served.port, "/invocations", {"inputs": [{"image": "?", "hole_mask": "?"}]})
    assert caught.value.code == 400
    assert b"row 0: 'image' is not base64" in caught.value.read()
