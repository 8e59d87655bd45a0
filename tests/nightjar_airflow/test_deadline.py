from __future__ import annotations

import asyncio
import logging

import pytest

from nightjar_airflow.notifiers.deadline import night_is_late


@pytest.mark.parametrize(("run_type", "said"), [("scheduled", 1), ("backfill", 0), ("manual", 0)])
def test_only_a_scheduled_night_is_late(run_type: str, said: int, caplog: pytest.LogCaptureFixture) -> None:
    run = {"dag_run_id": "scheduled__x", "run_type": run_type}
    with caplog.at_level(logging.ERROR):
        asyncio.run(night_is_late("flight_delay_nightly", 60, {"dag_run": run}))
    assert len(caplog.records) == said
    assert all("run scheduled__x was not done 60 minutes after its time" in r.getMessage() for r in caplog.records)
