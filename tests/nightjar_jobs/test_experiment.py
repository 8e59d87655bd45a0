"""An experiment through the night's programs, with models of a real MLflow server and Spark's own workers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from tests.nightjar_jobs.nights import NEXT, NIGHT, SCORES, USE_CASE, Nights, champion_of
from tests.nightjar_jobs.test_fallback import broken, changed
from tests.split_site.declared import EXPERIMENT, split

from nightjar.lake import ledger
from nightjar.lake.lake import Lake
from nightjar.problems.binary.calibration import Calibrator
from nightjar.registry import models, rest
from nightjar.scoring.split import assign
from use_cases.flight_delay import use_case as declaration

pytestmark = [pytest.mark.e2e, pytest.mark.spark]
SITE = str(Path(__file__).parents[1] / "split_site")


@pytest.fixture(autouse=True)
def declared(nights: Nights, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The use case declares the experiment, here and in Spark's workers."""
    monkeypatch.setattr(declaration, "USE_CASE", split(USE_CASE))
    environment = nights.spark.sparkContext.environment
    environment["PYTHONPATH"] = SITE
    yield
    del environment["PYTHONPATH"]


def challenge(version: str) -> None:
    alias = {"name": USE_CASE.name, "alias": "challenger", "version": version}
    rest.call(models._uri(), "POST", "registered-models/alias", alias)


def assigned(nights: Nights) -> dict[int, str]:
    """Flight number to its variant, by the declaration alone."""
    rows = Lake(nights.lake).table(USE_CASE.feature_table).read_nights([NIGHT], list(USE_CASE.key))
    (batch,) = rows.combine_chunks().to_batches()
    names = list(EXPERIMENT.variants)
    places = assign(batch, EXPERIMENT, USE_CASE.key)
    return {flight: names[place] for flight, place in zip(batch["flight"].to_pylist(), places, strict=True)}


def test_each_variant_is_scored_by_its_own_version_and_the_row_says_which(nights: Nights, versions: list[str]) -> None:
    challenge(versions[1])
    published = nights.whole()
    assert published.status == "succeeded", published.error
    of_variant = {"champion": versions[0], "challenger": versions[1]}
    expected = assigned(nights)
    rows = nights.scores()
    assert len(rows) == published.rows_out == 200
    assert {row["flight"]: row["variant"] for row in rows} == expected
    assert all(row["model_version"] == of_variant[row["variant"]] for row in rows)
    assert {(row["experiment"], row["fallback_reason"]) for row in rows} == {("gentler", None)}
    details = json.loads(ledger.read(Lake(nights.lake), event="publish")["details"][0].as_py())
    counted = Counter(expected.values())
    assert details["experiment"] == "gentler"
    assert {name: (one["version"], one["rows"]) for name, one in details["variants"].items()} == {
        name: (of_variant[name], counted[name]) for name in counted
    }
    assert nights.run("confirm_champion").model_versions == of_variant


def test_every_attempt_of_a_run_takes_the_challenger_of_the_first_one(nights: Nights, versions: list[str]) -> None:
    challenge(versions[1])
    nights.whole()
    before = nights.scores()
    challenge(versions[0])
    assert nights.whole().committed is False
    assert nights.scores() == before


def test_nights_before_the_first_one_and_requested_versions_are_not_split(nights: Nights, versions: list[str]) -> None:
    challenge(versions[1])
    early = EXPERIMENT.first_night - timedelta(days=1)
    nights.features(early)
    assert nights.whole(night=early, run_id="early").status == "succeeded"
    assert nights.whole(model_version=versions[1]).status == "succeeded"
    for night, version in ((early, versions[0]), (NIGHT, versions[1])):
        seen = {(row["model_version"], row["experiment"], row["variant"]) for row in nights.scores(night)}
        assert seen == {(version, None, None)}


@pytest.mark.parametrize("trouble", ["no alias", "no model"])
def test_champion_is_the_fallback_of_a_challenger_that_cannot_score(
    nights: Nights, versions: list[str], tmp_path: Path, trouble: str
) -> None:
    if trouble == "no model":
        challenge(broken(tmp_path).version)
    assert nights.whole().status == "succeeded"
    rows = nights.scores()
    assert {row["model_version"] for row in rows} == {versions[0]}
    reasons = {row["variant"]: row["fallback_reason"] for row in rows}
    assert reasons["champion"] is None
    said = {"no alias": "no version has this alias", "no model": "the trees are not a complete UBJSON file"}
    assert reasons["challenger"].startswith(f"variant challenger: {said[trouble]}")
    confirmed = nights.run("confirm_champion")
    assert (confirmed.status, confirmed.error_kind) == ("failed", "model")
    assert "FALLBACK" in confirmed.error
    assert "variant challenger" in confirmed.error
    of_challenger = sum(row["variant"] == "challenger" for row in rows)
    assert 0 < of_challenger < len(rows)
    assert f"how many: {of_challenger} |" in confirmed.error


def test_champion_is_the_fallback_of_a_challenger_whose_scores_are_refused(
    nights: Nights, versions: list[str], tmp_path: Path
) -> None:
    challenge(versions[1])
    nights.whole()
    nights.features(NEXT)
    mean = sum(row["prediction"] for row in nights.scores()) / 200
    odd = strange(nights, tmp_path, mean)
    models.set_champion(models.resolve(USE_CASE.name, versions[0]))
    challenge(odd)
    assert nights.run("score", night=NEXT, run_id="b").parts["challenger"].scoring_model.version == odd
    audited = nights.run("validate_scores", night=NEXT, run_id="b")
    assert audited.status == "succeeded", audited.error
    assert nights.run("publish_scores", night=NEXT, run_id="b").rows_out == 200
    reasons = {row["variant"]: row["fallback_reason"] for row in nights.scores(NEXT)}
    assert reasons["champion"] is None
    assert "the scores fail their audit" in reasons["challenger"]
    assert {row["model_version"] for row in nights.scores(NEXT)} == {versions[0]}


def test_refused_scores_of_the_champion_keep_the_challenger(
    nights: Nights, versions: list[str], tmp_path: Path
) -> None:
    challenge(versions[1])
    nights.whole()
    nights.features(NEXT)
    odd = strange(nights, tmp_path, sum(row["prediction"] for row in nights.scores()) / 200)
    assert champion_of(nights.run("score", night=NEXT, run_id="b")).version == odd
    assert nights.run("validate_scores", "publish_scores", night=NEXT, run_id="b").status == "succeeded"
    rows = nights.scores(NEXT)
    models = {(row["variant"], row["model_version"], row["fallback_reason"] is None) for row in rows}
    assert models == {("champion", versions[0], False), ("challenger", versions[1], True)}
    assert Lake(nights.lake).table(SCORES).open().to_pyarrow_dataset().count_rows() == 400


def strange(nights: Nights, tmp_path: Path, mean: float) -> str:
    """A version, champion by now, whose predictions are far from ``mean``."""
    calibrator = Calibrator(method="platt", slope=0.001, intercept=4.0 if mean < 0.5 else -4.0)
    return changed(nights, tmp_path, calibrator=calibrator).version


def test_a_table_that_is_older_than_the_experiment_gets_its_columns(
    nights: Nights, versions: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    challenge(versions[1])
    with monkeypatch.context() as before:
        before.setattr(declaration, "USE_CASE", USE_CASE)
        nights.spark.sparkContext.environment["PYTHONPATH"] = ""
        nights.whole()
    nights.spark.sparkContext.environment["PYTHONPATH"] = SITE
    assert "variant" not in Lake(nights.lake).table(SCORES).open().schema().to_arrow().names
    nights.features(NEXT)
    assert nights.whole(night=NEXT, run_id="b").status == "succeeded"
    rows = pa.table(Lake(nights.lake).table(SCORES).open().to_pyarrow_dataset().to_table())
    by_night = Counter((row["ds"], row["variant"] is None) for row in rows.to_pylist())
    assert by_night == {(NIGHT, True): 200, (NEXT, False): 200}
