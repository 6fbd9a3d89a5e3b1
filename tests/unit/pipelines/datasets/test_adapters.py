"""Every adapter over files, on trees of a few bytes: layout, splits, label ids, what is missing where."""

from __future__ import annotations

import hashlib
import pickle
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.data.adapters.build import ADAPTERS
from pipelines.data.adapters.cityscapes import TRAIN_IDS
from pipelines.data.adapters.files import Adapter
from pipelines.data.adapters.samples import RawSample
from pipelines.settings.sources import SOURCES
from pipelines.storage.store import open_storage
from sgenet.errors import DataError

SHARED_DATA = Path(__file__).resolve().parents[4] / ".." / "shared" / "data"
NUM_CLASSES = {"camvid": 11, "stanford_background": 8, "msrc_v2": 8, "outdoor_scenes": 8, "cityscapes": 19}
PAIRED_TREE = (
    "images/train/b 1.jpg",
    "images/train/a.JPG",
    "images/val/c.webp",
    "images/val/._c.webp",
    "images/val/Thumbs.db",
    "labels/train/a.png",
    "labels/train/b 1.png",
    "labels/val/c.png",
)
CITYSCAPES_TREE = (
    "leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png",
    "leftImg8bit/val/lindau/lindau_000001_000019_leftImg8bit.png",
    "leftImg8bit/test/berlin/berlin_000002_000019_leftImg8bit.png",
    "gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds.png",
    "gtFine/train/aachen/aachen_000000_000019_gtFine_color.png",
    "gtFine/train/aachen/aachen_000000_000019_gtFine_instanceIds.png",
    "gtFine/val/lindau/lindau_000001_000019_gtFine_labelIds.png",
    "gtFine/test/berlin/berlin_000002_000019_gtFine_labelIds.png",
)


def make_tree(root: str | Path, *paths: str) -> str:
    """Files that hold their own path."""
    storage = open_storage(str(root))
    for path in paths:
        storage.write(path, path.encode())
    return str(root)


def adapter(name: str, root: str, num_classes: int | None = None, **settings: object) -> Adapter:
    source = SOURCES[name].model_validate({"adapter": name, "root": root, **settings})
    return ADAPTERS[name](source, num_classes or NUM_CLASSES.get(name, 8))


def found(samples: list[RawSample]) -> list[tuple[str, str, str, str | None]]:
    return [(sample.split, sample.key, sample.image_path, sample.label_path) for sample in samples]


def map_ids(adapter: Adapter, *ids: int) -> list[int]:
    mapped: list[int] = adapter.map_label(np.array([ids], np.uint8))[0].tolist()
    return mapped


@pytest.mark.parametrize("name", ["camvid", "stanford_background", "msrc_v2"])
def test_paired_datasets_give_each_image_its_label_map(name: str, tmp_path: Path) -> None:
    root = make_tree(tmp_path, *PAIRED_TREE)
    samples = adapter(name, root).samples()
    assert found(samples) == [
        ("train", "a", "images/train/a.JPG", "labels/train/a.png"),
        ("train", "b_1", "images/train/b 1.jpg", "labels/train/b 1.png"),
        ("val", "c", "images/val/c.webp", "labels/val/c.png"),
    ]
    assert {(sample.source, sample.storage) for sample in samples} == {(name, root)}


def test_an_adapter_reads_the_files_it_found_in_another_process(tmp_path: Path) -> None:
    here = adapter("camvid", make_tree(tmp_path, *PAIRED_TREE))
    there = pickle.loads(pickle.dumps(here))
    sample = here.samples()[1]
    assert there.read_image(sample) == b"images/train/b 1.jpg"
    assert there.read_label(sample) == b"labels/train/b 1.png"
    assert map_ids(there, 10, 11) == [10, 255]


def test_the_same_tree_on_s3_gives_the_same_samples(tmp_path: Path, s3_bucket: str) -> None:
    local = adapter("camvid", make_tree(tmp_path, *PAIRED_TREE))
    remote = adapter("camvid", make_tree(f"s3://{s3_bucket}/raw/camvid", *PAIRED_TREE))
    assert found(remote.samples()) == found(local.samples())
    assert remote.read_image(remote.samples()[0]) == b"images/train/a.JPG"
    assert remote.read_label(remote.samples()[0]) == b"labels/train/a.png"


@pytest.mark.parametrize(
    ("name", "counts"), [("camvid", (367, 101)), ("stanford_background", (498, 73)), ("msrc_v2", (249, 38))]
)
def test_the_real_datasets_are_found_whole_and_their_labels_are_in_range(name: str, counts: tuple[int, int]) -> None:
    root = SHARED_DATA / name
    if not root.is_dir():
        pytest.skip(f"{name} is not on this machine")
    real = adapter(name, str(root))
    samples = real.samples()
    assert tuple(sum(sample.split == split for sample in samples) for split in ("train", "val")) == counts
    for sample in samples[::50]:
        label = real.map_label(np.asarray(Image.open(BytesIO(real.read_label(sample) or b""))))
        assert set(np.unique(label)) <= {*range(NUM_CLASSES[name]), 255}


def test_everything_a_layout_lacks_is_named(tmp_path: Path) -> None:
    root = make_tree(tmp_path / "raw", "images/train/a.jpg", "labels/train/a.png", "images/val/b.gif")
    with pytest.raises(DataError) as error:
        adapter("camvid", root).samples()
    assert str(error.value) == (
        f"camvid: {root} has no images in images/val, no label PNGs in labels/val; check root and the layout"
    )


@pytest.mark.parametrize(
    ("added", "sentence"),
    [
        (
            [f"images/train/{number}.jpg" for number in range(5)],
            r"camvid: 5 of 7 images have no label map of the same name: "
            r"images/train/0\.jpg, images/train/1\.jpg, images/train/2\.jpg and 2 more",
        ),
        (["labels/val/lost.png"], r"1 of 2 label maps have no image of the same name: labels/val/lost\.png"),
    ],
)
def test_files_without_a_counterpart_are_counted_and_named(tmp_path: Path, added: list[str], sentence: str) -> None:
    root = make_tree(tmp_path, *PAIRED_TREE, *added)
    with pytest.raises(DataError, match=sentence):
        adapter("camvid", root).samples()


def test_an_unreadable_image_is_found_and_named_when_it_is_read(tmp_path: Path) -> None:
    root = make_tree(tmp_path, *PAIRED_TREE, "labels/train/z.png")
    (tmp_path / "images" / "train" / "z.jpg").symlink_to(tmp_path / "gone.jpg")
    camvid = adapter("camvid", root)
    sample = next(sample for sample in camvid.samples() if sample.key == "z")
    with pytest.raises(DataError, match=r"images/train/z\.jpg does not exist"):
        camvid.read_image(sample)


def test_outdoor_scenes_evaluates_on_test_where_there_is_no_val(tmp_path: Path) -> None:
    train = ("train/images/animal/1.png", "train/labels/animal/1.png")
    root = make_tree(tmp_path, *train, "test/images/OST_001.jpg", "test/labels/OST_001.png")
    outdoor = adapter("outdoor_scenes", root)
    assert found(outdoor.samples()) == [
        ("train", "animal-1", *train),
        ("val", "OST_001", "test/images/OST_001.jpg", "test/labels/OST_001.png"),
    ]
    make_tree(tmp_path, "val/images/2.jpg", "val/labels/2.png")
    assert [sample.key for sample in outdoor.samples()] == ["animal-1", "2"]


def test_outdoor_scenes_ignores_what_is_outside_its_classes(tmp_path: Path) -> None:
    outdoor = adapter("outdoor_scenes", str(tmp_path))
    assert map_ids(outdoor, 0, 7, 8, 255) == [0, 7, 255, 255]
    with pytest.raises(DataError, match="label ids 9 are"):
        map_ids(outdoor, 9)


def test_cityscapes_trains_on_the_test_frames_without_their_labels(tmp_path: Path) -> None:
    root = make_tree(tmp_path, *CITYSCAPES_TREE)
    labelled = [
        ("train", "aachen_000000_000019", CITYSCAPES_TREE[0], CITYSCAPES_TREE[3]),
        ("val", "lindau_000001_000019", CITYSCAPES_TREE[1], CITYSCAPES_TREE[6]),
    ]
    assert found(adapter("cityscapes", root, unlabelled=False).samples()) == labelled
    unlabelled = adapter("cityscapes", root)
    samples = unlabelled.samples()
    assert found(samples) == [
        labelled[0],
        ("train", "berlin_000002_000019", CITYSCAPES_TREE[2], None),
        labelled[1],
    ]
    assert unlabelled.read_label(samples[1]) is None


def test_cityscapes_ids_become_train_ids(tmp_path: Path) -> None:
    cityscapes = adapter("cityscapes", str(tmp_path))
    # road, sidewalk, building, sky, car, bicycle; unlabelled, ground, parking, caravan, licence plate (-1)
    assert map_ids(cityscapes, 7, 8, 11, 23, 26, 33) == [0, 1, 2, 10, 13, 18]
    assert map_ids(cityscapes, 0, 6, 9, 29, 255) == [255] * 5
    assert sorted(set(TRAIN_IDS.values())) == [*range(19), 255]
    with pytest.raises(DataError, match="label ids 34 are"):
        map_ids(cityscapes, 34)


def test_cityscapes_says_what_is_missing_where(tmp_path: Path) -> None:
    root = make_tree(tmp_path, *CITYSCAPES_TREE[:2], *CITYSCAPES_TREE[4:])
    with pytest.raises(DataError) as error:
        adapter("cityscapes", root).samples()
    assert str(error.value) == (
        f"cityscapes: {root} has no *_gtFine_labelIds.png in gtFine/train, "
        "no *_leftImg8bit.png in leftImg8bit/test (needed unless unlabelled is false); check root and the layout"
    )


@pytest.mark.parametrize("train_folder", ["data_256", "train_256"])
def test_places2_has_images_of_two_folders_and_no_labels(train_folder: str, tmp_path: Path) -> None:
    train, val = f"{train_folder}/a/abbey/00000001.jpg", "val_256/Places365_val_00000001.jpg"
    places2 = adapter("places2", make_tree(tmp_path, train, val), val_ratio=0.99)
    assert found(places2.samples()) == [
        ("train", "a-abbey-00000001", train, None),
        ("val", "Places365_val_00000001", val, None),
    ]
    with pytest.raises(DataError, match="has no images in data_256 or train_256"):
        adapter("places2", make_tree(tmp_path / "empty", "val_256/1.jpg")).samples()


def test_places2_without_a_validation_folder_holds_out_a_share(tmp_path: Path) -> None:
    root = make_tree(tmp_path, *(f"data_256/{number}.jpg" for number in range(40)))
    splits = [sample.split for sample in adapter("places2", root, val_ratio=0.3).samples()]
    assert splits == sorted(splits)
    assert 3 <= splits.count("val") <= 21


def test_folder_without_labels_takes_every_image_at_any_depth(tmp_path: Path) -> None:
    root = make_tree(tmp_path, "é.tif", "a/b.c/d.jpeg", "a/notes.txt", "png")
    samples = adapter("folder", root, val_ratio=0).samples()
    assert found(samples) == [("train", "a-b_c-d", "a/b.c/d.jpeg", None), ("train", "é", "é.tif", None)]


def test_folder_finds_label_maps_by_the_same_path(tmp_path: Path) -> None:
    root = make_tree(tmp_path / "photos", "a/1.jpg", "2.png")
    label_root = make_tree(tmp_path / "labels", "a/1.png", "2.png")
    labelled = adapter("folder", root, label_root=label_root, val_ratio=0)
    samples = labelled.samples()
    assert [(sample.key, sample.label_path) for sample in samples] == [("2", "2.png"), ("a-1", "a/1.png")]
    assert labelled.read_label(samples[1]) == b"a/1.png"


def test_folder_does_not_take_label_maps_among_the_images_for_images(tmp_path: Path) -> None:
    root = make_tree(tmp_path, "a.jpg", "labels/a.png")
    samples = adapter("folder", root, label_root=f"{root}/labels", val_ratio=0).samples()
    assert [(sample.image_path, sample.label_path) for sample in samples] == [("a.jpg", "a.png")]


def test_folder_splits_by_key_whatever_else_is_there(tmp_path: Path) -> None:
    root = make_tree(tmp_path, *(f"{number}.jpg" for number in range(40)))
    before = {sample.key: sample.split for sample in adapter("folder", root, val_ratio=0.3).samples()}
    make_tree(tmp_path, *(f"new-{number}.jpg" for number in range(20)))
    after = {sample.key: sample.split for sample in adapter("folder", root, val_ratio=0.3).samples()}
    assert set(before.values()) == {"train", "val"}
    assert before.items() <= after.items()


def test_folder_holds_out_those_whose_name_has_the_smallest_hash_and_gives_either_side_alone(tmp_path: Path) -> None:
    names = [f"{number}.jpg" for number in range(20)]
    root = make_tree(tmp_path, *(f"photos/{name}" for name in names))
    both = adapter("folder", root, held_out=6).samples()
    kept = [sample for sample in both if sample.split == "val"]
    smallest = sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())[:6]
    assert {sample.image_path for sample in kept} == {f"photos/{name}" for name in smallest}
    assert adapter("folder", root, held_out=6, part="held_out").samples() == kept
    trained_on = adapter("folder", root, held_out=6, part="train").samples()
    assert trained_on == [sample for sample in both if sample.split == "train"]
    assert len(trained_on) == 14
    with pytest.raises(DataError, match="held_out asks for 20 of the 20 images"):
        adapter("folder", root, held_out=20).samples()


def test_an_empty_or_missing_folder_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="missing does not exist; correct its root"):
        adapter("folder", str(tmp_path / "missing")).samples()
    root = make_tree(tmp_path, "a.jpg")
    with pytest.raises(DataError, match=r"missing does not exist; correct its root"):
        adapter("folder", root, label_root=str(tmp_path / "missing")).samples()
