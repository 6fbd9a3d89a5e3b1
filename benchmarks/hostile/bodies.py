"""Bodies that are not what they should be: images, values, JSON, forms."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from hostile.images import BROKEN, UNUSUAL, cut, encoded, hole, landscape, png
from hostile.request import HostileRequest, Target, base64_of, good_row, post


def images(target: Target) -> Iterator[HostileRequest]:
    good = good_row()
    for expected, group in (("refused", BROKEN), ("any", UNUSUAL)):
        for name, make in group.items():
            text = base64_of(make())
            for columns in (("image",), ("hole_mask",), ("image", "hole_mask")):
                row = good | dict.fromkeys(columns, text)
                content = post(target, json.dumps(target.wrap(row)).encode())
                yield HostileRequest(f"{name} as {' and '.join(columns)}", content, expected)
    sizes = {"smaller": hole()[:-1], "larger": hole().repeat(2, 0)}
    for name, mask in sizes.items():
        row = good | {"hole_mask": base64_of(encoded(mask))}
        yield HostileRequest(f"a {name} mask", post(target, json.dumps(target.wrap(row)).encode()))
    masks = {"RGB": encoded(landscape()), "full": encoded(hole() * 0 + 255), "empty": encoded(hole() * 0)}
    for name, content in masks.items():
        row = good | {"hole_mask": base64_of(content)}
        yield HostileRequest(f"a mask that is {name}", post(target, json.dumps(target.wrap(row)).encode()), "answered")


def values(target: Target) -> Iterator[HostileRequest]:
    """Wrong values in a row."""
    good = good_row()
    text = good["image"]
    wrong: dict[str, Any] = {
        "null": None,
        "true": True,
        "a number": 12,
        "a large number": 10**400,
        "a list": [text],
        "an object": {"base64": text},
        "an empty text": "",
        "text that is not base64": "hello, world!",
        "base64 of a text": base64_of(b"hello"),
        "base64 without padding": text.rstrip("=") + "A",
        "base64 with padding in the middle": text[:8] + "==" + text[8:],
        "base64 beyond ASCII": text + "ä",
        "half a surrogate": "\ud800",
        "a NUL": "\0",
        "a path": "/etc/passwd",
        "an address": "http://127.0.0.1:1/secret.png",
        "a megabyte of letters": "A" * (1 << 20),
    }
    accepted = {
        "base64 with line breaks": text[:40] + "\n" + text[40:],
        "a data address": "data:image/png;base64," + text,
    }
    for name, value in accepted.items():
        content = post(target, json.dumps(target.wrap(good | {"image": value})).encode())
        yield HostileRequest(f"{name} as image", content, "answered")
    for name, value in wrong.items():
        for column in good:
            yield HostileRequest(
                f"{name} as {column}", post(target, json.dumps(target.wrap(good | {column: value})).encode())
            )
    for column in good:
        row = {key: value for key, value in good.items() if key != column}
        yield HostileRequest(f"no {column}", post(target, json.dumps(target.wrap(row)).encode()))
    yield HostileRequest("an unknown key", post(target, json.dumps(target.wrap({**good, "x": "y"})).encode()))


def bodies(target: Target) -> Iterator[HostileRequest]:
    """Bodies that are not JSON, or JSON that is no row."""
    good = json.dumps(target.wrap(good_row()))
    deep = 100_000
    others: dict[str, bytes] = {
        "nothing": b"",
        "null": b"null",
        "a list": b"[]",
        "a text": b'"x"',
        "a number": b"7",
        "an empty object": b"{}",
        "NaN": b"NaN",
        "NaN in a row": json.dumps(target.wrap({"image": float("nan"), "hole_mask": "x"})).encode(),
        "infinity in a row": json.dumps(target.wrap({"image": float("-inf"), "hole_mask": "x"})).encode(),
        "deep lists": b"[" * deep,
        "deep lists that end": b"[" * deep + b"]" * deep,
        "deep objects": b'{"inputs":' * deep + b"1" + b"}" * deep,
        "lists nested less deeply": b"[" * 400 + b"]" * 400,
        "a deep list in a row": good.replace('"hole_mask"', '"x": ' + "[" * 400 + "]" * 400 + ', "hole_mask"').encode(),
        "many empty lists": b"[" + b"[]," * 300_000 + b"[]]",
        "many keys": json.dumps({str(number): number for number in range(50_000)}).encode(),
        "a long key": json.dumps({"k" * 500_000: 1}).encode(),
        "a number of 100000 digits": b'{"inputs": ' + b"9" * 100_000 + b"}",
        "a key twice": good.replace('"image"', '"image": "x", "image"', 1).encode(),
        "UTF-16": good.encode("utf-16"),
        "UTF-8 with a mark": b"\xef\xbb\xbf" + good.encode(),
        "bytes that are not UTF-8": good.encode()[:-1] + b"\xff\xfe}",
        "a NUL at the end": good.encode() + b"\0",
        "more after the end": (good + good).encode(),
        "cut": good.encode()[:-30],
        "single quotes": good.replace('"', "'").encode(),
        "a comment": ("// hello\n" + good).encode(),
        "a control character": good.replace('"image"', '"im\nage"').encode(),
        "a pickle": b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x02id\x94\x85\x94R\x94.",
        "XML": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
    }
    for name, body in others.items():
        yield HostileRequest(f"body: {name}", post(target, body))


def tables(target: Target) -> Iterator[HostileRequest]:
    """Rows in envelopes that are not what they should be."""
    split = {"columns": ["image", "hole_mask"]}
    large = {"image": base64_of(png(4000, 2000)), "hole_mask": "a"}
    payloads: dict[str, dict[str, Any]] = {
        "two envelopes": {"inputs": [good_row()], "instances": [good_row()]},
        "parameters": {"inputs": [good_row()], "params": {"device": "cuda"}},
        "a chat": {"messages": [{"role": "user", "content": "hello"}]},
        "no rows": {"inputs": []},
        "a thousand rows": {"inputs": [{"image": "a", "hole_mask": "b"}] * 1000},
        "rows that are lists": {"inputs": [["a", "b"]]},
        "columns of different length": {"inputs": {"image": ["a", "b"], "hole_mask": ["c"]}},
        "a split table without data": {"dataframe_split": split},
        "a split table with ragged rows": {"dataframe_split": split | {"data": [["a"], ["a", "b", "c"]]}},
        "records that are a text": {"dataframe_records": "abc"},
        "instances that are numbers": {"instances": [1, 2, 3]},
        "too many pixels in all": {"inputs": [large, large]},
    }
    for name, payload in payloads.items():
        yield HostileRequest(f"table: {name}", post(target, json.dumps(payload).encode()))


def types(target: Target) -> Iterator[HostileRequest]:
    """A good body that says it is something else."""
    good = json.dumps(target.wrap(good_row())).encode()
    others = ["text/plain", "text/csv", "application/vnd.apache.parquet", "application/x-www-form-urlencoded"]
    others += ["application/json; charset=utf-16", "application/xml", "image/png", "", "a" * 3000]
    for kind in (None, *others):
        yield HostileRequest(f"type: {str(kind)[:40]}", post(target, good, kind))


def forms(target: Target) -> Iterator[HostileRequest]:
    """Forms that are not what they should be."""
    border = "border"
    kind = f"multipart/form-data; boundary={border}"

    def part(name: str, content: bytes, filename: str | None = "a.png") -> bytes:
        named = f'; filename="{filename}"' if filename is not None else ""
        return (
            f'--{border}\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'.encode() + content + b"\r\n"
        )

    image, mask = part("image", encoded(landscape())), part("hole_mask", encoded(hole()))
    end = f"--{border}--\r\n".encode()
    yield HostileRequest("form: good", post(target, image + mask + end, kind), "answered")
    for name, body, type_ in (
        ("without a border", image + mask + end, "multipart/form-data"),
        ("with another border", image + mask + end, "multipart/form-data; boundary=other"),
        ("with a border of nonsense", image + mask + end, 'multipart/form-data; boundary="\x01"'),
        ("without an end", image + mask[: len(mask) // 2], kind),
        ("without a mask", image + end, kind),
        ("with two images", image + image + mask + end, kind),
        ("with a text as image", part("image", b"hello", None) + mask + end, kind),
        ("with a field too many", image + mask + part("x", b"y", None) + end, kind),
        ("with a thousand parts", part("image", b"a") * 1000 + end, kind),
        ("with an empty name", part("", encoded(landscape())) + mask + end, kind),
        ("with a header of 100 KB", part("image", b"a", "a" * 100_000) + mask + end, kind),
        ("with a path as name", part("../image", encoded(landscape())) + mask + end, kind),
        ("of nothing", b"", kind),
        ("of an end", end, kind),
        ("of nonsense", b"\xff" * 1000, kind),
        ("with a cut image", part("image", cut(encoded(landscape()), 0.5)) + mask + end, kind),
    ):
        yield HostileRequest(f"form: {name}", post(target, body, type_))
