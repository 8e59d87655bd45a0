"""Approval by a person between gate and promotion."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from kubernetes_double import eventually
from tests.program_results import neutral_result

from nightjar.lake import files, ledger
from nightjar.lake.lake import Lake
from nightjar.local.airflow_login import USER
from nightjar.protocol.documents import dump_json
from nightjar.protocol.job import JobResult, JobSpec
from nightjar.protocol.results import GateResult
from nightjar_airflow.dags import build_training_dag
from nightjar_airflow.operators.approve import ApproveOperator
from use_cases.flight_delay.use_case import USE_CASE

STEP_SECONDS = 120
DAG = "approvals"
DAG_FILE = """
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

from nightjar_airflow.operators.approve import ApproveOperator
from use_cases.flight_delay.use_case import USE_CASE

with DAG("approvals", schedule=None, params={"force": False}):
    ApproveOperator(use_case=USE_CASE) >> EmptyOperator(task_id="promote")
"""
ANSWERED = datetime(2013, 4, 2, 9, 30, tzinfo=UTC)


def judge(lake: str, run_id: str, *, verdict: str = "promote", champion: str | None = "4") -> JobSpec:
    """Write the result of a run's ``gate``."""
    spec = JobSpec(
        program="gate",
        use_case="flight_delay",
        first_night=date(2013, 1, 1),
        last_night=date(2013, 3, 31),
        dag_id=DAG,
        run_id=run_id,
        task_id="gate",
        lake=lake,
    )
    result = neutral_result(
        GateResult,
        spec_fingerprint=spec.fingerprint,
        metrics={
            "holdout_auc": 0.7412341,
            "holdout_rows": 12345.0,
            **({"champion_holdout_auc": 0.7312331, "champion_holdout_rows": 12345.0} if champion else {}),
        },
        verdict=verdict,
        reasons=(
            "auc 0.7412 meets the floor 0.7",
            "auc 0.741234 against 0.731234 of champion version 4: better",
        ),
        model_version="5",
        champion_version=champion,
        links={"mlflow_model": "http://127.0.0.1:5000/#/models/flight_delay/versions/5"},
    )
    files.write_text(f"{spec.output}/spec.json", dump_json(spec))
    files.write_text(f"{spec.output}/result.json", dump_json(result))
    return spec


def context(run_id: str) -> Any:
    return {
        "dag_run": SimpleNamespace(
            dag_id=DAG, run_id=run_id, data_interval_start=None, run_after=datetime(2013, 4, 2, 6, tzinfo=UTC)
        ),
        "ti": SimpleNamespace(task_id="approve", map_index=-1),
    }


@pytest.fixture
def here(lake: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The environment of a task."""
    monkeypatch.setenv("NIGHTJAR_LAKE", lake)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    return lake


@pytest.mark.parametrize(("approval", "after_gate"), [(True, ["approve"]), (False, ["promote"])])
def test_a_person_is_asked_between_gate_and_promotion_where_the_use_case_says_so(
    approval: bool, after_gate: list[str]
) -> None:
    use_case = replace(USE_CASE, gate=replace(USE_CASE.gate, approval=approval))
    dag = build_training_dag(use_case, doc_md="# Training")
    assert sorted(dag.get_task("gate").downstream_task_ids) == after_gate
    assert dag.get_task("promote").upstream_task_ids == ({"approve"} if approval else {"gate"})
    assert dag.has_task("approve") is approval


def test_a_gate_that_has_left_nothing_is_asked_for_first(here: str) -> None:
    with pytest.raises(AirflowFailException, match=r"`gate` was not run .* do: clear `gate` of this run"):
        ApproveOperator(use_case=USE_CASE).execute(context("r"))


def test_a_gate_that_has_failed_is_asked_for_first(here: str) -> None:
    spec = judge(here, "r")
    failed = JobResult(status="failed", program="gate", spec_fingerprint=spec.fingerprint, error="no holdout")
    files.write_text(f"{spec.output}/result.json", dump_json(failed))
    with pytest.raises(AirflowFailException, match="`gate` has failed: no holdout"):
        ApproveOperator(use_case=USE_CASE).execute(context("r"))


def test_an_answer_that_the_ledger_does_not_take_is_none(here: str, monkeypatch: pytest.MonkeyPatch) -> None:
    judge(here, "r")
    monkeypatch.setenv("PYTHONPATH", here)
    files.write_text(f"{here}/deltalake.py", "raise ImportError('broken')")
    event = {
        "chosen_options": ["Approve"],
        "params_input": {"comment": "fine"},
        "responded_at": ANSWERED,
        "responded_by_user": {"id": "7", "name": "ada"},
    }
    with pytest.raises(
        AirflowException, match=r"version 5 was approved by ada, but the ledger did not record it"
    ) as no:
        ApproveOperator(use_case=USE_CASE).execute_complete(context("r"), event)
    assert type(no.value) is AirflowException, "the retry asks again"


@pytest.mark.e2e
@pytest.mark.timeout(600)
def test_people_decide_through_airflow(here: str, standalone: Any, tmp_path: Path) -> None:
    spec = judge(here, "approved")
    judge(here, "rejected", champion=None)
    judge(here, "kept", verdict="keep")
    scheduler_log = tmp_path / "var" / "logs" / "airflow-scheduler.log"
    with standalone(DAG, DAG_FILE, {"NIGHTJAR_LAKE": here}) as api:

        def states(run_id: str) -> dict[str, str | None]:
            return {task.task_id: task.state for task in api.tasks(DAG, run_id)}

        def details(run_id: str) -> str:
            return f"/dags/{DAG}/dagRuns/{run_id}/taskInstances/approve/-1/hitlDetails"

        def worker_ended(run_id: str) -> bool:
            return f"task_id=approve, run_id={run_id}," in scheduler_log.read_text()

        for run_id in ("approved", "rejected", "kept"):
            api.trigger(DAG, run_id, conf={})
        eventually(lambda: api.run_state(DAG, "kept") == "success", STEP_SECONDS)
        assert states("kept") == {"approve": "success", "promote": "success"}
        for run_id in ("approved", "rejected"):
            eventually(lambda run_id=run_id: states(run_id)["approve"] == "awaiting_input", STEP_SECONDS)  # type: ignore[misc]
            # An answer before the scheduler has noted this fails the task in Airflow 3.3 (apache/airflow#72716).
            eventually(lambda run_id=run_id: worker_ended(run_id), STEP_SECONDS)  # type: ignore[misc]

        asked = api._call("GET", details("approved"))
        assert asked["subject"] == "flight_delay: make version 5 champion?"
        for line in (
            "- auc 0.7412 meets the floor 0.7",
            "| On the holdout | Version 5 | Champion, version 4 |",
            "| auc | 0.741234 | 0.731233 |",
            "| rows | 12,345 | 12,345 |",
            "[mlflow model](http://127.0.0.1:5000/#/models/flight_delay/versions/5)",
        ):
            assert line in asked["body"].splitlines()
        assert list(asked["params"]) == ["comment"]
        assert "in place of version 4" in asked["body"]
        assert "it becomes champion, the first one" in api._call("GET", details("rejected"))["body"]

        yes = {"chosen_options": ["Approve"], "params_input": {"comment": "as good as the notebook's"}}
        api._call("PATCH", details("approved"), json=yes)
        api._call("PATCH", details("rejected"), json={"chosen_options": ["Reject"], "params_input": {}})
        for run_id in ("approved", "rejected"):
            eventually(lambda run_id=run_id: api.run_state(DAG, run_id) == "success", STEP_SECONDS)  # type: ignore[misc]
        assert states("approved") == {"approve": "success", "promote": "success"}
        assert states("rejected") == {"approve": "success", "promote": "skipped"}

    events = {event["run_id"]: event for event in ledger.read(Lake(here), event="approval").to_pylist()}
    assert sorted(events) == ["approved", "rejected"], "where nothing is asked nothing is recorded"
    approved, rejected = events["approved"], events["rejected"]
    assert (approved["actor"], approved["reason"]) == (USER, f"approved by {USER}: as good as the notebook's")
    assert (rejected["actor"], rejected["reason"]) == (USER, f"rejected by {USER}")
    assert (approved["ds"], approved["task_id"], approved["model_version"]) == (spec.last_night, "approve", "5")
    said = json.loads(approved["details"])
    assert (said["approved"], said["user_id"], said["comment"]) == (True, USER, "as good as the notebook's")
    assert abs((approved["recorded_at"] - datetime.fromisoformat(said["answered_at"])).total_seconds()) < STEP_SECONDS
    assert json.loads(rejected["details"])["approved"] is False
