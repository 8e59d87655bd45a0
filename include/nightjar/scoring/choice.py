"""Select the versions that score a night: requested, pinned, champion and challengers, or fallbacks."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nightjar.declaration.experiment import CHAMPION, Experiment
from nightjar.declaration.scoring import CHAMPION_THEN
from nightjar.declaration.use_case import UseCase
from nightjar.lake import ledger
from nightjar.lake.lake import Lake
from nightjar.protocol.documents import load_values
from nightjar.protocol.errors import ConfigurationError, LakeError, ModelError, NightjarError, UnreachableError
from nightjar.protocol.job import JobSpec
from nightjar.protocol.scores import ScoringModel
from nightjar.registry.models import ModelVersion, aliased, resolve, ship
from nightjar.scoring import pins
from nightjar.scoring.features import Features
from nightjar.scoring.pins import Pins
from nightjar.training.model import TabularModel, folder_in_lake

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class SelectedModels:
    """Models that score the nights.

    Attributes:
        scoring_models: Variant to scoring model; only the champion's without an experiment.
        shadow: Model whose predictions are recorded but not used; None without a shadow.
        shadow_error: Why the declared shadow cannot score; empty when it can, or no shadow is declared.
    """

    scoring_models: Mapping[str, ScoringModel]
    shadow: ScoringModel | None = None
    shadow_error: str = ""


def select_and_pin_models(spec: JobSpec, use_case: UseCase, features: Features, pinned: Pins | None) -> SelectedModels:
    """Select the model of each variant and the shadow, and pin versions and features for later attempts of the run.

    Every model is copied to the lake and checked against the features. Without an experiment the champion scores all
    rows. The champion's fallback is another version (:func:`select_fallback`); a challenger's fallback is the champion.
    ``fallback_reason`` says why. An explicitly requested or already published version has no fallback.

    Args:
        spec: Job with the params ``model_version`` and ``model_policy``.
        use_case: The use case.
        features: Features of the nights.
        pinned: Selection of the run's first attempt; None at the first attempt.

    Raises:
        ModelError: when neither the version nor a fallback can score.
        UnreachableError: when MLflow does not answer and no fallback exists.
        ConfigurationError: when the nights had different champions.
    """
    scoring_models = _select_scoring_models(spec, use_case, features.schema, pinned)
    _pin(spec, scoring_models, features, pinned)
    return add_shadow(Lake(spec.lake), use_case, features.schema, scoring_models)


def add_shadow(
    lake: Lake, use_case: UseCase, features: pa.Schema, scoring_models: Mapping[str, ScoringModel]
) -> SelectedModels:
    """Add the declared shadow to the scoring models; a shadow that cannot score never raises."""
    shadow, error = _select_shadow(lake, use_case, features, scoring_models[CHAMPION])
    return SelectedModels(scoring_models=scoring_models, shadow=shadow, shadow_error=error)


def _select_scoring_models(
    spec: JobSpec, use_case: UseCase, features: pa.Schema, pinned: Pins | None
) -> dict[str, ScoringModel]:
    """Return the scoring model of each variant."""
    champion = _select_champion(spec, use_case, features, pinned)
    experiment = use_case.scoring.experiment
    if experiment is None or not _splits(spec, experiment):
        return {CHAMPION: champion}
    lake, versions = Lake(spec.lake), pinned.versions if pinned else {}
    return {
        variant: champion
        if variant == CHAMPION
        else _select_challenger(lake, use_case, features, champion, variant, versions.get(variant))
        for variant in experiment.variants
    }


def _pin(spec: JobSpec, scoring_models: Mapping[str, ScoringModel], features: Features, pinned: Pins | None) -> None:
    """Write the selection for later attempts, unless it is that of the first attempt."""
    versions = pins.versions_of(scoring_models)
    selected = Pins(
        versions=versions,
        features_version=features.version,
        feature_files=features.files,
        published=pinned is not None and pinned.published and pinned.versions == versions,
    )
    if selected != pinned:
        pins.write(spec, selected)


def allows_fallback(spec: JobSpec, pinned: Pins | None) -> bool:
    """Whether the champion may have a fallback: not when its version was requested or has published already."""
    return not spec.params.get("model_version") and not (pinned and pinned.published and CHAMPION in pinned.versions)


def replace_challenger(variant: str, champion: ScoringModel, reason: str) -> ScoringModel:
    """Return the champion as the fallback for a challenger's rows."""
    log.warning("FALLBACK of variant %s to version %s: %s", variant, champion.version, reason)
    return replace(champion, fallback_reason=f"variant {variant}: {reason}")


def _select_champion(spec: JobSpec, use_case: UseCase, features: pa.Schema, pinned: Pins | None) -> ScoringModel:
    """Return the model of the variant ``champion``, which scores all rows without an experiment."""
    lake = Lake(spec.lake)
    requested = spec.params.get("model_version") or (pinned.versions.get(CHAMPION) if pinned else None)
    intended = f"version {requested}" if requested else "the champion"
    if not requested and spec.params.get("model_policy") == CHAMPION_THEN:
        requested = champion_then(spec, use_case)
    try:
        version = resolve(use_case.name, requested)
        intended = f"version {version.version}"
        return _ship_and_check(version, lake, use_case, features)
    except (ModelError, UnreachableError) as error:
        fallback = (
            select_fallback(lake, use_case, features, reason=f"{intended}: {error.what}")
            if allows_fallback(spec, pinned)
            else None
        )
        if fallback is None:
            raise
        return fallback


def _splits(spec: JobSpec, experiment: Experiment) -> bool:
    """Whether the experiment splits the nights: not for a requested version, nor before its first night."""
    is_requested = spec.params.get("model_version") or spec.params.get("model_policy") == CHAMPION_THEN
    return not is_requested and spec.last_night >= experiment.first_night


def _select_challenger(
    lake: Lake, use_case: UseCase, features: pa.Schema, champion: ScoringModel, variant: str, pinned: str | None
) -> ScoringModel:
    """Return the ``pinned`` version, or that of the alias ``variant``; the champion when it cannot score."""
    try:
        version = resolve(use_case.name, pinned) if pinned else aliased(use_case.name, variant)
        if version is None:
            return replace_challenger(variant, champion, "no version has this alias")
        return _ship_and_check(version, lake, use_case, features)
    except NightjarError as error:
        return replace_challenger(variant, champion, error.what)
    except Exception as error:  # a challenger never fails the night
        return replace_challenger(variant, champion, f"{type(error).__name__}: {error}")


def select_fallback(
    lake: Lake, use_case: UseCase, features: pa.Schema, *, reason: str, without: Collection[str] = ()
) -> ScoringModel | None:
    """Return the last published version that loads and fits the features, else the declared default, else None.

    Published versions are read from the lake, so that MLflow is not needed.

    Args:
        lake: The lake.
        use_case: The use case.
        features: Schema of the feature table.
        reason: Why a fallback is needed; written to every row.
        without: Checksums of models to leave out.
    """
    for candidate in _candidates(lake, use_case):
        if candidate.sha256 in without:
            continue
        try:
            TabularModel.load(candidate.folder, sha256=candidate.sha256).check(features, use_case.problem)
        except NightjarError as error:
            log.warning("version %s cannot be the fallback: %s", candidate.version, error.what)
            continue
        log.warning("FALLBACK to version %s: %s", candidate.version, reason)
        return replace(candidate, fallback_reason=reason)
    return None


def _select_shadow(
    lake: Lake, use_case: UseCase, features: pa.Schema, champion: ScoringModel
) -> tuple[ScoringModel | None, str]:
    """Return the shadow model, or None and why a declared shadow cannot score; never raises."""
    alias = use_case.scoring.shadow
    if alias is None:
        return None, ""
    try:
        version = aliased(use_case.name, alias)
        if version is None:
            return None, f"no version has the alias {alias}"
        if version.sha256 == champion.sha256:
            return None, f"version {version.version} has the alias {alias}, and scores the night itself"
        return _ship_and_check(version, lake, use_case, features), ""
    except Exception as error:  # a shadow never fails the night
        return None, f"{type(error).__name__}: {error}"


def champion_then(spec: JobSpec, use_case: UseCase) -> str:
    """Return the version that was champion at the prediction moment of the nights, from the ledger's promotions.

    Raises:
        ModelError: when a night had no champion.
        ConfigurationError: when the champion changed between the nights.
    """
    nights = spec.nights(use_case.schedule.timezone)
    promotions = ledger.read(Lake(spec.lake), event="promotion", use_case=use_case.name).select(
        ["recorded_at", "model_version"]
    )
    events = promotions.to_pylist()
    champions: set[str] = set()
    for night in nights:
        moment = nights.prediction_moment(night)
        promoted = [event["model_version"] for event in events if event["recorded_at"] <= moment]
        if not promoted:
            first = f"; the first promotion was at {events[0]['recorded_at']:%Y-%m-%d %H:%M} UTC" if events else ""
            raise ModelError(
                f"{use_case.name} had no champion on {night}{first}",
                where=ledger.TABLE.name,
                fix="score with the current champion (model_policy champion), or give a model_version",
            )
        champions.add(promoted[-1])
    if len(champions) > 1:
        raise ConfigurationError(
            f"versions {', '.join(sorted(champions, key=int))} were champion on the nights {nights}",
            where="model_policy",
            how_many=len(champions),
            fix="give each night a run of its own: `make backfill`, or `airflow backfill create`",
        )
    return champions.pop()


def _candidates(lake: Lake, use_case: UseCase) -> Iterator[ScoringModel]:
    """Yield the published versions, latest first and each once; then the declared default."""
    seen = set()
    for details in reversed(ledger.read_details(lake, event="publish", use_case=use_case.name)):
        document = details.get("scoring_model")
        if document is None:
            continue
        try:
            with ledger.reading_details():
                scoring_model = load_values(ScoringModel, document)
            folder = folder_in_lake(lake, use_case.name, scoring_model.sha256)
        except (LakeError, ModelError) as error:
            log.warning("the model of a publish event cannot be the fallback: %s", error.what)
            continue
        if scoring_model.sha256 not in seen:
            seen.add(scoring_model.sha256)
            yield replace(scoring_model, folder=folder, fallback_reason=None)
    default = use_case.scoring.default_version
    if default is not None:
        try:
            version = resolve(use_case.name, default)
            _, folder = ship(version, lake)
        except NightjarError as error:
            log.warning("the declared default, version %s, cannot be the fallback: %s", default, error.what)
            return
        yield _scoring_model(version, folder)


def _ship_and_check(version: ModelVersion, lake: Lake, use_case: UseCase, features: pa.Schema) -> ScoringModel:
    model, folder = ship(version, lake)
    model.check(features, use_case.problem)
    return _scoring_model(version, folder)


def _scoring_model(version: ModelVersion, folder: str) -> ScoringModel:
    return ScoringModel(name=version.name, version=version.version, sha256=version.sha256, folder=folder)
