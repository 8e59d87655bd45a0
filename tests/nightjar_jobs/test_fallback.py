"""Fallbacks when the champion cannot score: which version, what readers see, and when there is none."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.nightjar_jobs.nights import NEXT, SCORES, USE_CASE, Nights, champion_of

from nightjar.declaration.features import Feature
from nightjar.declaration.scoring import Scoring
from nightjar.lake import ledger
from nightjar.lake.lake import Lake
from nightjar.problems.binary.calibration import Calibrator
from nightjar.registry import models, rest, tracking
from nightjar.training.engines.member import Member
from nightjar.training.model import SUMS_FILE, TabularModel, save
from nightjar_spark import score, validate_scores

pytestmark = [pytest.mark.e2e, pytest.mark.spark]


def register(model: TabularModel, uri: str) -> models.ModelVersion:
    """Register a model folder as it is, as the next version."""
    return tracking.register(
        tracking.TrainingRecord(
            use_case=USE_CASE.name, run_name="other", model_uri=uri, features=model.card.features,
            outputs=model.card.problem.prediction_columns("p"), params={}, metrics={}, metric="auc", history={},
            texts={}, description="of a test",
            tags={models.SHA256_TAG: model.sha256, models.RUN_TAG: "other", models.VARIANT_TAG: "full",
                  models.FINGERPRINT_TAG: model.sha256},
        )
    )  # fmt: skip


def changed(nights: Nights, tmp_path: Path, *, members: Sequence[Member] = (), **card: Any) -> models.ModelVersion:
    """The champion's model under another card, and with other ``members`` if given, registered and made champion."""
    mine = models.fetch(models.resolve(USE_CASE.name))
    uri = str(tmp_path / "other")
    other = save(uri, replace(mine.card, **card), list(members or mine.members), mine.profile)
    version = register(other, uri)
    models.set_champion(version)
    return version


def promote_with_another_sum(version: str, sha256: str = "0" * 64) -> None:
    """Make ``version`` champion, with a checksum that its files do not have."""
    tag = {"name": USE_CASE.name, "version": version, "key": models.SHA256_TAG, "value": sha256}
    rest.call(models._uri(), "POST", "model-versions/set-tag", tag)
    models.set_champion(models.resolve(USE_CASE.name, version))


def test_last_published_version_is_the_visible_fallback(nights: Nights, versions: list[str]) -> None:
    assert nights.whole().status == "succeeded"
    nights.features(NEXT)
    right_sum = models.resolve(USE_CASE.name, versions[1]).sha256
    promote_with_another_sum(versions[1])
    published = nights.whole(night=NEXT, run_id="b")
    assert published.status == "succeeded", published.error
    rows = nights.scores(NEXT)
    assert len(rows) == 200
    assert {row["model_version"] for row in rows} == {versions[0]}
    (reason,) = {row["fallback_reason"] for row in rows}
    assert reason == f"version {versions[1]}: the file is not the one that was trained (SHA-256 differs)"

    confirmed = nights.run("confirm_champion", night=NEXT, run_id="b")
    assert (confirmed.status, confirmed.error_kind, confirmed.retryable) == ("failed", "model", False)
    assert (
        f"FALLBACK, scores are published: version {versions[0]} was the fallback on nights 2013-04-02"
        in confirmed.error
    )
    assert "docs/runbooks/fallback.md" in confirmed.error
    nights.run("confirm_champion", night=NEXT, run_id="b")  # cleared alone: the same fallback
    (event,) = ledger.read(Lake(nights.lake), event="fallback").to_pylist()
    assert (event["run_id"], event["model_version"]) == ("b", versions[0])

    promote_with_another_sum(versions[1], right_sum)  # mended; the run is cleared
    assert nights.whole(night=NEXT, run_id="b").status == "succeeded"
    assert {(r["model_version"], r["fallback_reason"]) for r in nights.scores(NEXT)} == {(versions[1], None)}
    assert nights.run("confirm_champion", night=NEXT, run_id="b").status == "succeeded"


def broken(tmp_path: Path) -> models.ModelVersion:
    """A registered version whose sums are right and whose trees are none."""
    mine = models.resolve(USE_CASE.name)
    whole, uri = models.fetch(mine), tmp_path / "broken"
    shutil.copytree(models.cached(mine), uri)
    (uri / "boosting.ubj").write_bytes(b"no trees")
    sums = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in sorted(uri.iterdir())
            if file.name != SUMS_FILE]  # fmt: skip
    (uri / SUMS_FILE).write_text("".join(sums))
    sha256 = hashlib.sha256((uri / SUMS_FILE).read_bytes()).hexdigest()
    return register(replace(whole, sha256=sha256), str(uri))


def test_champion_with_a_valid_checksum_but_no_model_has_a_fallback(
    nights: Nights, versions: list[str], tmp_path: Path
) -> None:
    nights.whole()
    nights.features(NEXT)
    models.set_champion(broken(tmp_path))
    published = nights.whole(night=NEXT, run_id="b")
    assert published.status == "succeeded", published.error
    (reason,) = {row["fallback_reason"] for row in nights.scores(NEXT)}
    assert "the trees are not a complete UBJSON file" in reason


def test_a_shadow_that_is_no_model_does_not_fail_the_night(
    nights: Nights, versions: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alias = {"name": USE_CASE.name, "alias": "challenger", "version": broken(tmp_path).version}
    rest.call(models._uri(), "POST", "registered-models/alias", alias)
    shadowed = replace(USE_CASE, scoring=Scoring(shadow="challenger"))
    for module in (score, validate_scores):
        monkeypatch.setattr(module, "load_use_case", lambda name: shadowed)
    scored = nights.run("score")
    assert (scored.status, scored.rows_out) == ("succeeded", 200), scored.error
    assert "the trees are not a complete UBJSON file" in scored.shadow_error


def test_an_mlflow_that_is_away_does_not_keep_the_night_from_being_scored(
    nights: Nights, versions: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    nights.whole()
    nights.features(NEXT)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert nights.whole(night=NEXT, run_id="b").status == "succeeded"
    assert {row["fallback_reason"].split(" (")[0] for row in nights.scores(NEXT)} == {
        "the champion: MLflow does not answer"
    }


def test_champion_with_other_features_has_a_fallback(nights: Nights, versions: list[str], tmp_path: Path) -> None:
    nights.whole()
    nights.features(NEXT)
    mine = models.fetch(models.resolve(USE_CASE.name)).card.features
    moon = Feature("moon_phase", "numeric", "Not there.")
    changed(nights, tmp_path, features=(*mine[:-1], moon))
    assert nights.whole(night=NEXT, run_id="b").status == "succeeded"
    (reason,) = {row["fallback_reason"] for row in nights.scores(NEXT)}
    assert "moon_phase" in reason


def test_scores_that_fail_their_audit_are_given_by_another_version_and_never_published(
    nights: Nights, versions: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nights.whole()
    nights.features(NEXT)
    mean = sum(row["prediction"] for row in nights.scores()) / 200
    strange = Calibrator(method="platt", slope=0.001, intercept=4.0 if mean < 0.5 else -4.0)
    odd = changed(nights, tmp_path, calibrator=strange)
    assert champion_of(nights.run("score", night=NEXT, run_id="b")).version == odd.version
    audited = nights.run("validate_scores", night=NEXT, run_id="b")
    assert audited.status == "succeeded", audited.error
    assert champion_of(audited).version == versions[0]
    nights.run("publish_scores", night=NEXT, run_id="b")
    (reason,) = {row["fallback_reason"] for row in nights.scores(NEXT)}
    assert f"version {odd.version}: the scores fail their audit" in reason
    assert {row["model_version"] for row in nights.scores(NEXT)} == {versions[0]}


def test_requested_version_has_no_fallback(nights: Nights, versions: list[str]) -> None:
    nights.whole()
    nights.features(NEXT)
    promote_with_another_sum(versions[1])
    refused = nights.run("score", night=NEXT, run_id="b", model_version=versions[1])
    assert (refused.status, refused.error_kind) == ("failed", "model")
    assert Lake(nights.lake).table(SCORES).read_nights([NEXT]).num_rows == 0


def test_declared_default_is_the_fallback_before_any_publication(
    nights: Nights, versions: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    promote_with_another_sum(versions[1])
    assert nights.run("score").status == "failed"  # nothing has published, nothing is declared
    declared = replace(USE_CASE, scoring=Scoring(default_version=versions[0]))
    for module in (score, validate_scores):
        monkeypatch.setattr(module, "load_use_case", lambda name: declared)
    scored = nights.run("score")
    assert scored.status == "succeeded", scored.error
    assert champion_of(scored).version == versions[0]
    assert champion_of(scored).fallback_reason


def test_a_backfill_may_be_scored_by_who_was_champion_then(nights: Nights, versions: list[str]) -> None:
    refused = nights.run("score", model_policy="champion_then")
    assert (refused.status, refused.error_kind) == ("failed", "model")
    assert f"{USE_CASE.name} had no champion on 2013-04-01" in refused.error
    nights.features(date(2013, 2, 1))
    for version, month in ((versions[1], 3), (versions[0], 5)):
        at = datetime(2013, month, 1, tzinfo=UTC)
        promotion = ledger.Event(event="promotion", use_case=USE_CASE.name, model_version=version, recorded_at=at)
        ledger.record(Lake(nights.lake), promotion)
    assert champion_of(nights.run("score")).version == versions[0]
    assert champion_of(nights.run("score", run_id="b", model_policy="champion_then")).version == versions[1]
    nights.run("validate_scores", "publish_scores")  # from now on a fallback exists
    early = nights.run("score", night=date(2013, 2, 1), run_id="early", model_policy="champion_then")
    assert (early.status, early.error_kind) == ("failed", "model"), "a night without a champion has no fallback"
