"""A stream of hostile requests: the catalogue of known tricks, and mutations of a good request."""

from __future__ import annotations

import json
from random import Random

from hostile.bodies import bodies, forms, images, tables, types, values
from hostile.images import encoded, hole, landscape
from hostile.request import HostileRequest, Target, base64_of, good_row, post
from hostile.wire import framing, request_lines, wire

CATALOGUE_SHARE = 0.6
_KINDS = (images, values, bodies, tables, types, request_lines, framing, wire)


def catalogue(target: Target) -> list[HostileRequest]:
    """Every trick once, in a fixed order."""
    kinds = (*_KINDS, forms) if target.forms else _KINDS
    return [request for kind in kinds for request in kind(target)]


def requests(target: Target, count: int, seed: int = 0) -> list[HostileRequest]:
    """Tricks of the catalogue, all of them where there is room for it, and mutations, in random order."""
    random = Random(seed)
    everything = catalogue(target)
    chosen = random.sample(everything, min(len(everything), round(CATALOGUE_SHARE * count)))
    chosen += [mutation(target, random) for _ in range(count - len(chosen))]
    random.shuffle(chosen)
    return chosen


def mutation(target: Target, random: Random) -> HostileRequest:
    """A good request with damage at random places: of an image, of the JSON, or of the bytes on the wire."""
    row = good_row()
    kind = random.choice(["image", "image", "image", "JSON", "JSON", "wire"])
    if kind == "image":
        column = random.choice(["image", "hole_mask"])
        pixels = landscape() if column == "image" else hole()
        form = random.choice(["PNG", "JPEG", "WEBP"])
        row[column] = base64_of(_damaged(encoded(pixels, form), random))
        return HostileRequest(f"damaged {form}", post(target, json.dumps(target.wrap(row)).encode()), "any")
    body = json.dumps(target.wrap(row)).encode()
    if kind == "JSON":
        return HostileRequest("damaged JSON", post(target, _damaged(body, random)), "any")
    return HostileRequest("damaged on the wire", _damaged(post(target, body), random, first=300), "any", slow=True)


def _damaged(content: bytes, random: Random, first: int | None = None) -> bytes:
    damaged = bytearray(content)
    end = min(len(damaged), first or len(damaged))
    for _ in range(random.choice([1, 1, 2, 5, 20])):
        at = random.randrange(end)
        match random.randrange(5):
            case 0:
                damaged[at] = random.randrange(256)
            case 1:
                damaged[at] ^= 1 << random.randrange(8)
            case 2:
                del damaged[at : at + random.randrange(1, 30)]
                end = min(end, len(damaged))
            case 3:
                damaged[at:at] = random.randbytes(random.randrange(1, 30))
            case 4:
                damaged[at : at + 4] = b"\xff\xff\xff\xff"
        if not end:
            break
    return bytes(damaged)
