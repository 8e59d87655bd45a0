"""A training task whose connection to the cluster breaks off or is refused."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException
from kubernetes_double import eventually
from tests.nightjar_airflow.cluster_programs import SUCCEEDS, WAITS

from nightjar_airflow.cluster import api

pytestmark = pytest.mark.e2e


class TestUnreliableConnection:
    def test_busy_and_failing_servers_are_asked_again(self, deployment: Any) -> None:
        deployment.image(SUCCEEDS)
        for method, path in (("GET", "/jobs"), ("POST", "/jobs"), ("POST", "/services"), ("GET", "/pods?label")):
            deployment.cluster.fault(method, path, status=429, retry_after=0)
            deployment.cluster.fault(method, path, status=500)
            deployment.cluster.fault(method, path, status=0)
        assert deployment.task().run()["metrics"]

    def test_broken_watches_and_logs_lose_and_repeat_nothing(
        self, deployment: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        deployment.image("""
        for name in ("a", "b", "c"):
            until(name)
            print("line", name, flush=True)
        if rank == 0:
            finish()
        """)
        task = deployment.task()
        task.defer()
        cluster = deployment.cluster

        def heard() -> str:
            read.append(capsys.readouterr().out)
            return "".join(read)

        def lists() -> int:
            return sum("GET" in r and "/pods?" in r and "watch" not in r for r in cluster.server.requests)

        read: list[str] = []

        def disturb() -> None:
            deployment.all_run()
            for name in ("a", "b", "c"):
                deployment.signal(name)
                eventually(lambda line=f"line {name}": line in heard())  # type: ignore[misc]
                before = lists()
                cluster.store.forget_history()
                cluster.server.cut_streams()
                if name != "c":  # after the last one the job may be over first
                    eventually(lambda before=before: lists() > before)  # type: ignore[misc]

        task.resume(task.wait_while(disturb))
        said = heard()
        assert [said.count(f"line {name}") for name in ("a", "b", "c")] == [1, 1, 1]
        assert lists() >= 3, "after 410 Gone all objects are listed again"
        watches = [line for line in cluster.server.requests if "watch=true" in line]
        assert len(watches) > 6

    def test_a_server_that_stays_away_is_an_error_and_the_job_is_left_for_the_next_try(
        self, deployment: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        deployment.image(WAITS)
        task = deployment.task()
        task.defer()
        deployment.all_run()
        deployment.cluster.fault("GET", status=503, times=10_000)
        monkeypatch.setattr(api, "ATTEMPTS", 2)
        monkeypatch.setattr("nightjar_airflow.cluster.mirror.UNREACHABLE_SECONDS", 0.2)
        event = task.wait()
        with pytest.raises(AirflowException, match=r"does not answer .HTTP 503.") as raised:
            task.resume(event)
        assert type(raised.value) is AirflowException
        deployment.cluster.server.faults.clear()
        retry = deployment.task(try_number=2)
        retry.defer()
        retry.resume(retry.wait_while(lambda: deployment.signal("go")))
        assert len(deployment.cluster.jobs()) == 1

    def test_after_the_last_try_an_unseen_job_is_cancelled(self, deployment: Any) -> None:
        deployment.image(WAITS)
        task = deployment.task(try_number=3)
        task.defer()
        deployment.all_run()
        event = {"ending": "unreachable", "kind": "unreachable", "what": "away", "where": "here", "fix": "wait"}
        with pytest.raises(AirflowException, match=r"away"):
            task.resume(event)
        eventually(lambda: not deployment.cluster.jobs())
        deployment.assert_no_orphans()
