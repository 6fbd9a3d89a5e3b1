"""JSON from strangers becomes rows, or one sentence that says what is wrong with it."""

from __future__ import annotations

import base64
import json

import pytest
from inpainting_files import saved
from sent import mask, random_image, row, text_of

from pipelines.inference.server.limits import ServingLimits
from pipelines.inference.server.refusal import Refusal
from pipelines.inference.server.rows import RequestRow, check_media_type, parse_json, read_records, read_row

LIMITS = ServingLimits(rows=3)


@pytest.mark.parametrize(
    "payload",
    [
        {"inputs": [row(), row()]},
        {"instances": [row(), row()]},
        {"dataframe_records": [row(), row()]},
        {"dataframe_split": {"columns": ["hole_mask", "image"], "data": [[row()["hole_mask"], row()["image"]]] * 2}},
        {"inputs": {key: [value] * 2 for key, value in row().items()}},
    ],
)
def test_every_way_of_mlflow_to_send_rows_gives_the_same_rows(payload):
    assert read_records(parse_json(json.dumps(payload).encode()), LIMITS) == [row(), row()]
    assert read_records({"inputs": row()}, LIMITS) == [row()], "one row alone"
    assert read_row(row()) == RequestRow(saved(random_image()), saved(mask()))


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "not JSON"),
        (b'{"a": 1} x', "not JSON"),
        (b'{"a": NaN}', "NaN is not a value"),
        (b'{"a": -Infinity}', "Infinity is not a value"),
        (b'{"a": 1, "a": 2}', "a key occurs twice"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not JSON"),
        (b"[" * 300 + b"]" * 300, "found a list"),
    ],
)
def test_what_is_no_strict_json_is_refused(body, sentence):
    with pytest.raises(Refusal, match=sentence) as caught:
        read_row(parse_json(body))
    assert caught.value.status == 400


def test_a_body_full_of_brackets_is_refused_unparsed(monkeypatch):
    # Parsing it would take a gigabyte.
    monkeypatch.setattr(json, "loads", lambda *arguments, **options: pytest.fail("was parsed"))
    with pytest.raises(Refusal, match="commas and brackets"):
        parse_json(b"[" + b"[]," * (5 << 20) + b"1]")


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (None, "expected an object with 'image' and 'hole_mask', found null"),
        ([], "found a list"),
        ({}, "'image' is missing"),
        ({"image": "YQ=="}, "'hole_mask' is missing"),
        ({**row(), "mask": "YQ=="}, "'mask' is not known"),
        ({**row(), "image": None}, "'image' is null"),
        ({**row(), "image": True}, "'image' is a truth value"),
        ({**row(), "hole_mask": [1]}, "'hole_mask' is a list"),
        ({**row(), "image": "a path/to.png"}, "'image' is not base64"),
        ({**row(), "image": "YQQ=YQ=="}, "'image' is not base64"),
        ({**row(), "image": "data:image/png,abc"}, "a data address of another encoding"),
        ({**row(), "hole_mask": "\ud800"}, "'hole_mask' is not base64"),
    ],
)
def test_a_wrong_row_is_refused_with_the_key_and_the_reason(value, sentence):
    with pytest.raises(Refusal, match=sentence) as caught:
        read_row(value)
    assert caught.value.status == 400


def test_base64_is_taken_in_every_form_it_comes_in():
    content = bytes(range(256))
    plain = base64.b64encode(content).decode()
    forms = [
        plain,
        f"data:image/png;base64,{plain}",
        base64.urlsafe_b64encode(content).decode(),
        plain.rstrip("="),
        base64.encodebytes(content).decode(),
        "\r\n".join(plain[start : start + 76] for start in range(0, len(plain), 76)),
    ]
    for form in forms:
        assert read_row({"image": form, "hole_mask": plain}).image == content


@pytest.mark.parametrize(
    ("payload", "status", "sentence"),
    [
        ([row()], 400, "exactly one of 'inputs'"),
        ({}, 400, "exactly one of 'inputs'"),
        ({"inputs": [row()], "instances": [row()]}, 400, "exactly one of 'inputs'"),
        ({"inputs": [row()], "params": {}}, 400, "'params' is not known"),
        ({"messages": [{"role": "user"}]}, 400, "exactly one of 'inputs'"),
        ({"inputs": []}, 400, "holds no row"),
        ({"inputs": "x"}, 400, "expected a list of rows in 'inputs', found a text"),
        ({"inputs": [row()] * 4}, 413, "holds 4 rows; send at most 3"),
        ({"inputs": {"image": ["a", "b"], "hole_mask": ["c"]}}, 400, "differ in length"),
        ({"dataframe_split": {"columns": ["image"], "data": [["a"]]}}, 400, "'columns' of 'dataframe_split'"),
        ({"dataframe_split": {"columns": ["image", "hole_mask"], "data": [["a"]]}}, 400, "rows of 2 texts"),
        ({"dataframe_split": None}, 400, "found null"),
    ],
)
def test_wrong_rows_are_refused(payload, status, sentence):
    with pytest.raises(Refusal, match=sentence) as caught:
        read_records(payload, LIMITS)
    assert caught.value.status == status


def test_a_text_of_another_character_set_is_refused():
    assert check_media_type('Application/JSON; charset="UTF-8"', "application/json") == "application/json"
    with pytest.raises(Refusal) as caught:
        check_media_type("application/json; charset=utf-16", "application/json")
    assert caught.value.status == 415


def test_what_is_echoed_is_cut_and_stays_ascii():
    with pytest.raises(Refusal) as caught:
        read_row({**row(), "ä" * 10_000: text_of(b"x")})
    assert len(str(caught.value)) < 200
