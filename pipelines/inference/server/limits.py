"""How much a served model takes on."""

from __future__ import annotations

import json
import os
from dataclasses import fields
from typing import Annotated

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from pipelines.settings.complaints import sentences
from sgenet.errors import SettingsError

ENVIRONMENT = "SGENET_SERVING"
"""The environment variable that holds limits as JSON; servers are started by other programs, which pass it on."""

Count = Annotated[int, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0, le=3600)]


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", strict=True))
class ServingLimits:
    """What a request may ask for. What is beyond is refused with a 4xx and a sentence.

    Attributes:
        body_bytes: size of a request's body, whether it says its length or not.
        pixels: of all images of a request together: by default as many as a phone makes (24 megapixels).
        side: the longer side of an image.
        rows: images in a request.
        body_seconds: within which the whole body has to arrive.
        answer_seconds: within which the answer has to be ready.
        under_way: requests that are read, waiting or computed at the same time; more are told to come back.
    """

    body_bytes: Count = 32 << 20
    pixels: Count = 25_000_000
    side: Count = 8192
    rows: Count = 16
    body_seconds: Seconds = 20.0
    answer_seconds: Seconds = 120.0
    under_way: Count = 32


def limits_from_environment() -> ServingLimits:
    """The defaults, with what ``SGENET_SERVING`` changes, such as ``{"pixels": 1000000}``.

    Raises:
        SettingsError: it is not JSON, or names an unknown limit or a value that cannot be one.
    """
    text = os.environ.get(ENVIRONMENT, "").strip()
    if not text:
        return ServingLimits()
    try:
        raw = json.loads(text)
        return TypeAdapter(ServingLimits).validate_json(text)
    except json.JSONDecodeError as error:
        raise SettingsError([f'{ENVIRONMENT} is not JSON ({error}); write it as {{"pixels": 1000000}}']) from None
    except ValidationError as error:
        names = [limit.name for limit in fields(ServingLimits)]
        raise SettingsError(sentences(error.errors(), raw, ENVIRONMENT, names)) from None
