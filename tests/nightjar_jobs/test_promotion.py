"""The gate and the promotion of registered models, on a real MLflow server."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from tests.nightjar_jobs.promotions import promote_first, register_challenger, run_programs
from tests.program_results import own_fields

from nightjar.lake import ledger
from nightjar.lake.lake import Lake
from nightjar.protocol.errors import GateError
from nightjar.registry import models
from nightjar.training.model import TabularModel, save
from nightjar_jobs import gate, promote
from use_cases.flight_delay.use_case import USE_CASE

pytestmark = pytest.mark.e2e


def test_the_first_model_becomes_champion_and_leads_back_to_its_data(
    start_run: Callable[[str], Any], registry: str
) -> None:
    run = start_run("a")
    evaluated = run_programs(run, "evaluate")
    assert evaluated.metrics["holdout_auc"] > 0.72
    assert 0.4 < evaluated.metrics["baseline_holdout_auc"] < 0.6
    assert evaluated.metrics["holdout_brier"] < evaluated.metrics["baseline_holdout_brier"]
    assert evaluated.metrics["holdout_rows"] == evaluated.rows_in == 2030
    registered = run_programs(run, "register")
    assert registered.links["mlflow_model"] == f"{registry}/#/models/flight_delay/versions/1"
    assert "/runs/" in registered.links["mlflow_run"]
    assert models.champion("flight_delay") is None
    verdict = run_programs(run, "gate")
    assert (verdict.verdict, verdict.champion_version) == ("promote", None)
    promoted = run_programs(run, "promote")
    assert promoted.promoted is True
    champion = models.champion("flight_delay")
    assert champion is not None
    assert champion.sha256 == evaluated.sha256["full"]
    assert champion.tags["nightjar.git_commit"] == "c0ffee"
    assert json.loads(champion.tags["nightjar.tables"]) == {"features/flight_delay": 33, "labels/flight_delay": 33}
    assert champion.tags["nightjar.verdict"] == "promote"
    (event,) = run.events("promotion")
    assert (event["model_version"], event["git_commit"]) == (champion.version, "c0ffee")
    assert event["details"] == {"from": None, "to": champion.version, "sha256": champion.sha256}
    assert run.events("gate")[0]["details"]["verdict"] == "promote"


def test_a_tie_does_not_promote(start_run: Callable[[str], Any]) -> None:
    first = promote_first(start_run)
    run = register_challenger(start_run)
    measured = run.result("evaluate").metrics
    assert measured["holdout_log_loss"] == measured["champion_holdout_log_loss"]
    verdict = run_programs(run, "gate")
    assert (verdict.status, verdict.verdict) == ("succeeded", "keep")
    assert "not better" in verdict.reasons[-1]
    result = run_programs(run, "promote")
    assert (result.status, result.promoted) == ("succeeded", False)
    champion = models.champion("flight_delay")
    assert champion is not None
    assert champion.version == first.result("register").model_version
    assert run.events("promotion") == []


def test_a_better_model_takes_over_once(start_run: Callable[[str], Any]) -> None:
    first = promote_first(start_run)
    run = register_challenger(start_run, champion_holdout_log_loss=0.7)
    result = run_programs(run, "gate", "promote")
    old, new = (r.result("register").model_version for r in (first, run))
    assert (result.promoted, result.model_version) == (True, new)
    assert old != new
    again = run_programs(run, "promote")
    assert again.promoted is True
    assert "already" in again.reason
    assert [event["details"]["from"] for event in run.events("promotion")] == [old]
    # rolled back by a person: clearing the task must not promote again
    models.set_champion(models.resolve("flight_delay", old))
    rolled_back = run_programs(run, "promote")
    assert rolled_back.promoted is False
    champion = models.champion("flight_delay")
    assert champion is not None
    assert champion.version == old


def test_a_promotion_whose_alias_moved_before_the_ledger_was_written_is_completed(
    start_run: Callable[[str], Any],
) -> None:
    run = start_run("a")
    run_programs(run, "evaluate", "register", "gate")
    models.set_champion(models.resolve("flight_delay", run.result("register").model_version))
    assert run_programs(run, "promote").promoted is True
    assert len(run.events("promotion")) == 1


def test_a_run_cleared_after_its_promotion_is_judged_as_it_was(start_run: Callable[[str], Any]) -> None:
    run = promote_first(start_run)
    before = {task: run.result(task) for task in ("evaluate", "gate")}
    result = run_programs(run, "evaluate", "register", "gate", "promote")
    assert result.promoted is True
    assert run.result("evaluate").metrics == before["evaluate"].metrics
    assert own_fields(run.result("gate")) == own_fields(before["gate"])
    assert run.result("gate").verdict == "promote"
    assert len(run.events("promotion")) == 1


def test_a_promotion_that_died_before_the_ledger_was_written_is_completed_by_clearing_the_run(
    start_run: Callable[[str], Any],
) -> None:
    first = promote_first(start_run)
    old = first.result("register").model_version
    run = register_challenger(start_run, champion_holdout_log_loss=0.7)
    new = run.result("register").model_version
    assert run_programs(run, "gate").verdict == "promote"
    models.set_champion(models.resolve("flight_delay", new))  # and then the process died
    evaluated = run_programs(run, "evaluate")
    assert evaluated.champion_version == old
    run.change("evaluate", champion_holdout_log_loss=0.7)
    assert run_programs(run, "register", "gate", "promote").promoted is True
    assert [event["details"]["from"] for event in run.events("promotion")] == [old]


def test_a_model_that_needs_approval_is_promoted_only_once_the_ledger_has_it(
    start_run: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    strict = replace(USE_CASE, gate=replace(USE_CASE.gate, approval=True))
    monkeypatch.setattr(promote, "load_use_case", lambda name: strict)
    run = start_run("a")
    version = run_programs(run, "evaluate", "register", "gate").model_version
    spec = run.spec("approve")

    def answer(approved: bool, model_version: str) -> None:
        event = ledger.Event.of(spec, "approval", model_version=model_version, details={"approved": approved})
        ledger.record(Lake(spec.lake), event)

    answer(True, "99")  # another version's
    assert f"version {version} has not been approved" in run_programs(run, "promote").error
    answer(False, version)
    assert f"version {version} was rejected" in run_programs(run, "promote").error
    assert models.champion("flight_delay") is None
    answer(True, version)  # asked again
    assert run_programs(run, "promote").promoted is True


def test_another_promotion_in_between_stops_this_one(start_run: Callable[[str], Any]) -> None:
    run = start_run("late")
    run_programs(run, "evaluate", "register", "gate")
    other = register_challenger(start_run)
    models.set_champion(models.resolve("flight_delay", other.result("register").model_version))
    result = run_programs(run, "promote")
    assert (result.status, result.error_kind) == ("failed", "gate")
    assert "became champion after the gate" in result.error
    # and the gate, asked again, has not seen that champion
    assert "was not evaluated on this holdout" in run_programs(run, "gate").error


@pytest.mark.parametrize(
    ("metrics", "message"),
    [({"holdout_auc": 0.5}, "auc 0.5000 misses the floor"), ({"holdout_rows": 10.0}, "the holdout has 10 rows")],
)
def test_a_first_model_below_the_floors_fails_red_with_its_figures(
    start_run: Callable[[str], Any], metrics: dict[str, float], message: str
) -> None:
    run = start_run("a")
    run_programs(run, "evaluate", "register")
    run.change("evaluate", **metrics)
    result = run_programs(run, "gate")
    assert (result.status, result.error_kind) == ("failed", "gate")
    assert message in result.error
    assert models.champion("flight_delay") is None
    promoted = run_programs(run, "promote")
    assert promoted.status == "failed"
    assert "`gate` has failed" in promoted.error


def test_a_model_below_the_floors_keeps_the_champion_green(start_run: Callable[[str], Any]) -> None:
    promote_first(start_run)
    run = register_challenger(start_run, holdout_auc=0.59, champion_holdout_log_loss=0.7)
    verdict = run_programs(run, "gate")
    assert (verdict.status, verdict.verdict) == ("succeeded", "keep")
    assert run_programs(run, "promote").promoted is False


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (((date(2013, 1, 2), date(2013, 1, 26)),), "was trained on 5 of the 14 holdout days"),
        ((), "the training days of champion version 1 are not known"),
        (((date(2013, 1, 2), date(2013, 1, 21)),), ""),
    ],
)
def test_a_champion_that_has_seen_the_holdout_is_named_wherever_the_verdict_is(
    start_run: Callable[[str], Any], seen: tuple[tuple[date, date], ...], said: str
) -> None:
    import mlflow

    run = start_run("first")
    uri = f"{run.spec('train').output}/model"
    mine = TabularModel.load(uri)
    assert mine.card.seen == ((date(2013, 1, 2), date(2013, 1, 21)),)
    saved = save(uri, replace(mine.card, seen=seen), mine.members, mine.profile)
    run.change_values("train", model_sha256=saved.sha256)
    assert run_programs(run, "evaluate", "register", "gate", "promote").promoted is True
    later = start_run("later")
    gate = run_programs(later, "evaluate", "register", "gate")
    (event,) = later.events("gate")
    version = mlflow.MlflowClient().get_model_version("flight_delay", gate.model_version)
    for text in (" ".join(gate.reasons), event["reason"], version.tags["nightjar.verdict_reasons"],
                 version.description):  # fmt: skip
        assert said in text
        assert ("champion version 1 was trained on" in text or "are not known" in text) == bool(said)


def test_a_model_of_another_evaluation_is_not_judged(start_run: Callable[[str], Any]) -> None:
    run = start_run("a")
    run_programs(run, "evaluate", "register")
    spec = run.spec("evaluate")
    path = Path(f"{spec.output}/result.json")
    path.write_text(path.read_text().replace(run.result("evaluate").sha256["full"], "0" * 64))
    with pytest.raises(GateError, match="measured another model"):
        gate.run(run.spec("gate"))
