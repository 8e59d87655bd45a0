from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from nightjar_airflow.links.result_links import MlflowRunLink, ReportLink


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTJAR_LAKE", "/lake")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")


def link(kind: type[Any], base_url: str, monkeypatch: pytest.MonkeyPatch, **links: str) -> str:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", base_url)
    address: str = kind().get_link(SimpleNamespace(links=links), ti_key=None)
    return address


@pytest.mark.parametrize(("base_url", "prefix"), [("http://127.0.0.1:8081", ""), ("https://x.example/air/", "/air")])
def test_a_file_of_the_lake_is_shown_by_the_server_that_one_looks_at(
    base_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = link(ReportLink, base_url, monkeypatch, report="/lake/reports/flight_delay/2013-04-01/drift.html")
    assert shown == f"{prefix}/nightjar/files/reports/flight_delay/2013-04-01/drift.html"


def test_other_addresses_stay_and_a_missing_one_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    run = "http://127.0.0.1:5000/#/experiments/1/runs/a"
    assert link(MlflowRunLink, "http://127.0.0.1:8080", monkeypatch, mlflow_run=run) == run
    assert link(ReportLink, "http://127.0.0.1:8080", monkeypatch) == ""
