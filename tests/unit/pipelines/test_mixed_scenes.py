"""The embedded data: the same bytes everywhere, exact labels, and images that agree with them."""

from __future__ import annotations

import hashlib
import io
import itertools
import os
import subprocess
import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from numpy._core._multiarray_umath import __cpu_dispatch__
from PIL import Image

from pipelines.data.adapters.files import Adapter
from pipelines.data.adapters.mixed_scenes import mixed_scenes, scene_seed
from pipelines.landscapes import Scene, render_scene
from pipelines.settings.sources import MixedScenesSource
from sgenet.errors import DataError

SHARE_THAT_COUNTS = 0.005
"""A class is in an image when it covers half a percent of it."""


@pytest.fixture(scope="module")
def hundred_scenes() -> list[Scene]:
    return [render_scene(seed, 64, 64) for seed in range(100)]


def source(train: int = 3, val: int = 2, size: tuple[int, int] = (48, 40), **others: object) -> MixedScenesSource:
    return MixedScenesSource.model_validate(
        {"adapter": "mixed_scenes", "train": train, "val": val, "size": size, "seed": 7, **others}
    )


def class_shares(label: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    return np.bincount(label.ravel(), minlength=8) / label.size


def digest(seed: int, height: int, width: int) -> str:
    scene = render_scene(seed, height, width)
    return hashlib.sha256(scene.image.tobytes() + scene.label.tobytes()).hexdigest()


def drawn(**settings: Any) -> Adapter:
    return mixed_scenes(source(**settings), 8)


# --- determinism --------------------------------------------------------------------------------


def test_images_are_those_of_every_other_machine() -> None:
    # One scene of each complexity; only exactly rounded arithmetic is used, so no machine may differ.
    assert [digest(seed, 64, 80)[:16] for seed in (0, 1, 3)] == [
        "41f6857201a2d980",
        "528a4e06d0aa48cd",
        "530b6ab64f7924f1",
    ]


def test_a_process_without_vector_instructions_draws_the_same_bytes() -> None:
    code = (
        "import hashlib; from pipelines.landscapes import render_scene; s = render_scene(5, 48, 64); "
        "print(hashlib.sha256(s.image.tobytes() + s.label.tobytes()).hexdigest())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "12345", "NPY_DISABLE_CPU_FEATURES": " ".join(__cpu_dispatch__)}
    other = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert other.stdout.strip() == digest(5, 48, 64)


def test_different_seeds_give_different_scenes(hundred_scenes: list[Scene]) -> None:
    assert len({scene.label.tobytes() + scene.image.tobytes() for scene in hundred_scenes}) == 100


# --- composition --------------------------------------------------------------------------------


def test_every_class_occurs_and_no_other_id(hundred_scenes: list[Scene]) -> None:
    in_images = sum((class_shares(scene.label) >= SHARE_THAT_COUNTS).astype(int) for scene in hundred_scenes[:60])
    assert (in_images >= 6).all(), f"images that hold each class: {in_images}"
    assert max(int(scene.label.max()) for scene in hundred_scenes) == 7


def test_complexity_is_a_fifth_low_and_two_fifths_each_of_moderate_and_high(
    hundred_scenes: list[Scene],
) -> None:
    counts = np.array([(class_shares(scene.label) >= SHARE_THAT_COUNTS).sum() for scene in hundred_scenes])
    assert 15 <= (counts <= 2).sum() <= 28
    assert 32 <= ((counts >= 3) & (counts <= 4)).sum() <= 48
    assert 32 <= (counts > 4).sum() <= 48


@pytest.mark.parametrize(("height", "width"), [(97, 131), (32, 32), (40, 150), (150, 33)])
def test_any_size_of_at_least_32_pixels_is_drawn(height: int, width: int) -> None:
    for seed in range(10):
        scene = render_scene(seed, height, width)
        assert scene.image.shape == (height, width, 3)
        assert scene.label.shape == (height, width)
        assert scene.image.dtype == scene.label.dtype == np.uint8


def test_too_small_an_image_is_refused() -> None:
    with pytest.raises(ValueError, match=r"at least 32 pixels.*31×64"):
        render_scene(0, 31, 64)


@pytest.mark.slow
def test_the_same_scene_at_another_size() -> None:
    agreements = []
    for seed in range(20):
        small, large = render_scene(seed, 64, 64), render_scene(seed, 128, 128)
        agreements.append((small.label == large.label[1::2, 1::2]).mean())
    assert np.mean(agreements) > 0.93
    assert min(agreements) > 0.85, f"seed {int(np.argmin(agreements))}"


def test_a_wider_image_shows_the_same_scene_further_to_the_sides() -> None:
    agreements = [
        (render_scene(seed, 64, 64).label == render_scene(seed, 64, 128).label[:, 32:96]).mean() for seed in range(10)
    ]
    assert min(agreements) > 0.9


# --- images agree with labels -----------------------------------------------------------------


def test_label_edges_are_image_edges(hundred_scenes: list[Scene]) -> None:
    """Where the label changes the image changes too; a label shifted against its image fails this."""
    stronger = 0
    for scene in hundred_scenes:
        grey = scene.image.astype(np.float64).mean(axis=2)
        steps = np.abs(np.diff(grey, axis=0))
        edges = np.diff(scene.label.astype(int), axis=0) != 0
        shifted = np.roll(edges, 5, axis=0)
        stronger += steps[edges].mean() > steps[shifted].mean()
    assert stronger > 90


# --- the adapter ----------------------------------------------------------------------------------


def test_samples_are_numbered_and_sorted_by_split_and_key() -> None:
    keys = [(sample.split, sample.key) for sample in drawn(train=2, val=1).samples()]
    assert keys == [("train", "train-000000"), ("train", "train-000001"), ("val", "val-000000")]


def test_image_and_label_are_pngs_of_the_size_that_was_asked_for() -> None:
    adapter = drawn(size=(48, 40))
    sample = adapter.samples()[0]
    image = Image.open(io.BytesIO(adapter.read_image(sample)))
    label = Image.open(io.BytesIO(adapter.read_label(sample) or b""))
    assert (image.format, image.mode, image.size) == ("PNG", "RGB", (48, 40))
    assert (label.format, label.mode, label.size) == ("PNG", "L", (48, 40))


def test_no_scene_is_in_both_splits() -> None:
    places = list(itertools.product((0, 1, 2, 7), ("train", "val"), (0, 1, 2, 500, 999_999)))
    assert len({scene_seed(*place) for place in places}) == len(places)


def test_asking_for_more_images_changes_none() -> None:
    few, many = drawn(train=2, val=1), drawn(train=9, val=5)
    drawn_by_many = {sample.key: many.read_image(sample) for sample in many.samples()}
    for sample in few.samples():
        assert few.read_image(sample) == drawn_by_many[sample.key]


def test_labels_keep_their_ids_or_follow_the_class_map() -> None:
    raw = np.arange(8, dtype=np.uint8)[None]
    np.testing.assert_array_equal(drawn().map_label(raw), raw)
    mapped = drawn(class_map={1: 0, 2: 1}).map_label(raw)
    np.testing.assert_array_equal(mapped, [[255, 0, 1, 255, 255, 255, 255, 255]])


@pytest.mark.parametrize("path", ["train-000003.png", "test-000000.png", "val-x_label.png", "val.png"])
def test_a_file_of_another_source_is_refused_by_name(path: str) -> None:
    with pytest.raises(DataError, match=path):
        drawn(train=3).images.read(path)


def test_every_unusable_setting_is_reported_at_once() -> None:
    problems = source(train=0, val=0, size=(31, 64), seed=-1).problems(8)
    assert len(problems) == 3
    assert "[31, 64]" in problems[1]
