"""Where every file of the pipeline lies, relative to the repository's root: what ``dvc.yaml`` declares."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PARAMS = Path("params.yaml")
REPORT = Path("report")


@dataclass(frozen=True)
class DatasetPaths:
    """The files of one dataset: ``data/<dataset>/…``."""

    dataset: str

    @property
    def root(self) -> Path:
        """``data/<dataset>``."""
        return Path("data") / self.dataset

    @property
    def sources(self) -> Path:
        """Parquet table of the raw samples and their hashes (stage ``index``)."""
        return self.root / "sources.parquet"

    @property
    def shards(self) -> Path:
        """Folder of tar shards, ``index.parquet``, ``quarantine.parquet``, ``manifest.json`` (stage ``shards``)."""
        return self.root / "shards"

    @property
    def masks(self) -> Path:
        """Folder of the fixed evaluation masks (stage ``masks``)."""
        return self.root / "masks"

    @property
    def segmenter(self) -> Path:
        """Folder of the dataset's segmenter and its report (stage ``fit_segmenter``)."""
        return self.root / "segmenter"

    @property
    def labels(self) -> Path:
        """Folder of automatic labels, beside the shards (stage ``label``)."""
        return self.root / "labels"

    @property
    def published(self) -> Path:
        """Where shards and masks lie in the storage (command ``publish``); travels with a job, as data do not."""
        return Path("published") / f"{self.dataset}.json"

    @property
    def baselines(self) -> Path:
        """Evaluation of the baselines, which need no training (stage ``baselines``)."""
        return Path("runs") / self.dataset / "baselines"


@dataclass(frozen=True)
class RunPaths:
    """The files of one method trained on one dataset: ``runs/<dataset>/<method>/…``."""

    dataset: str
    method: str

    @property
    def root(self) -> Path:
        """``runs/<dataset>/<method>``."""
        return Path("runs") / self.dataset / self.method

    @property
    def model(self) -> Path:
        """Folder of the stage ``train``: the released model, ``training.json``, ``losses.csv``, ``validation.csv``."""
        return self.root / "model"

    @property
    def evaluation(self) -> Path:
        """Folder with ``metrics.json``, ``images.parquet`` and figures (stage ``evaluate``)."""
        return self.root / "evaluation"

    @property
    def headline(self) -> Path:
        """The few scores that ``dvc metrics`` and ``dvc exp show`` compare (stage ``evaluate``)."""
        return self.root / "metrics.json"

    @property
    def registered(self) -> Path:
        """``registered.json``: name, version, alias and address of the model (stage ``register``)."""
        return self.root / "registered.json"


@dataclass(frozen=True)
class SearchPaths:
    """The files of a search for one method on one dataset."""

    dataset: str
    method: str

    @property
    def root(self) -> Path:
        """``search/<dataset>/<method>``: ``best.yaml``, ``trials.csv``, ``importance.png``, ``search.json``."""
        return Path("search") / self.dataset / self.method


@dataclass(frozen=True)
class StudyPaths:
    """The files of a user study on one dataset."""

    dataset: str

    @property
    def votes(self) -> Path:
        """``study/<dataset>/votes.sqlite``, apart from all outputs: what people said cannot be made again."""
        return Path("study") / self.dataset / "votes.sqlite"

    @property
    def results(self) -> Path:
        """What the votes say, below ``runs`` where the report looks: ``preferences.json``, ``.csv``, ``table.md``."""
        return Path("runs") / self.dataset / "study"
