"""Any content of files, answers and connections read by Airflow is reported by name or handled as documented."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.hostile_documents import NOT_AN_OBJECT, NOT_JSON, check, hostile

from nightjar.monitoring.incidents.notifications import LastNotification, NotificationState
from nightjar.processes import Process
from nightjar.protocol.documents import dump_values
from nightjar.protocol.errors import ConfigurationError
from nightjar.protocol.programs import ApplicationFolder
from nightjar_airflow.cluster import cancellations
from nightjar_airflow.cluster.api_error import ApiError
from nightjar_airflow.cluster.mirror import Mirror
from nightjar_airflow.cluster.settings import ClusterSettings
from nightjar_airflow.cluster.template import read_template
from nightjar_airflow.hooks.spark_application import SparkApplicationHook
from nightjar_airflow.notifiers import alert, deadline, incidents


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch, lake: str) -> None:
    monkeypatch.setenv("NIGHTJAR_LAKE", lake)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")


def test_what_people_know_of_incidents_of_any_content_is_read_or_said_once_more(lake: str) -> None:
    told = NotificationState(
        last_night=date(2013, 4, 2),
        open={"drift": LastNotification(night=date(2013, 4, 1), severity="warn")},
        unsent=("x",),
    )
    file = Path(lake, "monitoring/_notified/shop.json")
    check(file, dump_values(told), lambda: incidents.read_notification_state("shop"), fallback=NotificationState())


def test_what_people_know_of_late_nights_of_any_content_is_read_or_said_once_more(lake: str) -> None:
    file = Path(lake, "monitoring/_late/shop.json")
    valid = {"first": "2013-04-01", "last_notified": "2013-04-02"}
    check(file, valid, lambda: deadline._since("shop"), fallback=None)


def test_what_people_know_of_failures_of_any_content_is_read_or_said_once_more(lake: str) -> None:
    context: Any = {
        "dag_run": SimpleNamespace(dag_id="d", run_type="scheduled"),
        "ti": SimpleNamespace(task_id="ingest"),
    }
    day = date(2013, 4, 1)
    began = alert.Failing(cause="x", first_run="r", last_run="r", last_due=day, notified_due=day)
    file = Path(lake, "monitoring/_failures/d/ingest.json")
    file.parent.mkdir(parents=True)
    for name, content in hostile(dump_values(began)):
        file.write_bytes(b'{"failing": [' + content + b"]}")
        assert all(failing.with_failure("r 2", date(2013, 4, 3), None) for failing in alert._known(context)), name
        file.write_bytes(content)
        assert alert._known(context) == [], name


def test_files_of_the_spark_application_of_any_content_are_read_or_none_serves(lake: str) -> None:
    folder = ApplicationFolder(f"{lake}/_spark")
    hook = SparkApplicationHook(folder)
    here = asdict(Process.of(os.getpid()))
    check(Path(folder.current), {"start": "s", "launcher": here, "code": "c"}, hook._current, fallback=None)
    check(Path(folder.current), {"start": "s", "launcher": here, "code": "c"}, hook._launcher, fallback=None)
    Path(folder.current).write_text(json.dumps({"start": "s", "launcher": None, "code": "c"}))
    hook._attach()
    start = folder.of_start("s")
    check(Path(start.heartbeat), {"count": 1, "at": 1.5, "task": ""}, hook._heartbeat, fallback=None)
    check(Path(start.state), {"application_id": "a", "process": here}, hook._driver, fallback=None)


def test_jobs_to_cancel_of_any_content_are_read_or_left(lake: str) -> None:
    file = Path(lake, cancellations.FOLDER, "job.json")
    valid = {"conn_id": "c", "namespace": "ml", "job": "job", "asked_at": datetime.now(UTC).isoformat()}
    check(file, valid, cancellations._pending, fallback=[])


def test_a_watch_of_any_content_is_begun_again() -> None:
    pod = {"metadata": {"name": "p", "resourceVersion": "1"}}
    mirror = Mirror(SimpleNamespace(), "/pods", {}, lambda objects, deleted: None)  # type: ignore[arg-type]
    mirror._take(json.dumps({"type": "ADDED", "object": pod}).encode())
    for content in [*NOT_JSON.values(), *NOT_AN_OBJECT.values(), b"{}", b'{"type": "ADDED", "object": null}']:
        with pytest.raises(ApiError) as caught:
            mirror._take(content)
        assert caught.value.passing, "the watch is taken up where it stopped"


@pytest.mark.parametrize("content", [*NOT_JSON.values(), *NOT_AN_OBJECT.values(), b"{}"])
@pytest.mark.parametrize("retry_after", [None, "2", "\u00b2", "9" * 5000, "-1", "Wed, 21 Oct 2015"])
def test_a_refusal_of_any_content_is_one_of_a_proxy(content: bytes, retry_after: str | None) -> None:
    error = ApiError.of_body(502, content, retry_after)
    assert not error.of_server
    assert error.retry_after_seconds == (2.0 if retry_after == "2" else 0.0)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[" * 100_000,
        b"a: \xff",
        b"kind: Pod\nmetadata: 2013-99-99",
        b"kind: &a [*a]",
        b"? [a]\n: b",
        b"\x00",
        b"&a [*a]",
        b"kind: " + b"1" * 10_000,
    ],
)
def test_a_pod_template_of_any_content_is_named(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "pod.yaml").write_bytes(text)
    with pytest.raises(ConfigurationError) as caught:
        read_template(f"{tmp_path}/pod.yaml")
    assert caught.value.where.startswith(f"{tmp_path}/pod.yaml")


@pytest.mark.parametrize("training", [[], "x", 7, [["image", "i"]], {"image": None}, {"gpu_types": []}, {"1": 2}])
def test_a_connection_of_any_content_is_named(training: Any) -> None:
    with pytest.raises(ConfigurationError, match="the settings of the cluster are not right") as caught:
        ClusterSettings.from_extra({"namespace": "ml", "training": training}, "training_default")
    assert caught.value.where == "connection training_default, extra.training"
