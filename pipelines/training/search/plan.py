"""A search as plain values: what it is called, what every trial trains, where its state lies."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from pipelines.settings.params import RunSettings, SearchSettings
from pipelines.storage.store import join
from pipelines.training.job import TrainingJob
from pipelines.training.search.space import Dimension, with_values
from sgenet.methods.recipe import Recipe

_KEY_LENGTH = 16
_NOT_PART_OF_THE_KEY = ("run", "trials")


@dataclass(frozen=True, kw_only=True)
class SearchPlan:
    """One search.

    Attributes:
        key: its name: a hash of what is searched, how, and of the settings, data and code of its trainings.
            Searching the same resumes, and adds trials where more are asked for; any other change starts from
            scratch.
        job: what a trial trains, but for the values that it tries.
        run: what a trial has of the cluster.
        storage: folder or ``s3://`` address of the state of all searches, absolute.
    """

    key: str
    job: TrainingJob
    searched: tuple[Dimension, ...]
    settings: SearchSettings
    run: RunSettings
    storage: str

    @property
    def maximises(self) -> bool:
        """Whether more of the metric is better."""
        return not self.settings.metric.startswith("l1")

    def trial(self, trial_id: str, values: Mapping[str, float]) -> TrainingJob:
        """The training of one trial. It has checkpoints of its own, from which a killed trial resumes."""
        return replace(
            self.job,
            run_key=f"{self.key}-{trial_id}",
            recipe=with_values(self.job.recipe, values),
            checkpoints=join(self.storage, self.key, "trials", trial_id),
        )


def search_recipe(recipe: Recipe, search: SearchSettings) -> Recipe:
    """What trials train by: the recipe over the steps of a trial, validated and stored each time it is judged."""
    training = replace(
        recipe.training,
        # Trials are judged after equal numbers of steps, whatever ends a training by the recipe.
        budget="steps",
        steps=search.steps,
        seconds=0.0,
        validate_every=search.report_every,
        checkpoint_every=search.report_every,
        keep_checkpoints=1,
    )
    return replace(recipe, training=training)


def plan_search(
    job: TrainingJob, searched: tuple[Dimension, ...], settings: SearchSettings, run: RunSettings, storage: str
) -> SearchPlan:
    """Name a search.

    Args:
        job: of a training by :func:`search_recipe`; its run key stands for its settings, data and code.
        storage: of the state of all searches, absolute.
    """
    asked = settings.model_dump(mode="json", exclude=set(_NOT_PART_OF_THE_KEY))
    identity = {"training": job.run_key, "search": asked, "searched": [asdict(dimension) for dimension in searched]}
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    key = hashlib.sha256(text.encode()).hexdigest()[:_KEY_LENGTH]
    return SearchPlan(key=key, job=job, searched=searched, settings=settings, run=run, storage=storage)
