"""A training task that is killed, cleared or out of time, and what becomes of its Job."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowTaskTimeout, TaskDeferred
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from kubernetes_double import eventually
from tests.nightjar_airflow.cluster_programs import WAITS

from nightjar_airflow.cluster import api

pytestmark = pytest.mark.e2e


def deferred_task(deployment: Any) -> Any:
    """Return a task that waits for a training whose ranks all run."""
    deployment.image(WAITS)
    task = deployment.task()
    task.defer()
    deployment.all_run()
    return task


class TestCancelling:
    def test_a_kill_of_the_deferred_task_cancels_job_service_and_pods(
        self, deployment: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        trigger = self._deferred(deployment, monkeypatch, state="failed")
        asyncio.run(trigger.on_kill())
        eventually(lambda: not deployment.cluster.jobs())
        deployment.assert_no_orphans()

    def test_a_kill_that_airflow_interrupts_cancels_nevertheless(
        self, deployment: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        trigger = self._deferred(deployment, monkeypatch, state="failed")

        async def interrupted() -> None:
            killing = asyncio.create_task(trigger.on_kill())
            await asyncio.sleep(0)
            killing.cancel("user-action")
            with pytest.raises(asyncio.CancelledError):
                await killing
            assert deployment.cluster.jobs()
            await asyncio.to_thread(eventually, lambda: not deployment.cluster.jobs())

        asyncio.run(interrupted())

    def test_a_cleared_task_has_no_state_and_cancels_too(
        self, deployment: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        trigger = self._deferred(deployment, monkeypatch, state=None)
        asyncio.run(trigger.on_kill())
        eventually(lambda: not deployment.cluster.jobs())

    def test_a_trigger_that_went_to_another_triggerer_leaves_the_job_alone(
        self, deployment: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        trigger = self._deferred(deployment, monkeypatch, state="deferred")
        asyncio.run(trigger.on_kill())
        assert "deletionTimestamp" not in deployment.cluster.jobs()[0]["metadata"]
        assert deployment.cluster.running_processes() == 2

    def test_the_new_try_of_a_cleared_task_makes_its_own_job_when_the_old_one_goes(self, deployment: Any) -> None:
        deployment.image(WAITS)
        deployment.task().defer()
        deployment.all_run()
        cleared = deployment.task(try_number=2)
        cleared.defer()
        first = deployment.cluster.jobs()[0]["metadata"]["name"]
        gone = cleared.wait_while(lambda: deployment.cluster.delete("jobs", "ml", first))
        assert gone["ending"] == "gone"
        deployment.signal("go")
        with pytest.raises(TaskDeferred) as raised:
            cleared.resume(gone)
        cleared.deferred = raised.value
        cleared.resume(cleared.wait())
        assert [job["metadata"]["name"][-2:] for job in deployment.cluster.jobs()] == ["-2"]

    def test_a_cleared_task_that_is_quicker_than_the_old_trigger_makes_its_own_job(self, deployment: Any) -> None:
        deployment.image(WAITS)
        deployment.task().defer()
        deployment.all_run()
        (first,) = deployment.cluster.jobs()
        deployment.task(try_number=2, max_tries=3).defer()  # clearing raises max_tries; a retry does not
        eventually(
            lambda: first["metadata"]["uid"] not in [job["metadata"]["uid"] for job in deployment.cluster.jobs()]
        )
        assert [job["metadata"]["name"][-2:] for job in deployment.cluster.jobs()] == ["-2"]

    def test_a_kill_while_the_job_is_being_made_leaves_none(
        self, deployment: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        deployment.image(WAITS)
        deployment.cluster.fault("POST", "/services", status=503, retry_after=1)
        task = deployment.task()
        previous = signal.signal(signal.SIGALRM, lambda *_: task.operator.on_kill())

        def kill_while_the_service_is_refused() -> None:
            eventually(
                lambda: any("POST" in line and "/services" in line for line in deployment.cluster.server.requests)
            )
            os.kill(os.getpid(), signal.SIGALRM)

        killer = threading.Thread(target=kill_while_the_service_is_refused)
        try:
            killer.start()
            with pytest.raises(AirflowFailException, match=r"the training was stopped"):
                task.operator.execute(task.context)
        finally:
            killer.join()
            signal.signal(signal.SIGALRM, previous)
        eventually(lambda: not deployment.cluster.jobs())
        deployment.assert_no_orphans()

    def test_the_tasks_time_limit_cancels_the_job_and_may_be_retried(self, deployment: Any) -> None:
        deployment.image(WAITS)
        task = deployment.task(execution_timeout=timedelta(seconds=2))
        task.defer()
        event = task.wait_while(deployment.all_run)
        assert event["ending"] == "timed_out"
        with pytest.raises(AirflowTaskTimeout, match=r"execution_timeout was over"):
            task.resume(event)
        eventually(lambda: not deployment.cluster.jobs())
        deployment.assert_no_orphans()

    @staticmethod
    def _deferred(deployment: Any, monkeypatch: pytest.MonkeyPatch, *, state: str | None) -> Any:
        """Return a trigger whose task is in ``state``."""
        task = deferred_task(deployment)
        states = {"r-1": {"train": state} if state else {}}
        monkeypatch.setattr(RuntimeTaskInstance, "get_task_states", lambda **_: states)
        trigger = task.trigger()
        trigger._task_instance = SimpleNamespace(
            dag_id="flight_delay_training", task_id="train", run_id="r-1", map_index=-1
        )
        return trigger


class TestCancellations:
    @pytest.mark.parametrize("collector", ["another task", "a trigger"])
    def test_a_job_that_could_not_be_cancelled_is_cancelled_later(
        self, deployment: Any, monkeypatch: pytest.MonkeyPatch, collector: str
    ) -> None:
        monkeypatch.setattr(api, "ATTEMPTS", 2)
        task = deferred_task(deployment)
        (job,) = deployment.cluster.jobs()
        other = deployment.task(map_index=1)
        if collector == "a trigger":
            other.defer()
        deployment.cluster.fault(f"/jobs/{job['metadata']['name']}", status=503, times=1_000)
        self._mark_failed(task, monkeypatch)
        assert len(list(Path(deployment.lake, "_runs/_cancelled_jobs").iterdir())) == 1
        deployment.cluster.server.faults.clear()
        if collector == "a trigger":
            other.wait_while(lambda: self._wait_until_gone(deployment, job), lambda: deployment.signal("go"))
        else:
            other.defer()
            self._wait_until_gone(deployment, job)
        assert not list(Path(deployment.lake, "_runs/_cancelled_jobs").iterdir())

    def test_a_running_triggerer_keeps_trying(self, deployment: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(api, "ATTEMPTS", 1)
        task = deferred_task(deployment)
        (job,) = deployment.cluster.jobs()
        deployment.cluster.fault(f"/jobs/{job['metadata']['name']}", status=503, times=3)
        self._mark_failed(task, monkeypatch, seconds=None)
        self._wait_until_gone(deployment, job)

    def test_a_later_job_of_the_same_name_is_left_alone(self, deployment: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(api, "ATTEMPTS", 1)
        task = deferred_task(deployment)
        (job,) = deployment.cluster.jobs()
        deployment.cluster.fault(f"/jobs/{job['metadata']['name']}", status=503, times=1_000)
        self._mark_failed(task, monkeypatch)
        deployment.cluster.server.faults.clear()
        later = {"creationTimestamp": "2099-01-01T00:00:00Z"}
        deployment.cluster.store.update("jobs", "ml", job["metadata"]["name"], lambda j: j["metadata"].update(later))
        deployment.task(map_index=1).defer()
        assert _job_names(deployment) >= {job["metadata"]["name"]}
        assert not any("deletionTimestamp" in job["metadata"] for job in deployment.cluster.jobs())

    @staticmethod
    def _mark_failed(task: Any, monkeypatch: pytest.MonkeyPatch, *, seconds: float | None = 0.5) -> None:
        """Mark the task failed; its triggerer goes away after some seconds, or stays until all is done."""
        monkeypatch.setattr(RuntimeTaskInstance, "get_task_states", lambda **_: {"r 1": {"train": "failed"}})
        trigger = task.trigger()
        trigger._task_instance = SimpleNamespace(dag_id="d", task_id="train", run_id="r 1", map_index=-1)

        async def killed() -> None:
            with pytest.raises(TimeoutError) if seconds else nullcontext():
                await asyncio.wait_for(trigger.on_kill(), seconds or 20)

        asyncio.run(killed())

    @staticmethod
    def _wait_until_gone(deployment: Any, job: Any) -> None:
        eventually(lambda: job["metadata"]["name"] not in _job_names(deployment))


def _job_names(deployment: Any) -> set[str]:
    return {job["metadata"]["name"] for job in deployment.cluster.jobs()}
