"""Scoring with models of a real MLflow server: selected model, reruns, and refused scores."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import xgboost as xgb
from numpy.typing import NDArray
from tests.nightjar_jobs.nights import FEATURES, NEXT, NIGHT, ODD, SCORES, USE_CASE, Nights, champion_of
from tests.nightjar_jobs.test_fallback import changed, promote_with_another_sum

from nightjar.lake import ledger
from nightjar.lake.lake import Lake
from nightjar.problems.binary.calibration import Calibrator
from nightjar.registry import models
from nightjar.training.engines.boosting.model import BoostedTrees

pytestmark = [pytest.mark.e2e, pytest.mark.spark]


def test_without_a_champion_scoring_says_so_and_writes_nothing(nights: Nights) -> None:
    result = nights.run("score")
    assert (result.status, result.error_kind, result.retryable) == ("failed", "model", False)
    assert "flight_delay has no champion | where: http" in result.error
    assert "do: run the DAG flight_delay_training" in result.error
    assert not Lake(nights.lake).table(SCORES).exists()
    (event,) = ledger.read(Lake(nights.lake), event="failure").to_pylist()
    assert (event["task_id"], event["reason"]) == ("score", result.error)


def test_an_mlflow_that_is_away_is_worth_a_retry(nights: Nights, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    result = nights.run("score")
    assert (result.status, result.error_kind, result.retryable) == ("failed", "unreachable", True)
    assert "MLflow does not answer" in result.error
    assert not Lake(nights.lake).table(SCORES).exists()
    assert ledger.read(Lake(nights.lake), event="failure").num_rows == 1


def test_a_night_without_features_is_named(nights: Nights, versions: list[str]) -> None:
    result = nights.run("score", night=NEXT)
    assert (result.status, result.error_kind) == ("failed", "source")
    assert "there are no features of 2013-04-02 | where: features/flight_delay | how many: 1" in result.error


def test_every_row_names_its_scoring_model_and_features(nights: Nights, versions: list[str]) -> None:
    published = nights.whole()
    assert published.status == "succeeded", published.error
    rows = nights.scores()
    assert len(rows) == published.rows_out == 200
    assert {(r["model_version"], r["features_version"], r["dag_run_id"]) for r in rows} == {(versions[0], 1, "a")}
    assert all(0 < row["prediction"] < 1 for row in rows)
    assert all(row["decision"] == (row["prediction"] >= 80 / 280) for row in rows)  # the use case's costs


def test_a_cleared_run_gives_the_same_rows_after_a_later_night_and_a_promotion(
    nights: Nights, versions: list[str]
) -> None:
    first = nights.whole()
    before = nights.scores()
    nights.features(NEXT)
    models.set_champion(models.resolve(USE_CASE.name, versions[1]))
    again = nights.whole()
    assert (again.outputs, again.committed) == (first.outputs, False)
    assert nights.scores() == before
    nights.whole(night=NEXT, run_id="b")
    assert {row["model_version"] for row in nights.scores(NEXT)} == {versions[1]}
    nights.whole(force=True)
    assert {row["model_version"] for row in nights.scores()} == {versions[1]}


def test_every_attempt_of_a_run_uses_the_model_of_the_first_one_unless_forced(
    nights: Nights, versions: list[str]
) -> None:
    assert champion_of(nights.run("score")).version == versions[0]
    models.set_champion(models.resolve(USE_CASE.name, versions[1]))
    assert champion_of(nights.run("score")).version == versions[0]
    assert champion_of(nights.run("score", run_id="b")).version == versions[1]
    assert champion_of(nights.run("score", force=True)).version == versions[1]


def refuses_odd_row(nights: Nights, folder: Path, rows: int) -> str:
    """Write features whose first row is odd, and promote a version whose prediction for it is NaN."""
    nights.features(NIGHT, rows=rows, **ODD)
    mine = models.fetch(models.resolve(USE_CASE.name))
    table = Lake(nights.lake).table(FEATURES).read_nights([NIGHT]).sort_by("flight")
    trees = [BoostedTrees(trees_without_an_answer_for_the_first(mine.encode(table)))]
    return changed(nights, folder, members=trees, calibrator=Calibrator()).version


def trees_without_an_answer_for_the_first(matrix: NDArray[np.float32]) -> xgb.Booster:
    """One tree that tells the first row from all others, and whose leaf for it is NaN."""
    first = np.arange(len(matrix)) == 0
    params = {"objective": "binary:logistic", "max_depth": 1, "min_child_weight": 0, "base_score": 0.5}
    booster = xgb.train(params, xgb.DMatrix(matrix, first), num_boost_round=1)
    leaves = booster.predict(xgb.DMatrix(matrix), pred_leaf=True).astype(int)
    assert set(leaves[1:]) == {3 - leaves[0]}
    (tree,) = json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]["model"]["trees"]
    leaf = struct.pack(">f", tree["split_conditions"][leaves[0]])
    corrupt = bytes(booster.save_raw("ubj")).replace(leaf, struct.pack(">f", float("nan")))
    return xgb.Booster(model_file=bytearray(corrupt))


def test_run_with_refused_scores_uses_the_current_champion(nights: Nights, versions: list[str], tmp_path: Path) -> None:
    refusing = refuses_odd_row(nights, tmp_path, rows=20)
    assert champion_of(nights.run("score")).version == refusing
    assert nights.run("validate_scores").error_kind == "contract"
    models.set_champion(models.resolve(USE_CASE.name, versions[1]))
    assert champion_of(nights.run("score")).version == versions[1]


@pytest.mark.parametrize("last", ["score", "publish_scores"])
def test_every_attempt_of_a_run_reads_the_features_of_the_first_one(
    nights: Nights, versions: list[str], last: str
) -> None:
    order = ["score", "validate_scores", "publish_scores"]
    nights.run(*order[: order.index(last) + 1])
    nights.features(NIGHT, rows=201)  # by another run
    assert nights.whole().status == "succeeded"
    assert {row["features_version"] for row in nights.scores()} == {1}
    assert len(nights.scores()) == 200


def test_features_that_the_run_itself_has_built_again_are_read(nights: Nights, versions: list[str]) -> None:
    nights.built()
    nights.whole()
    nights.features(NIGHT, rows=201)
    nights.built()
    nights.whole()
    assert {row["features_version"] for row in nights.scores()} == {2}
    assert len(nights.scores()) == 201


def test_features_of_the_first_attempt_that_are_gone_are_asked_for_by_name(nights: Nights, versions: list[str]) -> None:
    nights.run("score")
    nights.features(NIGHT, rows=201)
    Lake(nights.lake).table(FEATURES).open().vacuum(0, dry_run=False, enforce_retention_duration=False)
    result = nights.run("score")
    assert result.status == "failed"
    assert "features/flight_delay" in result.error
    assert "clear `build_features`" in result.error
    assert champion_of(nights.run("score", force=True)).version == versions[0]


def test_row_without_prediction_goes_to_quarantine_and_leaves_it_when_corrected(
    nights: Nights, versions: list[str], tmp_path: Path
) -> None:
    refuses_odd_row(nights, tmp_path, rows=200)
    result = nights.run("score")
    assert (result.rows_in, result.rows_out, result.rows_rejected) == (200, 199, 1)
    (row,) = nights.quarantined()
    assert (row["table_name"], row["rules"]) == (FEATURES.name, ["prediction_is_finite"])
    assert json.loads(row["row_json"])["flight"] == 0
    nights.features(NIGHT)
    nights.built()
    assert nights.run("score").rows_rejected == 0
    assert nights.quarantined() == []


def test_too_many_rows_without_prediction_stop_the_night(nights: Nights, versions: list[str], tmp_path: Path) -> None:
    nights.whole()
    before = nights.scores()
    refusing = refuses_odd_row(nights, tmp_path, rows=20)
    result = nights.run("score", "validate_scores", run_id="b", model_version=refusing)
    assert (result.status, result.error_kind) == ("failed", "contract")
    assert "the model cannot take 1 of 20 rows (allowed share 0.01" in result.error
    assert len(nights.quarantined()) == 1
    assert nights.scores() == before


def test_a_model_that_was_altered_in_the_lake_is_put_right_from_the_registry(
    nights: Nights, versions: list[str]
) -> None:
    folder = Path(champion_of(nights.run("score")).folder)
    (folder / "boosting.ubj").write_bytes(b"corrupt")
    assert nights.run("score").status == "succeeded"


def test_corrupt_local_copy_is_downloaded_again_without_fallback(nights: Nights, versions: list[str]) -> None:
    cache = models.cached(models.resolve(USE_CASE.name))
    nights.run("score")
    for corrupt_copy in (
        lambda: (cache / "boosting.ubj").write_bytes(b"corrupt"),
        lambda: (cache / "SHA256SUMS").unlink(),
        lambda: (cache / "model.json").unlink() or (cache / "model.json").mkdir(),
        lambda: shutil.rmtree(cache) or cache.write_text("a file"),
        lambda: shutil.rmtree(cache) or cache.symlink_to("/nowhere"),
    ):
        corrupt_copy()
        assert nights.run("score", force=True).status == "succeeded"
        assert champion_of(nights.run("score", force=True)).fallback_reason is None
        assert (cache / "boosting.ubj").read_bytes() != b"corrupt"


def test_a_checksum_that_is_a_path_is_refused_and_nothing_is_written_or_removed(
    nights: Nights, versions: list[str], tmp_path: Path
) -> None:
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "SHA256SUMS").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    for tag in ("../../x", "../victim", "", "A" * 64, "0" * 64 + "/.."):
        promote_with_another_sum(versions[1], tag)
        result = nights.run("score", force=True)
        assert (result.status, result.error_kind) == ("failed", "model"), tag
        assert "not 64 digits" in result.error
        assert "nightjar.model_sha256" in result.error
        touched = {path.relative_to(tmp_path).parts[0] for path in {*tmp_path.rglob("*")} ^ {*before}}
        assert touched <= {"lake"}, "the run's own folder in the lake alone"
        assert (tmp_path / "victim" / "SHA256SUMS").read_text() == "mine"
