"""What people are asked: which of two fillings of the same hole looks better, and in which order."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from pipelines.evaluation.images import image_path
from pipelines.report.collect import DatasetResults, MethodResult
from sgenet.errors import DataError


@dataclass(frozen=True)
class Pair:
    """Two fillings of one hole.

    Attributes:
        key: hash of the names and of the images themselves. A method that is retrained makes other pairs, so
            that votes never pass from one filling to another.
        image: the image's key in the shards.
        stratum: complexity of its scene.
        first, second: the methods, in alphabetical order.
        corrupted_hash, first_hash, second_hash: SHA-256 of the images' files.
    """

    key: str
    mask_set: str
    image: str
    stratum: str
    first: str
    second: str
    corrupted_hash: str
    first_hash: str
    second_hash: str


@dataclass(frozen=True)
class Plan:
    """The pairs of a study.

    Attributes:
        images: PNG files by their SHA-256, held in memory: what is shown is what the keys were taken from, even
            where an evaluation is made again meanwhile.
    """

    pairs: Sequence[Pair]
    images: Mapping[str, bytes]


def make_plan(results: DatasetResults, mask_set: str, methods: Iterable[str] = ()) -> Plan:
    """Pair all methods on every example image of their evaluations.

    Args:
        results: comparable evaluations, as :func:`~pipelines.report.collect.collect_dataset` reads them.
        mask_set: which holes.
        methods: names of those to compare; all where there is none.

    Raises:
        DataError: a method or the mask set was not evaluated, there are fewer than two methods, they have different
            examples, or an image is missing.
    """
    if not results.methods:
        raise DataError(f"no method has been evaluated on {results.name}; run the evaluate stage first")
    if mask_set not in results.sets:
        raise DataError(f"{results.name} has no holes '{mask_set}'; choose one of {', '.join(results.sets)}")
    chosen = _chosen(results, set(methods))
    examples = chosen[0].summary["examples"]
    for method in chosen:
        if method.summary["examples"] != examples:
            raise DataError(
                f"{method.folder} and {chosen[0].folder} kept different example images; "
                "run the evaluate and baselines stages again"
            )
    strata = results.strata()
    images: dict[str, bytes] = {}
    pairs = []
    for number, key in enumerate(examples):
        corrupted = _load(image_path(chosen[0].folder, mask_set, number, "corrupted"), images)
        fillings = {
            method.name: _load(image_path(method.folder, mask_set, number, "inpainted"), images) for method in chosen
        }
        for first, second in combinations(sorted(fillings), 2):
            named = (mask_set, key, strata[key], first, second)
            hashes = (corrupted, fillings[first], fillings[second])
            identity = hashlib.sha256("\0".join((*named, *hashes)).encode()).hexdigest()
            pairs.append(Pair(identity, *named, *hashes))
    return Plan(pairs, images)


def next_pair(
    pairs: Iterable[Pair], votes: Mapping[str, int], answered: Collection[str], voter: str, seed: int
) -> Pair | None:
    """The pair a person is asked about next: one that has the fewest votes so far, in an order of the person's own.

    None where every pair is answered.

    Args:
        votes: how many each pair has, by its key.
        answered: keys of the pairs the person has answered.
    """
    left = [pair for pair in pairs if pair.key not in answered]
    return min(left, key=lambda pair: (votes.get(pair.key, 0), _draw(seed, voter, pair.key, "order")), default=None)


def first_stands_left(pair: Pair, voter: str, seed: int) -> bool:
    """Whether a person sees the pair's first method on the left: a fair coin for each person and pair."""
    return _draw(seed, voter, pair.key, "side")[0] % 2 == 0


def _draw(seed: int, *words: str) -> bytes:
    """Random bytes that depend on the seed and the words alone."""
    return hashlib.blake2b("\0".join((str(seed), *words)).encode(), digest_size=16).digest()


def _chosen(results: DatasetResults, names: set[str]) -> list[MethodResult]:
    known = [method.name for method in results.methods]
    if unknown := sorted(names - set(known)):
        raise DataError(
            f"{', '.join(unknown)} was not evaluated on {results.name}; "
            f"choose from {', '.join(known)}, or run its evaluate stage first"
        )
    chosen = [method for method in results.methods if not names or method.name in names]
    if len(chosen) < 2:
        raise DataError(f"a comparison on {results.name} needs two evaluated methods; run evaluate for another")
    return chosen


def _load(path: Path, images: dict[str, bytes]) -> str:
    """Read an image into ``images`` and return its hash."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); run the stage of its evaluation again") from None
    name = hashlib.sha256(content).hexdigest()
    images[name] = content
    return name
