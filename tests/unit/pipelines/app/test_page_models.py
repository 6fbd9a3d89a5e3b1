"""Models are found anew, loaded once, and only a few stay in memory."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import pytest

from pipelines.inference.page.models import ModelShelf, model_title
from pipelines.tracking.model_source import ModelSource
from sgenet.errors import UserError


class Counting:
    """In the place of an inpainter's loading: counts how often each folder was loaded."""

    def __init__(self) -> None:
        self.folders: list[str] = []
        self.may_finish = threading.Event()
        self.may_finish.set()

    def __call__(self, folder: Path) -> object:
        self.folders.append(folder.name)
        assert self.may_finish.wait(10)
        return object()


@pytest.fixture
def counting():
    return Counting()


@pytest.fixture
def shelf(sources, counting):
    shelf = ModelShelf(lambda: sources, most_loaded=2, load=counting)
    shelf.refresh()
    return shelf


def test_titles_say_method_place_and_version(sources):
    folder = sources[0].folder
    assert model_title(ModelSource("nets@champion", folder, "registry", "7")) == "SGE-Net · nets@champion, version 7"
    assert model_title(ModelSource("shipped", folder, "shipped")) == "SGE-Net · shipped"


def test_two_visitors_at_once_wait_for_one_load(shelf, counting):
    counting.may_finish.clear()
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(shelf.inpainter(shelf.titles[0]))) for _ in range(4)]
    for thread in threads:
        thread.start()
    counting.may_finish.set()
    for thread in threads:
        thread.join(10)
    assert counting.folders == ["sge_net"]
    assert len(found) == 4
    assert len(set(map(id, found))) == 1


def test_a_folder_that_was_trained_anew_is_loaded_anew(sources, counting, tmp_path):
    folder = shutil.copytree(sources[0].folder, tmp_path / "mine")
    shelf = ModelShelf(lambda: [ModelSource("mine", folder, "folder")], most_loaded=2, load=counting)
    (title,) = shelf.refresh()
    first = shelf.inpainter(title)
    os.utime(folder / "model.safetensors", ns=(1, 1))
    assert shelf.inpainter(title) is shelf.inpainter(title) is not first
    assert counting.folders == ["mine", "mine"]


def test_the_model_unused_for_the_longest_makes_room(shelf, counting):
    sge, base, gated = shelf.titles
    for title in (sge, base, sge, gated, sge, base):
        shelf.inpainter(title)
    assert counting.folders == ["sge_net", "base_net", "gated_conv", "base_net"]


def test_a_model_registered_meanwhile_is_offered_and_one_deleted_is_a_sentence(sources, counting):
    offered = sources[:1]
    shelf = ModelShelf(lambda: offered, most_loaded=2, load=counting)
    assert shelf.refresh() == ["SGE-Net · sge_net"]
    offered = sources[1:2]
    assert shelf.refresh() == ["Base-Net · base_net"]
    with pytest.raises(UserError, match="no longer there"):
        shelf.inpainter("SGE-Net · sge_net")


def test_a_registry_that_fails_leaves_the_models_that_were_there(sources, counting):
    def find() -> list[ModelSource]:
        if failing:
            raise UserError("the registry is away")
        return sources

    failing = False
    shelf = ModelShelf(find, most_loaded=2, load=counting)
    titles = shelf.refresh()
    failing = True
    assert shelf.refresh() == titles


def test_no_model_at_all_is_a_sentence_at_the_start(counting):
    with pytest.raises(UserError, match="there is no model to fill with"):
        ModelShelf(list, most_loaded=2, load=counting).refresh()
