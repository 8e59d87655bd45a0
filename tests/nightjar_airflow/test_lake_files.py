"""Which files of the lake the server shows; who may see them is tested against the real Airflow."""

from __future__ import annotations

from pathlib import Path

import pytest
from airflow.api_fastapi.core_api.security import get_user
from fastapi.testclient import TestClient

from nightjar_airflow.views.lake_files import app


@pytest.fixture
def client(lake: str, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    """Somebody who is logged in, and a lake with one report."""
    monkeypatch.setenv("NIGHTJAR_LAKE", lake)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    report = Path(lake) / "reports" / "flight_delay" / "2013-04-01"
    report.mkdir(parents=True)
    (report / "drift.html").write_text("<svg>")
    (Path(lake) / "raw").mkdir()
    (Path(lake) / "raw" / "secret").write_text("x")
    monkeypatch.setitem(app.dependency_overrides, get_user, lambda: "somebody")
    return TestClient(app)


def test_a_report_is_shown(client: TestClient) -> None:
    shown = client.get("/reports/flight_delay/2013-04-01/drift.html")
    assert (shown.status_code, shown.text) == (200, "<svg>")
    assert shown.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(
    "path",
    [
        "/reports",
        "/reports/flight_delay",
        "/reports/flight_delay/2013-04-01/",
        "/reports/nothing.html",
        "/reports/a%00b",
        "/reports/..%2fraw/secret",
        "/raw/secret",
        "/",
    ],
)
def test_everything_else_is_not_there(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404
