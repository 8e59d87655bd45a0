"""Files of the lake that the server shows; access is tested against the real Airflow."""

from __future__ import annotations

import os
import subprocess
import sys
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


@pytest.mark.parametrize(
    ("argument", "module", "views"),
    [("scheduler", "other", 0), ("api-server", "other", 1), ("main:app", "airflow.api_fastapi.main", 1)],
)
def test_every_api_server_serves_the_view_and_no_other_process(argument: str, module: str, views: int) -> None:
    program = f"""
import sys, types
sys.argv = ["airflow", {argument!r}]
sys.modules.setdefault({module!r}, types.ModuleType({module!r}))
from nightjar_plugin import NightjarPlugin
print(len(NightjarPlugin.fastapi_apps))
"""
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert printed.splitlines()[-1] == str(views)


def test_a_report_is_shown(client: TestClient) -> None:
    shown = client.get("/reports/flight_delay/2013-04-01/drift.html")
    assert (shown.status_code, shown.text) == (200, "<svg>")
    assert shown.headers["content-type"].startswith("text/html")


def test_what_a_symbolic_link_leads_to_outside_is_not_there(client: TestClient, lake: str, tmp_path: Path) -> None:
    reports = Path(lake) / "reports"
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.html").write_text("secret")
    links = {
        "passwd": Path("/etc/passwd"), "absolute.html": outside / "secret.html", "folder": outside,
        "relative.html": Path("../raw/secret"), "parent": Path(".."), "root": Path("/"), "loop": Path("loop"),
        "chain.html": Path("absolute.html"), "docs": Path("../data_docs"), "environ": Path("/proc/self/environ"),
        "zero": Path("/dev/zero"),
    }  # fmt: skip
    for name, target in links.items():
        (reports / name).symlink_to(target)
    os.mkfifo(reports / "pipe")
    (Path(lake) / "data_docs").symlink_to(outside)
    paths = (
        *links, "folder/secret.html", "parent/raw/secret", "root/etc/passwd", "docs/secret.html", "pipe",
        "folder/../folder/secret.html", "flight_delay/2013-04-01/drift.html/x", "x" * 300,
    )  # fmt: skip
    for path in (*(f"/reports/{name}" for name in paths), "/data_docs/secret.html"):
        assert client.get(path).status_code == 404, path


def test_a_link_from_report_to_report_and_a_lake_behind_a_link_are_shown(
    client: TestClient, lake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (Path(lake) / "reports" / "latest").symlink_to("flight_delay/2013-04-01")
    (tmp_path / "linked").symlink_to(lake)
    monkeypatch.setenv("NIGHTJAR_LAKE", str(tmp_path / "linked"))
    assert client.get("/reports/latest/drift.html").text == "<svg>"


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
