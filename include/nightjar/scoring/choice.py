"""Which version scores a night: the one asked for, the one published before, the champion, or what stands in for it."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from nightjar.contracts.errors import ConfigurationError, ModelError, NightjarError, UnreachableError
from nightjar.contracts.job import JobSpec
from nightjar.contracts.scoring import CHAMPION_THEN
from nightjar.contracts.use_case import UseCase
from nightjar.lake import ledger
from nightjar.lake.results import published_by_this_run
from nightjar.registry.models import ModelVersion, aliased, resolve, ship
from nightjar.scoring.task import Speaker
from nightjar.training.model import TabularModel

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)


def choose(spec: JobSpec, use_case: UseCase, features: pa.Schema) -> Speaker:
    """The version that is to score the spec's nights, shipped to the lake and fit for the features.

    A version that a person asked for, or that this run has published with, speaks or nobody does. In the champion's
    place another may (:func:`stand_in`), which its ``fallback_reason`` says.

    Args:
        spec: With the params ``model_version``, ``model_policy`` and ``force``.
        use_case: What is predicted.
        features: Schema of the feature table.

    Raises:
        ModelError: when the version, or the champion and all that could stand in, cannot score.
        UnreachableError: when MLflow does not answer, and nothing stands in.
        ConfigurationError: when the nights had different champions.
    """
    asked = spec.params.get("model_version") or published_by_this_run(spec).get("model_version")
    if asked is not None:
        return _ready(resolve(use_case.name, asked), spec.lake, features)
    then = champion_then(spec, use_case) if spec.params.get("model_policy") == CHAMPION_THEN else None
    meant = "the champion"
    try:
        version = resolve(use_case.name, then)
        meant = f"version {version.version}"
        return _ready(version, spec.lake, features)
    except (ModelError, UnreachableError) as error:
        found = stand_in(spec.lake, use_case, features, reason=f"{meant}: {error.what}")
        if found is None:
            raise
        return found


def may_fall_back(spec: JobSpec, speaker: Speaker) -> bool:
    """Whether another version may speak when this one's scores fail the audit: nobody has asked for it by number."""
    asked = spec.params.get("model_version") or published_by_this_run(spec).get("model_version")
    return asked is None and speaker.fallback_reason is None


def stand_in(
    lake: str, use_case: UseCase, features: pa.Schema, *, reason: str, without: Collection[str] = ()
) -> Speaker | None:
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


def shadow(spec: JobSpec, use_case: UseCase, features: pa.Schema, speaker: Speaker) -> tuple[Speaker | None, str]:
    """Who scores beside the speaker, and why nobody does although one is declared; whatever is wrong with it."""
    alias = use_case.scoring.shadow
    if alias is None:
        return None, ""
    try:
        version = aliased(use_case.name, alias)
        if version is None:
            return None, f"no version has the alias {alias}"
        if version.sha256 == speaker.sha256:
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
    promotions = ledger.read(spec.lake, event="promotion", use_case=use_case.name).select(["at", "model_version"])
    made = promotions.to_pylist()
    found: set[str] = set()
    for night in nights:
        before = [one["model_version"] for one in made if one["at"] <= nights.prediction_moment(night)]
        if not before:
            first = f"; the first promotion was at {made[0]['at']:%Y-%m-%d %H:%M} UTC" if made else ""
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


def _candidates(lake: str, use_case: UseCase) -> Iterator[Speaker]:
    """Who has published, the latest first and each once; then the declared default."""
    seen = set()
    for event in reversed(ledger.read(lake, event="publish", use_case=use_case.name)["details"].to_pylist()):
        speaker = json.loads(event).get("speaker")
        if speaker is None or speaker["sha256"] in seen:
            continue
        seen.add(speaker["sha256"])
        yield replace(Speaker(**speaker), fallback_reason=None)
    default = use_case.scoring.default_version
    if default is not None:
        try:
            version = resolve(use_case.name, default)
            _, folder = ship(version, lake)
        except NightjarError as error:
            log.warning("the declared default, version %s, cannot stand in: %s", default, error.what)
            return
        yield _speaker(version, folder)


def _ready(version: ModelVersion, lake: str, features: pa.Schema) -> Speaker:
    model, folder = ship(version, lake)
    model.check(features)
    return _speaker(version, folder)


def _speaker(version: ModelVersion, folder: str) -> Speaker:
    return Speaker(name=version.name, version=version.version, sha256=version.sha256, folder=folder)
