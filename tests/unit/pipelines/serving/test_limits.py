"""Limits are read from one variable, and a mistake in it is said rather than served with."""

from __future__ import annotations

import pytest

from pipelines.inference.server.limits import ServingLimits, limits_from_environment
from sgenet.errors import SettingsError


def test_what_the_variable_names_is_changed_and_nothing_else(monkeypatch):
    monkeypatch.setenv("SGENET_SERVING", '{"pixels": 1000, "body_seconds": 2.5}')
    assert limits_from_environment() == ServingLimits(pixels=1000, body_seconds=2.5)


def test_without_the_variable_what_a_phone_makes_fits(monkeypatch):
    monkeypatch.delenv("SGENET_SERVING", raising=False)
    # 24 megapixels, with sides rounded up to multiples of 32.
    assert limits_from_environment().pixels >= 5728 * 4288


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('{"pixel": 1000}', "pixel"),
        ('{"pixels": "many"}', "pixels"),
        ('{"pixels": 0}', "pixels"),
        ('{"rows": true}', "rows"),
        ("[1]", "SGENET_SERVING"),
        ("{", "SGENET_SERVING"),
    ],
)
def test_a_mistake_is_named(monkeypatch, text, named):
    monkeypatch.setenv("SGENET_SERVING", text)
    with pytest.raises(SettingsError, match=named):
        limits_from_environment()
