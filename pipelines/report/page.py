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
from pipelines.report.images import FigureImage, Gallery
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
        name: of the dataset.
        models_of: another dataset, where the methods were trained on that one (Fig. 10); else None.
        missing: titles of methods that have not been evaluated.
        summary: the result in words, by mask set.
        headline: a table a mask set.
        ablation, pairs, breakdowns: the same.
        study: preference matrices of the user study.
        study_note: who voted, and how to read them; empty without a study.
        costs, confidence: one table each.
        galleries: side-by-side images.
        classes: class names with their colours as CSS.
        validation_curves, loss_curves, scatter: plots as SVG.
        true_labels: what true labels in place of the predicted ones change, a table a mask set.
        segmentation: segmentation after inpainting, a table a mask set.
        labels: how good the automatic labels are.
        refinement, confidence_maps: Figures 6 and 7.
        failures: Figure 11.
        provenance: names and digests of what was evaluated.
        settings: as YAML, by title: the recipes of the methods; data, holes and evaluation.
    """

    name: str
    models_of: str | None
    missing: Sequence[str]
    summary: Mapping[str, Sequence[str]]
    headline: Sequence[Table]
    ablation: Sequence[Table]
    pairs: Sequence[Table]
    true_labels: Sequence[Table]
    segmentation: Sequence[Table]
    labels: Table | None
    breakdowns: Sequence[Table]
    study: Sequence[Table]
    study_note: str
    costs: Table | None
    confidence: Table | None
    galleries: Sequence[Gallery]
    classes: Sequence[tuple[str, str]]
    validation_curves: str | None
    loss_curves: str | None
    scatter: str | None
    refinement: Sequence[FigureImage]
    confidence_maps: Sequence[FigureImage]
    failures: Sequence[Gallery]
    provenance: Mapping[str, str]
    settings: Mapping[str, str]

    @property
    def plots(self) -> dict[str, str]:
        """Every plot that there is, as SVG by name."""
        drawn = {"validation": self.validation_curves, "losses": self.loss_curves, "confidence": self.scatter}
        return {name: drawing for name, drawing in drawn.items() if drawing is not None}

    @property
    def tables(self) -> list[Table]:
        """Every table of the section."""
        several = (self.headline, self.ablation, self.pairs, self.true_labels, self.segmentation, self.breakdowns)
        single = (self.costs, self.confidence, self.labels)
        return [
            *(content for content in single if content is not None),
            *(content for part in (*several, self.study) for content in part),
        ]


@dataclass(frozen=True)
class Page:
    """Everything the page shows.

    Attributes:
        sections: one a dataset.
        label_sources: Table 5 of every group of datasets that differ in the source of their labels alone.
        made: the day.
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
    papers = {set_name: published(settings, results.name, set_name) for set_name in sets}
    segmenter = results.summary.get("segmenter")
    segmentations = [
        segmentation.after_inpainting(
            results,
            set_name,
            settings.registry.method,
            published_segmentation(settings, results.name, set_name, segmenter),
        )
        for set_name in sets
    ]
    return DatasetSection(
        name=results.name,
        models_of=None if results.models_of == results.name else results.models_of,
        missing=[TITLES.get(name, name) for name in results.missing],
        summary={set_name: summary(results, set_name) for set_name in sets},
        headline=[tables.headline(results, set_name, published=papers[set_name]) for set_name in sets],
        ablation=_made(tables.ablation(results, set_name) for set_name in sets),
        pairs=_made(pairs(results, set_name) for set_name in sets),
        true_labels=_made(tables.true_labels(results, set_name) for set_name in sets),
        segmentation=_made(segmentations),
        labels=segmentation.label_quality(results),
        breakdowns=[table for set_name in sets for table in tables.breakdowns(results, set_name)],
        study=study,
        study_note=study_note,
        costs=tables.costs(results),
        confidence=tables.confidence(results),
        galleries=_galleries(results, shown),
        classes=_classes(settings.data[results.name]),
        validation_curves=plots.validation_curves(results),
        loss_curves=plots.loss_curves(results),
        scatter=plots.confidence_scatter(results),
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
