"""What a request asks for: from JSON or a form to rows of two image files each."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from pipelines.inference.server.limits import ServingLimits
from pipelines.inference.server.refusal import Refusal

JSON, FORM = "application/json", "multipart/form-data"
COLUMNS = ("image", "hole_mask")
ENVELOPES = ("inputs", "instances", "dataframe_records", "dataframe_split")
"""The keys under which MLflow's clients send rows."""

_MOST_SEPARATORS = 1000
"""Rows of base64 hold a few commas and brackets each. JSON with many more is refused before it is parsed: each
``[],`` of three bytes would become an object of sixty."""

_URL_SAFE = str.maketrans("-_", "+/")


@dataclass(frozen=True)
class RequestRow:
    """The bytes of two image files, not looked at yet."""

    image: bytes
    hole_mask: bytes


def check_media_type(content_type: str, *known: str) -> str:
    """The type and subtype of a header ``Content-Type``, in lower case.

    Raises:
        Refusal: 415 for another than the known ones, and for text in another character set than UTF-8.
    """
    kind, _, parameters = content_type.partition(";")
    name, _, charset = parameters.strip().partition("=")
    if name.lower() == "charset" and charset.strip("\"' ").lower() not in ("utf-8", "utf8"):
        raise Refusal(415, "only UTF-8 is understood; send JSON in UTF-8")
    found = kind.strip().lower()
    if found not in known:
        raise Refusal(415, f"send {' or '.join(known)}; the request says {found[:60] or 'nothing about its type'}")
    return found


def parse_json(body: bytes) -> Any:
    """Strict JSON: UTF-8, no key twice, no NaN, not deep.

    Raises:
        Refusal: 400, with what is wrong.
    """
    if sum(map(body.count, (b"[", b"{", b","))) > _MOST_SEPARATORS:
        raise Refusal(400, f"the JSON has more than {_MOST_SEPARATORS} commas and brackets; send images as base64 text")
    try:
        return json.loads(body.decode("utf-8"), object_pairs_hook=_unique_keys, parse_constant=_no_constant)
    except UnicodeDecodeError:
        raise Refusal(400, "the body is not UTF-8; send JSON, with the images as base64 text") from None
    except RecursionError:
        raise Refusal(400, "the JSON is nested too deeply; send an object of two texts") from None
    except ValueError as error:
        raise Refusal(400, f"the body is not JSON ({error}); send an object with {_named(COLUMNS)}") from None


def read_row(value: Any) -> RequestRow:
    """A row from an object with base64 texts.

    Raises:
        Refusal: 400, with the key and what is wrong with it.
    """
    if not isinstance(value, Mapping):
        raise Refusal(400, f"expected an object with {_named(COLUMNS)}, found {_kind(value)}")
    for key in COLUMNS:
        if key not in value:
            raise Refusal(400, f"'{key}' is missing; send both images as base64 text")
    others = [key for key in value if key not in COLUMNS]
    if others:
        raise Refusal(400, f"{_named(others[:1])} is not known here; send {_named(COLUMNS)} only")
    return RequestRow(*(_from_base64(key, value[key]) for key in COLUMNS))


def read_records(payload: Any, limits: ServingLimits) -> list[Any]:
    """Rows as MLflow's clients send them: ``{"inputs": [{"image": …, "hole_mask": …}, …]}`` and the like.

    Raises:
        Refusal: 400, or 413 for too many.
    """
    if not isinstance(payload, Mapping) or len([key for key in payload if key in ENVELOPES]) != 1:
        raise Refusal(400, f"send a JSON object with exactly one of {', '.join(map(repr, ENVELOPES))}")
    others = [key for key in payload if key not in ENVELOPES]
    if others:
        raise Refusal(400, f"{_named(others[:3])} is not known here; the model takes rows and no parameters")
    ((key, content),) = payload.items()
    values = _split_rows(content) if key == "dataframe_split" else _as_rows(content, key)
    if not values:
        raise Refusal(400, f"'{key}' holds no row; send at least one image")
    if len(values) > limits.rows:
        raise Refusal(413, f"'{key}' holds {len(values)} rows; send at most {limits.rows} at a time")
    return values


def _from_base64(key: str, text: object) -> bytes:
    """The bytes of a text in base64: also as a data address, in lines, URL-safe or without padding."""
    if not isinstance(text, str):
        raise Refusal(400, f"'{key}' is {_kind(text)}; send the image file's bytes as base64 text")
    try:
        if text.startswith("data:"):
            head, comma, text = text.partition(",")
            if not comma or not head.endswith(";base64"):
                raise ValueError("it is a data address of another encoding")
        text = "".join(text.split()).translate(_URL_SAFE).rstrip("=")
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError as error:
        raise Refusal(400, f"'{key}' is not base64 ({error}); send the image file's bytes") from None


def _as_rows(content: Any, key: str) -> list[Any]:
    if isinstance(content, list):
        return content
    if isinstance(content, Mapping) and key == "inputs":
        # The same by columns: {"image": [...], "hole_mask": [...]}, or one row alone.
        columns = list(content.values())
        if columns and all(isinstance(column, list) for column in columns):
            if len({len(column) for column in columns}) != 1:
                raise Refusal(400, "the columns of 'inputs' differ in length; send one value a row in each")
            return [dict(zip(content, values, strict=True)) for values in zip(*columns, strict=True)]
        return [content]
    raise Refusal(400, f"expected a list of rows in '{key}', found {_kind(content)}")


def _split_rows(content: Any) -> list[Any]:
    """Rows of ``{"columns": [...], "data": [[...], ...]}``."""
    if not isinstance(content, Mapping):
        raise Refusal(400, f"expected an object in 'dataframe_split', found {_kind(content)}")
    columns, data = content.get("columns"), content.get("data")
    if not isinstance(columns, list) or sorted(map(str, columns)) != sorted(COLUMNS):
        raise Refusal(400, f"'columns' of 'dataframe_split' must be {_named(COLUMNS)}")
    if not isinstance(data, list) or not all(isinstance(row, list) and len(row) == len(columns) for row in data):
        raise Refusal(400, f"'data' of 'dataframe_split' must be a list of rows of {len(columns)} texts")
    return [dict(zip(columns, row, strict=True)) for row in data]


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("a key occurs twice")
    return content


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a value of JSON")


def _named(keys: Any) -> str:
    return " and ".join(repr(str(key)[:40]) for key in keys)


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a truth value"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "a list"
        case _:
            return "an object"
