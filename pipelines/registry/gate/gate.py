"""From two versions of a registered model to a decision: fetch, check, compare, and evaluate again where needed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pipelines.data.labels.opened import segmenter_of_filled
from pipelines.evaluation.fills import load_baseline_fill
from pipelines.evaluation.run import evaluate, evaluate_model
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
    """A version as the registry gave it back.

    Attributes:
        name: what sentences call it.
        model: folder of the released model.
        evidence: the scores stored with it; None where they cannot be used.
        fault: why not, in words.
    """

    name: str
    version: StoredVersion
    model: Path
    evidence: Evidence | None
    fault: str = ""


@dataclass(frozen=True)
class Judgement:
    """A decision and what it rests on.

    Attributes:
        challenger: version.
        opponent: ``version N``, or ``the baseline NAME`` where there is no champion.
        anew: why scores were taken again instead of those stored; empty where the stored ones were used.
        identity: dataset, split and the digests of images, holes and metric code that both were scored with.
    """

    challenger: str
    opponent: str
    anew: str
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
        models: of the registry that holds both.
        challenger, champion: None for a model that has no champion yet.
        settings: the whole of ``params.yaml``.
        workspace: empty folder for what is downloaded and evaluated.
        say: receives progress messages.

    Raises:
        TrackingError: a version cannot be fetched.
        DataError, CheckpointError, SettingsError: both must be evaluated again, and cannot be here.
    """
    dataset = _dataset(challenger, settings)
    crop = settings.data[dataset].crop
    contender = _fetch(models, challenger, workspace / "challenger")
    incumbent = None if champion is None else _fetch(models, champion, workspace / "champion")
    say(f"checking {contender.name} on this machine")
    checks = _invariants(contender, incumbent, crop, settings)
    fatal = [check for check in checks if check.name in ("weights", "loads") and not check.holds]
    if fatal:
        # Not the model that was registered, so no stored score is its own; or none that runs.
        reasons = tuple(f"{check.name}: {check.detail}" for check in fatal)
        decision = Decision(False, reasons, None, (), tuple(checks))
        opponent = "no champion" if incumbent is None else incumbent.name
        return Judgement(challenger.version, opponent, "", {}, decision)
    if incumbent is None:
        ours, theirs, anew = _against_baseline(contender, settings, dataset, workspace, say)
        opponent = f"the baseline {settings.promotion.baseline}"
    else:
        ours, theirs, anew = _against_champion(contender, incumbent, settings, dataset, workspace, say)
        opponent = incumbent.name
    decision = decide(theirs.images, ours.images, settings.promotion, checks, against_baseline=incumbent is None)
    return Judgement(challenger.version, opponent, anew, dict(ours.identity), decision)


def _dataset(challenger: StoredVersion, settings: Settings) -> str:
    dataset = challenger.dataset or ""
    if dataset not in settings.data:
        raise UserError(
            f"version {challenger.version} of {challenger.name} is a model of the dataset '{dataset}', which "
            f"params.yaml does not describe (data: {', '.join(settings.data)}); use the settings it was trained with"
        )
    return dataset


def _fetch(models: ReleasedModels, version: StoredVersion, folder: Path) -> Contender:
    model = models.copy_version(version, folder)
    name = f"version {version.version}"
    try:
        evidence = _stored_evidence(version, model.parent / EVIDENCE)
    except DataError as error:
        return Contender(name, version, model, None, str(error))
    return Contender(name, version, model, evidence)


def _stored_evidence(version: StoredVersion, folder: Path) -> Evidence:
    if version.evidence_sha256 is None or not folder.is_dir():
        raise DataError(f"version {version.version} was registered without scores of single images")
    try:
        digest = digest_evidence(folder)
    except OSError as error:
        raise DataError(f"the scores stored with version {version.version} are not complete") from error
    if digest != version.evidence_sha256:
        raise DataError(f"the scores stored with version {version.version} have been altered")
    evidence = read_evidence(folder)
    if evidence.weights_sha256 != version.weights_sha256:
        raise DataError(f"the scores stored with version {version.version} are of other weights")
    return evidence


def _invariants(contender: Contender, incumbent: Contender | None, crop: int, settings: Settings) -> list[Check]:
    weights = check_weights(contender.model, contender.version.weights_sha256)
    try:
        challenger = Inpainter.load(contender.model)
    except CheckpointError as error:
        return [weights, Check("loads", False, str(error))]
    champion = None if incumbent is None else Inpainter.load(incumbent.model)
    return [
        weights,
        *check_filling(challenger, crop),
        check_latency(challenger, champion, crop, settings.promotion),
    ]


def _against_champion(
    challenger: Contender, champion: Contender, settings: Settings, dataset: str, workspace: Path, say: Say
) -> tuple[Evidence, Evidence, str]:
    """The challenger's and the champion's scores on the same ground, and why they were taken again."""
    anew = _incomparable(challenger, champion)
    if not anew:
        assert challenger.evidence is not None
        assert champion.evidence is not None
        return challenger.evidence, champion.evidence, ""
    say(f"{anew}: evaluating {challenger.name} and {champion.name} on the shards and masks of {dataset} here")
    ours, theirs = (
        _evaluate(contender, settings, dataset, workspace / f"{kind}-scores")
        for kind, contender in (("challenger", challenger), ("champion", champion))
    )
    return ours, theirs, anew


def _incomparable(challenger: Contender, champion: Contender) -> str:
    faults = [contender.fault for contender in (challenger, champion) if contender.fault]
    if faults or challenger.evidence is None or champion.evidence is None:
        return "; ".join(faults)
    different = differences(challenger.evidence, champion.evidence)
    if not different:
        return ""
    return f"{challenger.name} and {champion.name} were scored with different {_listed(different)}"


def _against_baseline(
    challenger: Contender, settings: Settings, dataset: str, workspace: Path, say: Say
) -> tuple[Evidence, Evidence, str]:
    """The challenger's scores and the baseline's: stored ones where they fit, else both are evaluated again."""
    baseline, paths = settings.promotion.baseline, DatasetPaths(dataset)
    stored: Evidence | None = None
    anew = challenger.fault
    if challenger.evidence is not None:
        try:
            stored = read_evidence(paths.baselines / baseline)
        except DataError:
            anew = f"the baseline {baseline} has no scores in {paths.baselines}"
        else:
            different = differences(challenger.evidence, stored)
            if not different:
                return challenger.evidence, stored, ""
            anew = f"{challenger.name} and the baseline {baseline} were scored with different {_listed(different)}"
    say(f"{anew}: evaluating both on the shards and masks of {dataset} here")
    ours = _evaluate(challenger, settings, dataset, workspace / "challenger-scores")
    folder = workspace / "baseline-scores"
    folder.mkdir()
    evaluate(partial(load_baseline_fill, baseline), settings, dataset, baseline, paths.shards, paths.masks, folder)
    return ours, read_evidence(folder), anew


def _evaluate(contender: Contender, settings: Settings, dataset: str, folder: Path) -> Evidence:
    paths = DatasetPaths(dataset)
    folder.mkdir()
    method = contender.version.method or ""
    # No other method's images depend on it.
    starts = method in LABEL_STARTED_METHODS
    segmenter = segmenter_of_filled(settings, dataset, paths.segmenter) if starts else None
    evaluate_model(contender.model, settings, dataset, method, paths.shards, paths.masks, folder, segmenter=segmenter)
    return read_evidence(folder)


def _listed(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
