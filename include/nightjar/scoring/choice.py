"""Which versions score a night: the one asked for, those chosen before, the champion and challengers, or stand-ins."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from nightjar.declaration.experiment import CHAMPION, Experiment
from nightjar.declaration.scoring import CHAMPION_THEN
from nightjar.declaration.use_case import UseCase
from nightjar.lake import ledger
from nightjar.protocol.errors import ConfigurationError, LakeError, ModelError, NightjarError, UnreachableError
from nightjar.protocol.job import JobSpec
from nightjar.registry.models import ModelVersion, aliased, resolve, ship
from nightjar.scoring.pins import Pins
from nightjar.scoring.task import ScoringModel
from nightjar.training.model import TabularModel, folder_in_lake

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)


def choose(spec: JobSpec, use_case: UseCase, features: pa.Schema, pins: Pins | None) -> dict[str, ScoringModel]:
    """The versions that are to score the spec's nights, by variant, shipped to the lake and fit for the features.

    Without an experiment there is one, the champion's. A version that a person asked for, or that this run has
    published with, speaks or nobody does. In the champion's place another may (:func:`select_fallback`), and in a
    challenger's the champion, which their ``fallback_reason`` says.

    Args:
        spec: With the params ``model_version`` and ``model_policy``.
        use_case: What is predicted.
        features: Schema of the feature table.
        pins: What the run has chosen before.

    Raises:
        ModelError: when the version, or the champion and all that could stand in, cannot score.
        UnreachableError: when MLflow does not answer, and nothing stands in.
        ConfigurationError: when the nights had different champions.
    """
    champion = _champion(spec, use_case, features, pins)
    experiment = use_case.scoring.experiment
    if experiment is None or not _splits(spec, experiment):
        return {CHAMPION: champion}
    before = pins.versions if pins else {}
    return {
        variant: champion
        if variant == CHAMPION
        else _challenger(spec, use_case, features, champion, variant, before.get(variant))
        for variant in experiment.variants
    }


def allows_fallback(spec: JobSpec, pins: Pins | None) -> bool:
    """Whether another version may speak in the champion's place: nobody asked for it, and it has not published."""
    return not spec.params.get("model_version") and not (pins and pins.published and CHAMPION in pins.versions)


def replace_challenger(variant: str, champion: ScoringModel, why: str) -> ScoringModel:
    """The champion, speaking for the challenger's rows."""
    log.warning("FALLBACK of variant %s to version %s: %s", variant, champion.version, why)
    return replace(champion, fallback_reason=f"variant {variant}: {why}")


def _champion(spec: JobSpec, use_case: UseCase, features: pa.Schema, pins: Pins | None) -> ScoringModel:
    """The version that speaks where nothing is split, and for the variant ``champion`` where something is."""
    asked = spec.params.get("model_version") or (pins.versions.get(CHAMPION) if pins else None)
    meant = f"version {asked}" if asked else "the champion"
    if not asked and spec.params.get("model_policy") == CHAMPION_THEN:
        asked = champion_then(spec, use_case)
    try:
        version = resolve(use_case.name, asked)
        meant = f"version {version.version}"
        return _ready(version, spec.lake, features)
    except (ModelError, UnreachableError) as error:
        found = (
            select_fallback(spec.lake, use_case, features, reason=f"{meant}: {error.what}")
            if allows_fallback(spec, pins)
            else None
        )
        if found is None:
            raise
        return found


def _splits(spec: JobSpec, experiment: Experiment) -> bool:
    """Whether the run's nights are split: not where a person has said who speaks, nor before the experiment began."""
    told = spec.params.get("model_version") or spec.params.get("model_policy") == CHAMPION_THEN
    return not told and spec.last_night >= experiment.first_night


def _challenger(
    spec: JobSpec, use_case: UseCase, features: pa.Schema, champion: ScoringModel, variant: str, before: str | None
) -> ScoringModel:
    """The version of the alias ``variant``, or that of ``before``; whatever is wrong with it, the champion."""
    try:
        version = resolve(use_case.name, before) if before else aliased(use_case.name, variant)
        if version is None:
            return replace_challenger(variant, champion, "no version has this alias")
        return _ready(version, spec.lake, features)
    except NightjarError as error:
        return replace_challenger(variant, champion, error.what)
    except Exception as error:  # whatever it is, it must not fail the night
        return replace_challenger(variant, champion, f"{type(error).__name__}: {error}")


def select_fallback(
    lake: str, use_case: UseCase, features: pa.Schema, *, reason: str, without: Collection[str] = ()
) -> ScoringModel | None:
    """The last version that published and still loads and fits, or else the declared default; None when none does.

    The former is read from the lake, so that it speaks also while MLflow does not.

    Args:
        lake: The lake's root.
        use_case: What is predicted.
        features: Schema of the feature table.
        reason: Why one is needed; goes to every row.
        without: Checksums of models that are out of question.
    """
    for candidate in _candidates(lake, use_case):
        if candidate.sha256 in without:
            continue
        try:
            TabularModel.load(candidate.folder, sha256=candidate.sha256).check(features)
        except NightjarError as error:
            log.warning("version %s cannot stand in: %s", candidate.version, error.what)
            continue
        log.warning("FALLBACK to version %s: %s", candidate.version, reason)
        return replace(candidate, fallback_reason=reason)
    return None


def shadow(
    spec: JobSpec, use_case: UseCase, features: pa.Schema, scoring_model: ScoringModel
) -> tuple[ScoringModel | None, str]:
    """Who scores beside the scoring_model, and why nobody does although one is declared; whatever is wrong with it."""
    alias = use_case.scoring.shadow
    if alias is None:
        return None, ""
    try:
        version = aliased(use_case.name, alias)
        if version is None:
            return None, f"no version has the alias {alias}"
        if version.sha256 == scoring_model.sha256:
            return None, f"version {version.version} has the alias {alias}, and scores the night itself"
        return _ready(version, spec.lake, features), ""
    except Exception as error:  # whatever it is, it must not fail the night
        return None, f"{type(error).__name__}: {error}"


def champion_then(spec: JobSpec, use_case: UseCase) -> str:
    """The version that was champion at the prediction moment of the spec's nights, by the ledger's promotions.

    Raises:
        ModelError: when there was none.
        ConfigurationError: when it changed between the nights.
    """
    nights = spec.nights(use_case.timezone)
    promotions = ledger.read(spec.lake, event="promotion", use_case=use_case.name).select(
        ["recorded_at", "model_version"]
    )
    made = promotions.to_pylist()
    found: set[str] = set()
    for night in nights:
        before = [one["model_version"] for one in made if one["recorded_at"] <= nights.prediction_moment(night)]
        if not before:
            first = f"; the first promotion was at {made[0]['recorded_at']:%Y-%m-%d %H:%M} UTC" if made else ""
            raise ModelError(
                f"{use_case.name} had no champion on {night}{first}",
                where=ledger.TABLE.name,
                fix="score with the champion of now (model_policy champion), or name a model_version",
            )
        found.add(before[-1])
    if len(found) > 1:
        raise ConfigurationError(
            f"versions {', '.join(sorted(found, key=int))} were champion on the nights {nights}",
            where="model_policy",
            how_many=len(found),
            fix="give each night a run of its own: `make backfill`, or `airflow backfill create`",
        )
    return found.pop()


def _candidates(lake: str, use_case: UseCase) -> Iterator[ScoringModel]:
    """Who has published, the latest first and each once; then the declared default."""
    seen = set()
    for details in reversed(ledger.read_details(lake, event="publish", use_case=use_case.name)):
        if details.get("scoring_model") is None:
            continue
        try:
            with ledger.reading_details():
                scoring_model = ScoringModel.from_dict(details["scoring_model"])
            folder = folder_in_lake(lake, use_case.name, scoring_model.sha256)
        except (LakeError, ModelError) as error:
            log.warning("an event of the ledger names a model that cannot stand in: %s", error.what)
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
            log.warning("the declared default, version %s, cannot stand in: %s", default, error.what)
            return
        yield _scoring_model(version, folder)


def _ready(version: ModelVersion, lake: str, features: pa.Schema) -> ScoringModel:
    model, folder = ship(version, lake)
    model.check(features)
    return _scoring_model(version, folder)


def _scoring_model(version: ModelVersion, folder: str) -> ScoringModel:
    return ScoringModel(name=version.name, version=version.version, sha256=version.sha256, folder=folder)
