from __future__ import annotations

import hashlib

import pytest

from pipelines.data.adapters.samples import RawSample, checked_samples, hashed_split, sample_key
from sgenet.errors import DataError


@pytest.mark.parametrize(
    ("stem", "key"),
    [
        ("IMG_0001", "IMG_0001"),
        ("a/b/c", "a-b-c"),
        ("photo.v2.final", "photo_v2_final"),
        ("my photo\t1", "my_photo_1"),
        ("Straße 山", "Straße_山"),
        ("e\u0301te\u0301", "\u00e9t\u00e9"),  # a Mac's decomposed accents
    ],
)
def test_key_of_a_file(stem: str, key: str) -> None:
    assert sample_key(stem) == key


def test_a_name_that_is_not_unicode_is_refused() -> None:
    with pytest.raises(DataError, match=r"'caf\\udce9' is not valid UTF-8; rename the file"):
        sample_key("caf\udce9")


@pytest.mark.parametrize(
    ("paths", "splits", "sentence"),
    [
        (("a.b.jpg", "a_b.jpg"), ("train", "train"), r"in raw: a\.b\.jpg and a_b\.jpg \(both 'a_b'\); rename"),
        (("train/a.jpg", "val/a.jpg"), ("train", "val"), r"train/a\.jpg and val/a\.jpg"),
    ],
)
def test_duplicate_names_list_both_files(paths: tuple[str, str], splits: tuple[str, str], sentence: str) -> None:
    samples = [RawSample("a_b", split, path, None, "folder", "raw") for path, split in zip(paths, splits, strict=True)]
    with pytest.raises(DataError, match=sentence):
        checked_samples([*samples, RawSample("c", "val", "c.png", None, "folder", "raw")])


def test_hashed_split_compares_the_hash_as_a_fraction() -> None:
    fraction = int(hashlib.sha256(b"photo").hexdigest(), 16) / 2**256
    assert hashed_split("photo", fraction + 1e-9) == "val"
    assert hashed_split("photo", fraction - 1e-9) == "train"
    assert hashed_split("photo", 0.0) == "train"


def test_hashed_split_holds_out_the_share_asked_for() -> None:
    held_out = sum(hashed_split(f"image-{number}", 0.2) == "val" for number in range(5000))
    assert held_out == pytest.approx(1000, abs=4 * (5000 * 0.2 * 0.8) ** 0.5)
