"""The report as one self-contained HTML page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from pipelines.report import images, plots, segmentation, tables
from pipelines.report.collect import DatasetResults, MethodResult
from pipelines.report.images import Gallery
from pipelines.report.pairs import pairs
from pipelines.report.paper import published, published_label_sources, published_segmentation
from pipelines.report.study.results import report_tables
from pipelines.report.summary import summary
from pipelines.report.tables import Table
from pipelines.settings.layout import StudyPaths
from pipelines.settings.params import DataSettings, Settings
from pipelines.settings.titles import TITLES

_NUM_FIGURES = 2  # examples a mask set shown as Figures 6 and 7


@dataclass(frozen=True)
class DatasetSection:
    """Everything the page shows of one dataset; what does not exist is None or empty.

    Attributes:
        models_of: another dataset, where the methods were trained on that one (Fig. 10); else None.
        missing: titles of methods that have not been evaluated.
        summary: the result in words, by mask set.
        tables: by what they show, such as ``headline``; most have one for each mask set.
        study_note: who voted in the user study, and how to read its tables; empty without a study.
        classes: class names with their colours as CSS.
        plots: ``validation``, ``losses`` and ``confidence`` as SVG, those that there are.
        refinement, confidence_maps: Figures 6 and 7, each a caption and a data address.
        failures: Figure 11.
        provenance: names and digests of what was evaluated.
        settings: as YAML, by title: the recipes of the methods; data, holes and evaluation.
    """

    name: str
    models_of: str | None
    missing: Sequence[str]
    summary: Mapping[str, Sequence[str]]
    tables: Mapping[str, Sequence[Table]]
    study_note: str
    galleries: Sequence[Gallery]
    classes: Sequence[tuple[str, str]]
    plots: Mapping[str, str]
    refinement: Sequence[tuple[str, str]]
    confidence_maps: Sequence[tuple[str, str]]
    failures: Sequence[Gallery]
    provenance: Mapping[str, str]
    settings: Mapping[str, str]


@dataclass(frozen=True)
class Page:
    """Everything the page shows.

    Attributes:
        label_sources: Table 5 of every group of datasets that differ in the source of their labels alone.
    """

    sections: Sequence[DatasetSection]
    label_sources: Sequence[Table]
    made: date


def make_page(settings: Settings, datasets: Sequence[DatasetResults], made: date) -> Page:
    """Make every table, plot and image of the page."""
    return Page(
        made=made,
        sections=[_section(settings, results) for results in datasets],
        label_sources=segmentation.label_sources(datasets, partial(published_label_sources, settings)),
    )


def render(page: Page) -> str:
    """Render the page: HTML that loads nothing from anywhere."""
    environment = Environment(
        loader=PackageLoader("pipelines.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["embedded"] = images.embed_svg
    environment.filters["code"] = _with_code
    template = environment.get_template("report.html.j2")
    made = f"{page.made.day} {page.made:%B %Y}"
    return template.render(sections=page.sections, label_sources=page.label_sources, made=made)


def _with_code(text: str) -> Markup:
    """The text as HTML, with what stands in backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _section(settings: Settings, results: DatasetResults) -> DatasetSection:
    sets = results.sets
    # The method that is released is the one to look into; where it is missing, the last one trained.
    shown = results.method(settings.registry.method) or results.methods[-1]
    study, study_note = report_tables(results, StudyPaths(results.name).results)
    segmenter = results.summary.get("segmenter")

    def after_inpainting(set_name: str) -> Table | None:
        paper = published_segmentation(settings, results.name, set_name, segmenter)
        return segmentation.after_inpainting(results, set_name, settings.registry.method, paper)

    shown_tables = {
        "headline": [
            tables.headline(results, set_name, published=published(settings, results.name, set_name))
            for set_name in sets
        ],
        "ablation": _made(tables.ablation(results, set_name) for set_name in sets),
        "pairs": _made(pairs(results, set_name) for set_name in sets),
        "true_labels": _made(tables.true_labels(results, set_name) for set_name in sets),
        "segmentation": _made(map(after_inpainting, sets)),
        "labels": _made([segmentation.label_quality(results)]),
        "breakdowns": [table for set_name in sets for table in tables.breakdowns(results, set_name)],
        "costs": _made([tables.costs(results)]),
        "confidence": _made([tables.confidence(results)]),
        "study": study,
    }
    drawn = {
        "validation": plots.validation_curves(results),
        "losses": plots.loss_curves(results),
        "confidence": plots.confidence_scatter(results),
    }
    return DatasetSection(
        name=results.name,
        models_of=None if results.models_of == results.name else results.models_of,
        missing=[TITLES.get(name, name) for name in results.missing],
        summary={set_name: summary(results, set_name) for set_name in sets},
        tables=shown_tables,
        study_note=study_note,
        galleries=_galleries(results, shown),
        classes=_classes(settings.data[results.name]),
        plots={name: drawing for name, drawing in drawn.items() if drawing is not None},
        refinement=images.method_figures(shown, 6, _NUM_FIGURES),
        confidence_maps=images.method_figures(shown, 7, _NUM_FIGURES),
        failures=[gallery for set_name in sets if (gallery := images.failures(shown, set_name))],
        provenance=_provenance(results),
        settings=_recipes(results) | {"Data, holes and evaluation": _data_settings(settings, results.name)},
    )


def _made(tables: Iterable[Table | None]) -> list[Table]:
    return [table for table in tables if table is not None]


def _galleries(results: DatasetResults, shown: MethodResult) -> list[Gallery]:
    galleries = []
    for set_name in results.sets:
        galleries.append(images.fillings(results, set_name, shown))
        if segmentations := images.segmentations(results, set_name):
            galleries.append(segmentations)
    return galleries


def _classes(data: DataSettings) -> list[tuple[str, str]]:
    labels = data.labels
    colours = [(name, f"rgb({r},{g},{b})") for name, (r, g, b) in zip(labels.names, labels.colours, strict=True)]
    return [*colours, ("without a label (ignore)", "rgb(0,0,0)")]


def _provenance(results: DatasetResults) -> dict[str, str]:
    summary = results.summary
    facts = {
        "evaluation split": summary["split"],
        "digest of the shards": summary["shards_digest"],
        "digest of the evaluation masks": summary["masks_digest"],
    }
    for method in results.trained:
        for name, title in (("run_id", "MLflow run"), ("git_commit", "commit"), ("device", "device")):
            if method.training is not None and method.training.facts.get(name):
                facts[f"{title} of {method.title}"] = str(method.training.facts[name])
    return facts


def _recipes(results: DatasetResults) -> dict[str, str]:
    """Every method's recipe; methods that share one are named together."""
    by_recipe: dict[str, list[str]] = {}
    for method in results.trained:
        if method.training is not None and method.training.recipe:
            by_recipe.setdefault(_yaml(method.training.recipe), []).append(method.title)
    return {f"Recipe of {', '.join(titles)}": recipe for recipe, titles in by_recipe.items()}


def _data_settings(settings: Settings, dataset: str) -> str:
    parts = {"data": settings.data[dataset], "masks": settings.masks[dataset], "evaluation": settings.evaluation}
    return _yaml({name: part.model_dump(mode="json", exclude_defaults=True) for name, part in parts.items()})


def _yaml(content: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(content), sort_keys=False, default_flow_style=None, width=100)
