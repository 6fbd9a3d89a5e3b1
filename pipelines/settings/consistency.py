"""What is wrong between settings that are each of the right type: found before any work starts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TypeVar

from pipelines.settings.labels import LabelSettings
from pipelines.settings.params import LABEL_SPACES, DataSettings, MaskSettings, RunSettings, Settings
from pipelines.settings.sources import MixedScenesSource
from pipelines.settings.workers import batch_problem
from sgenet.masks import hole_problems
from sgenet.methods.recipe import Recipe
from sgenet.methods.registry import METHODS
from sgenet.settings import NUM_SCALES, DiscriminatorSettings, TrainingSettings

T = TypeVar("T")

_STRIDE = 2 ** (NUM_SCALES - 1)

# Datasets and mask sets name folders and files.
_FILE_NAME = re.compile(r"[\w-]+")
_STORAGE = re.compile(r"s3://[^/\s].*|(?!.*://).*\S.*")
# In MLflow's addresses / : and @ end a model's name.
_MODEL_NAME = re.compile(r"[\w.-]+")


def contradictions(settings: Settings) -> list[str]:
    """Every contradiction between settings, a sentence each that names the key and the remedy."""
    problems = _list_problems(settings)
    for dataset in settings.datasets:
        missing = [section for section in ("data", "masks", "recipes") if dataset not in getattr(settings, section)]
        problems += [
            f"datasets names '{dataset}', but {section}.{dataset} does not exist; add it" for section in missing
        ]
    for dataset, data in settings.data.items():
        problems += [f"data.{dataset}: {problem}" for problem in _data_problems(data)]
        problems += [
            f"data.{dataset}: crop ({data.crop}) must be at least {smallest} for {method}; raise it"
            for method in settings.methods
            if data.crop < (smallest := METHODS[method].smallest_crop)
        ]
    for dataset, masks in settings.masks.items():
        if dataset in settings.data:
            problems += _mask_problems(dataset, masks, settings.data[dataset].crop)
    problems += _search_problems(settings)
    problems += _transfer_problems(settings)
    for dataset, labels in settings.labels.items():
        if dataset not in settings.data:
            problems.append(f"labels names '{dataset}', but data.{dataset} does not exist; add it or correct the name")
        problems += [f"labels.{dataset}.{problem}" for problem in _label_problems(labels, settings)]
    for dataset, recipe in settings.recipes.items():
        crop = settings.data[dataset].crop if dataset in settings.data else None
        found = _crop_problems(recipe, settings.methods, crop) if crop else []
        problems += [f"recipes.{dataset}.{problem}" for problem in found]
        problems += [f"recipes.{dataset}.{problem}" for problem in _budget_problems(recipe.training)]
        if undivided := _undivided(recipe.training.batch_size, settings.run):
            problems.append(f"recipes.{dataset}.{undivided}")
    return problems


def _list_problems(settings: Settings) -> list[str]:
    problems = []
    if settings.run.min_workers > settings.run.max_workers:
        problems.append(
            f"run.workers.min ({settings.run.min_workers}) is larger than run.workers.max "
            f"({settings.run.max_workers}); lower it"
        )
    for key in ("datasets", "methods"):
        problems += [f"{key} names '{name}' more than once; remove one" for name in _repeated(getattr(settings, key))]
    problems += [
        f"the name of the dataset '{name}' is also that of folders; use letters, digits, - and _ only"
        for name in settings.datasets
        if not _FILE_NAME.fullmatch(name)
    ]
    if not _STORAGE.fullmatch(settings.storage):
        problems.append(f"storage ('{settings.storage}') must be a folder or s3://bucket/prefix")
    if not _MODEL_NAME.fullmatch(settings.registry.name):
        problems.append(f"registry.name ({settings.registry.name}) names a model; use letters, digits, - . and _ only")
    if settings.registry.method not in settings.methods:
        problems.append(
            f"registry.method is '{settings.registry.method}', which methods does not name; "
            f"choose one of {', '.join(settings.methods)}"
        )
    return problems


def _repeated(values: Iterable[T]) -> list[T]:
    return [value for value, count in Counter(values).items() if count > 1]


def _data_problems(data: DataSettings) -> list[str]:
    problems = []
    if isinstance(data.label_space, str) and data.label_space not in LABEL_SPACES:
        problems.append(
            f"label_space '{data.label_space}' is not known; choose one of {', '.join(LABEL_SPACES)}, "
            "or give names and colours"
        )
    else:
        try:
            num_classes = data.labels.num_classes
        except ValueError as error:
            problems.append(f"label_space: {error}")
        else:
            problems += [problem for source in data.sources for problem in source.problems(num_classes)]
    problems += [
        f"the source mixed_scenes draws images of {list(source.size)}, smaller than the crop ({data.crop})"
        for source in data.sources
        if isinstance(source, MixedScenesSource) and min(source.size) < data.crop
    ]
    if data.crop % _STRIDE:
        problems.append(f"crop ({data.crop}) must be divisible by {_STRIDE}")
    sides = {"shorter_side": data.shorter_side, "train_shorter_side": data.train_shorter_side}
    shorter = [f"{key} ({side})" for key, side in sides.items() if side is not None and data.crop > side]
    if shorter:
        problems.append(f"crop ({data.crop}) is larger than {' and '.join(shorter)}; lower the crop or raise the side")
    return problems


def _mask_problems(dataset: str, masks: MaskSettings, crop: int) -> list[str]:
    where = f"masks.{dataset}"
    problems = [f"{where}.training: {problem}" for problem in hole_problems(masks.training, crop, crop)]
    for evaluation in masks.evaluation:
        if not _FILE_NAME.fullmatch(evaluation.name):
            problems.append(
                f"{where}.evaluation: the set '{evaluation.name}' names a file; use letters, digits, - and _ only"
            )
        found = hole_problems([evaluation.hole], crop, crop)
        problems += [f"{where}.evaluation.{evaluation.name}: {problem}" for problem in found]
    problems += [
        f"{where}.evaluation: two sets are called '{name}'; rename one"
        for name in _repeated(evaluation.name for evaluation in masks.evaluation)
    ]
    bins = masks.ratio_bins
    if len(bins) < 2 or any(low >= high for low, high in pairwise(bins)):
        problems.append(f"{where}.ratio_bins must be two or more rising numbers, found {list(bins)}")
    return problems


def _search_problems(settings: Settings) -> list[str]:
    search = settings.search
    problems = []
    for key in ("lambda_p", "lambda_alpha", "lambda_s"):
        low, high = getattr(search, key)
        if not 0 < low < high:
            problems.append(f"search.{key} ([{low}, {high}]) must be two rising numbers above 0")
    low, high = search.tau
    if not 0 <= low < high <= 1:
        problems.append(f"search.tau ([{low}, {high}]) must be two rising numbers between 0 and 1")
    if search.grace_steps > search.steps:
        problems.append(f"search.grace_steps ({search.grace_steps}) must not exceed search.steps ({search.steps})")
    if search.steps % search.report_every or search.grace_steps % search.report_every:
        problems.append(
            f"search.report_every ({search.report_every}) must divide search.grace_steps ({search.grace_steps}) and "
            f"search.steps ({search.steps}), or trials are not judged there"
        )
    for pair in search.run:
        for key, known in (("dataset", settings.datasets), ("method", settings.methods)):
            name = getattr(pair, key)
            if name not in known:
                problems.append(
                    f"search.run: {key} '{name}' is not in {key}s ({', '.join(known)}); add it or correct it"
                )
    return problems + [
        f"search.run names {pair.dataset}/{pair.method} more than once; remove one" for pair in _repeated(search.run)
    ]


def _transfer_problems(settings: Settings) -> list[str]:
    problems = []
    for pair in settings.transfer:
        where, dataset, source = f"transfer: {pair.dataset}", pair.dataset, pair.models_of
        if dataset in settings.datasets:
            problems.append(
                f"{where} is one of datasets, which are filled by their own models; remove it from one list"
            )
        problems += [
            f"{where} does not exist in {section}; add {section}.{dataset}"
            for section in ("data", "masks")
            if dataset not in getattr(settings, section)
        ]
        if not _FILE_NAME.fullmatch(dataset):
            problems.append(f"{where} is also the name of folders; use letters, digits, - and _ only")
        if source not in settings.datasets:
            problems.append(f"{where}: models_of is '{source}', on which nothing is trained; name one of datasets")
        elif {source, dataset} <= settings.data.keys() and (
            settings.data[source].labels.names != settings.data[dataset].labels.names
        ):
            problems.append(f"{where} has other classes than {source}; give it that label_space, labelled or not")
        if settings.labels_of(dataset).needs_segmenter:
            problems.append(f"{where} has nothing to do for a segmenter; remove labels.{dataset}")
    return problems + [
        f"transfer names '{name}' more than once; remove one"
        for name in _repeated(pair.dataset for pair in settings.transfer)
    ]


def _label_problems(labels: LabelSettings, settings: Settings) -> list[str]:
    problems = []
    if labels.needs_segmenter and labels.segmenter == "transformers" and labels.checkpoint is None:
        problems.append("checkpoint is missing; name the folder of a checkpoint of transformers")
    if labels.class_map is not None and labels.segmenter != "transformers":
        problems.append(f"class_map is for transformers; {labels.segmenter} has the dataset's own classes, remove it")
    recipe = labels.recipe
    problems += [
        f"recipe.deep_parsing.{key} ({side}) must be odd, so that the window has a middle"
        for key in ("local_window", "context_window")
        if not (side := getattr(recipe.deep_parsing, key)) % 2
    ]
    if undivided := _undivided(recipe.training.batch_size, settings.run):
        problems.append(f"recipe.{undivided}")
    return problems


def _undivided(batch_size: int, run: RunSettings) -> str | None:
    """Of workers whose bounds contradict each other, that alone is said."""
    if run.min_workers > run.max_workers:
        return None
    return batch_problem(batch_size, run.min_workers, run.max_workers)


def _budget_problems(training: TrainingSettings) -> list[str]:
    match training.budget, training.seconds:
        case "wall_clock", seconds if not 0 < seconds < float("inf"):
            return [f"training.seconds ({seconds}) must be a positive number for budget: wall_clock"]
        case "steps", seconds if seconds != 0:
            return [f"training.seconds ({seconds}) is given, but the budget is steps; set training.budget: wall_clock"]
    return []


def _crop_problems(recipe: Recipe, methods: Sequence[str], crop: int) -> list[str]:
    problems = []
    if recipe.network.image_size != crop:
        problems.append(
            f"network.image_size ({recipe.network.image_size}) must be the crop ({crop}), since the model fills images "
            "at the size that it was trained on; remove it, and it follows the crop"
        )
    discriminators: dict[str, DiscriminatorSettings] = {}
    for spec in (METHODS[name] for name in methods):
        prefix = f"{spec.name}." if spec.settings is not None else ""
        discriminators |= {
            f"{prefix}{key}": discriminator for key, discriminator in spec.discriminators(spec.section(recipe)).items()
        }
    return problems + [
        f"{where}: {discriminator.num_layers} layers at {discriminator.num_scales} scales need images of "
        f"{smallest} px, but the crop is {crop}; use fewer of either"
        for where, discriminator in discriminators.items()
        if crop < (smallest := discriminator.smallest_image)
    ]
