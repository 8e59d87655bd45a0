"""A failure on Airflow's side is one line in the task's log and one event in the ledger."""

from __future__ import annotations

import json
import logging
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from nightjar.lake import ledger
from nightjar.lake.lake import Lake
from nightjar_airflow.operators.start_spark import StartSparkOperator
from use_cases.flight_delay.use_case import USE_CASE

PARAMS = {"interval_start": None, "interval_end": None, "model_version": None, "force": False}


def start(**params: Any) -> str:
    """Run ``start_spark`` with these params; return what it failed with."""
    run = SimpleNamespace(
        dag_id="flight_delay_nightly",
        run_id="r",
        run_type="manual",
        conf={},
        data_interval_start=datetime(2013, 4, 1, 6, tzinfo=UTC),
        data_interval_end=datetime(2013, 4, 2, 6, tzinfo=UTC),
    )
    context = {
        "dag_run": run,
        "dag": SimpleNamespace(params=PARAMS),
        "params": {**PARAMS, **params},
        "ti": SimpleNamespace(task_id="start_spark", map_index=-1),
    }
    with pytest.raises(AirflowFailException) as failure:
        StartSparkOperator(use_case=USE_CASE).execute(context)
    return str(failure.value)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"colour": "red"}, "unknown param colour"),
        ({"interval_start": "2013-04-01"}, "interval_start is given without interval_end"),
        ({"interval_start": "2999-01-01", "interval_end": "2999-01-01"}, "reaches into the future"),
    ],
)
def test_params_that_cannot_be_are_in_the_ledger(
    params: dict[str, str], message: str, lake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIGHTJAR_LAKE", lake)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    reason = start(**params)
    assert message in reason
    (event,) = ledger.read(Lake(lake), event="failure").to_pylist()
    assert (event["run_id"], event["task_id"], event["ds"]) == ("r", "start_spark", date(2013, 4, 1))
    assert event["reason"] == reason
    assert json.loads(event["details"]) == {"kind": "configuration"}


def test_a_ledger_that_takes_nothing_does_not_hide_the_failure(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NIGHTJAR_LAKE", "relative")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with caplog.at_level(logging.ERROR):
        assert "unknown param colour" in start(colour="red")
    assert "the ledger did not record failure" in caplog.text
