"""From two versions of a registered model to a decision: fetch, check, compare, and evaluate again where needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pipelines.data.labels.opened import segmenter_of_filled
from pipelines.evaluation.fills import baseline_fill
from pipelines.evaluation.run import EvaluationData, evaluate, evaluate_model
from pipelines.registry.gate.decision import Check, Decision, decide
from pipelines.registry.gate.evidence import Evidence, differences, read_evidence
from pipelines.registry.gate.invariants import check_filling, check_latency, check_weights
from pipelines.registry.history import Say
from pipelines.registry.register import EVIDENCE, digest_evidence
from pipelines.settings.layout import DatasetPaths
from pipelines.settings.params import Settings
from pipelines.tracking.released import ReleasedModels, StoredVersion
from sgenet.errors import CheckpointError, DataError, UserError
from sgenet.inpainter import Inpainter
from sgenet.methods.registry import LABEL_STARTED_METHODS


@dataclass(frozen=True)
class Contender:
    """A version as the registry gave it back, or the baseline where there is no champion.

    Attributes:
        name: what sentences call it.
        stored: gives the scores stored with it; a DataError says why they cannot be used.
        evaluate: scores it here, into a folder.
    """

    name: str
    stored: Callable[[], Evidence]
    evaluate: Callable[[Path], object]


@dataclass(frozen=True)
class Judgement:
    """A decision and what it rests on.

    Attributes:
        opponent: ``version N``, or ``the baseline NAME`` where there is no champion.
        rescored_because: why scores were taken again instead of those stored; empty where the stored ones were used.
        identity: dataset, split and the digests of images, holes and metric code that both were scored with.
    """

    challenger: str
    opponent: str
    rescored_because: str
    identity: dict[str, str]
    decision: Decision


def judge(
    models: ReleasedModels,
    challenger: StoredVersion,
    champion: StoredVersion | None,
    settings: Settings,
    workspace: Path,
    say: Say,
) -> Judgement:
    """Decide whether a challenger may replace the champion; nothing is changed.

    Args:
        champion: None for a model that has no champion yet.
        workspace: empty folder for what is downloaded and evaluated.

    Raises:
        TrackingError: a version cannot be fetched.
        DataError, CheckpointError, SettingsError: both must be evaluated again, and cannot be here.
    """
    dataset = _dataset(challenger, settings)
    crop = settings.data[dataset].crop
    model = models.copy_version(challenger, workspace / "challenger")
    contender = _version(challenger, model, settings, dataset)
    opponent, incumbent = _baseline(settings, dataset), None
    if champion is not None:
        champions_model = models.copy_version(champion, workspace / "champion")
        opponent, incumbent = _version(champion, champions_model, settings, dataset), champions_model
    say(f"checking {contender.name} on this machine")
    checks = _invariants(model, challenger.weights_sha256, incumbent, crop, settings)
    fatal = [check for check in checks if check.name in ("weights", "loads") and not check.holds]
    if fatal:
        # Not the model that was registered, so no stored score is its own; or none that runs.
        reasons = tuple(f"{check.name}: {check.detail}" for check in fatal)
        decision = Decision(False, reasons, None, (), tuple(checks))
        return Judgement(challenger.version, opponent.name if champion else "no champion", "", {}, decision)
    (ours, theirs), rescored_because = _scores((contender, opponent), dataset, workspace, say)
    decision = decide(theirs.images, ours.images, settings.promotion, checks, against_baseline=champion is None)
    return Judgement(challenger.version, opponent.name, rescored_because, dict(ours.identity), decision)


def _dataset(challenger: StoredVersion, settings: Settings) -> str:
    dataset = challenger.dataset or ""
    if dataset not in settings.data:
        raise UserError(
            f"version {challenger.version} of {challenger.name} is a model of the dataset '{dataset}', which "
            f"params.yaml does not describe (data: {', '.join(settings.data)}); use the settings it was trained with"
        )
    return dataset


def _version(version: StoredVersion, model: Path, settings: Settings, dataset: str) -> Contender:
    paths, method = DatasetPaths(dataset), version.method or ""

    def evaluate_here(folder: Path) -> None:
        # No other method's images depend on it.
        starts = method in LABEL_STARTED_METHODS
        segmenter = segmenter_of_filled(settings, dataset, paths.segmenter) if starts else None
        evaluate_model(EvaluationData(settings, dataset, paths.shards, paths.masks, segmenter), model, method, folder)

    stored = partial(_stored_evidence, version, model.parent / EVIDENCE)
    return Contender(f"version {version.version}", stored, evaluate_here)


def _stored_evidence(version: StoredVersion, folder: Path) -> Evidence:
    if version.evidence_sha256 is None or not folder.is_dir():
        raise DataError(f"version {version.version} was registered without per-image scores")
    try:
        digest = digest_evidence(folder)
    except OSError as error:
        raise DataError(f"the scores stored with version {version.version} are not complete") from error
    if digest != version.evidence_sha256:
        raise DataError(f"the scores stored with version {version.version} have been altered")
    evidence = read_evidence(folder)
    if evidence.weights_sha256 != version.weights_sha256:
        raise DataError(f"the scores stored with version {version.version} belong to other weights")
    return evidence


def _baseline(settings: Settings, dataset: str) -> Contender:
    name, paths = settings.promotion.baseline, DatasetPaths(dataset)

    def stored() -> Evidence:
        try:
            return read_evidence(paths.baselines / name)
        except DataError:
            raise DataError(f"the baseline {name} has no scores in {paths.baselines}") from None

    def evaluate_here(folder: Path) -> None:
        evaluate(
            EvaluationData(settings, dataset, paths.shards, paths.masks), partial(baseline_fill, name), name, folder
        )

    return Contender(f"the baseline {name}", stored, evaluate_here)


def _invariants(model: Path, weights_sha256: str, incumbent: Path | None, crop: int, settings: Settings) -> list[Check]:
    weights = check_weights(model, weights_sha256)
    try:
        challenger = Inpainter.load(model)
    except CheckpointError as error:
        return [weights, Check("loads", False, str(error))]
    champion = None if incumbent is None else Inpainter.load(incumbent)
    return [
        weights,
        *check_filling(challenger, crop),
        check_latency(challenger, champion, crop, settings.promotion),
    ]


def _scores(contenders: Sequence[Contender], dataset: str, workspace: Path, say: Say) -> tuple[list[Evidence], str]:
    """The scores of both on the same ground, and why they were taken again; empty where the stored ones could be."""
    found, faults = [], []
    for contender in contenders:
        try:
            found.append(contender.stored())
        except DataError as error:
            faults.append(str(error))
    names = " and ".join(contender.name for contender in contenders)
    if not faults:
        different = differences(*found)
        if not different:
            return found, ""
        faults = [f"{names} were scored with different {_listed(different)}"]
    rescored_because = "; ".join(faults)
    say(f"{rescored_because}: evaluating {names} on the shards and masks of {dataset} here")
    folders = [workspace / f"scores-{number}" for number in range(len(contenders))]
    for contender, folder in zip(contenders, folders, strict=True):
        contender.evaluate(folder)
    return [read_evidence(folder) for folder in folders], rescored_because


def _listed(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
