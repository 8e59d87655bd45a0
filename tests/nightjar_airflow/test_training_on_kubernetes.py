"""A training task on a cluster, from operator and trigger to the result, with all failures."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import threading
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowTaskTimeout, TaskDeferred
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from kubernetes_double import eventually

from nightjar.declaration.resources import Resources
from nightjar_airflow.cluster import api

pytestmark = pytest.mark.e2e
SUCCEEDS = """
print(f"rank {rank} of {os.environ['WORLD_SIZE']} at {os.environ['MASTER_ADDR']}", flush=True)
if rank == 0:
    finish(metrics={"validation_auc": 0.75})
"""
WAITS = """
print("rank", rank, "waits", flush=True)
until("go")
print("rank", rank, "goes", flush=True)
if rank == 0:
    finish()
"""


def _while_waiting(task: Any, *acts: Any) -> dict[str, Any]:
    """Let the trigger watch, do something to the cluster once all ranks run, and return the trigger's event."""

    async def both() -> dict[str, Any]:
        watching = asyncio.create_task(_first(task.trigger()))
        for act in acts:
            await asyncio.to_thread(act)
        return await asyncio.wait_for(watching, 30)

    return asyncio.run(both())


async def _first(trigger: Any) -> dict[str, Any]:
    async for event in trigger.run():
        return dict(event.payload)
    raise AssertionError("the trigger ended without an event")


def _all_run(deployment: Any, ranks: int = 2) -> Any:
    return lambda: eventually(lambda: len(deployment.cluster.living) == ranks)


def _no_orphans(deployment: Any) -> None:
    """No process, no pod, no Service and no Job that has not ended."""
    cluster = deployment.cluster
    eventually(lambda: not cluster.running_processes() and not cluster.living)
    eventually(lambda: all(_has_ended(job) for job in cluster.jobs()))
    if not cluster.jobs():
        eventually(lambda: not cluster.store.list("services") and not cluster.pods())


def _has_ended(job: dict[str, Any]) -> bool:
    return bool({"Failed", "Complete"} & {condition["type"] for condition in job["status"]["conditions"]})


def test_a_training_succeeds_and_its_log_is_the_tasks(deployment: Any, capsys: pytest.CaptureFixture[str]) -> None:
    deployment.image(SUCCEEDS)
    summary = deployment.task().run()
    assert summary["metrics"] == {"validation_auc": 0.75}
    said = capsys.readouterr().out
    assert said.count("rank 0 of 2 at 127.") == 1
    assert "rank 1 of 2 at" not in said, "only the first rank's log is streamed"
    assert re.search("rank 1 is (running|succeeded) on node-1", said), "it may end before it is looked at"
    _no_orphans(deployment)
    (job,) = deployment.cluster.jobs()
    assert job["spec"]["ttlSecondsAfterFinished"] == 86400


def test_the_ranks_get_the_launch_contract_and_nothing_of_the_workers_environment(deployment: Any) -> None:
    deployment.image(SUCCEEDS)
    deployment.cluster.secrets["lake-keys"] = {"AWS_SECRET_ACCESS_KEY": "s3cr3t"}
    deployment.connect(env_from_secrets=[{"name": "lake-keys"}], checkpoints="/checkpoints")
    deployment.task(resources=Resources(cpus=3, memory_gib=2)).run()
    first, second = sorted(deployment.cluster.kubelet.environments.values(), key=lambda e: e["RANK"])
    assert (
        (first["RANK"], second["RANK"]) == ("0", "1") == (first["JOB_COMPLETION_INDEX"], second["JOB_COMPLETION_INDEX"])
    )
    assert first["MASTER_ADDR"] == second["MASTER_ADDR"]
    assert second["WORLD_SIZE"] == "2"
    assert second["OMP_NUM_THREADS"] == "3"
    assert second["NIGHTJAR_LAKE"] == deployment.lake
    assert second["NIGHTJAR_CHECKPOINTS"] == "/checkpoints"
    assert second["AWS_SECRET_ACCESS_KEY"] == "s3cr3t"
    assert "AIRFLOW_HOME" not in second


def test_instances_of_a_mapped_task_have_a_job_and_a_result_each(deployment: Any) -> None:
    deployment.image("""
        if rank == 0:
            finish(metrics={"index": float(spec.map_index)})
    """)
    tasks = [deployment.task(map_index=index) for index in (0, 1)]
    for task in tasks:
        task.defer()
    events = [task.wait() for task in tasks]
    summaries = [task.resume(event) for task, event in zip(tasks, events, strict=True)]
    assert [summary["metrics"]["index"] for summary in summaries] == [0, 1]
    assert len({job["metadata"]["name"] for job in deployment.cluster.jobs()}) == 2
    folder = f"{deployment.lake}/_runs/flight_delay_training/r-1"
    assert all(os.path.exists(f"{folder}/train~{index}/result.json") for index in (0, 1))
    _no_orphans(deployment)


def test_no_secret_leaves_with_the_trigger(deployment: Any) -> None:
    deployment.image(SUCCEEDS)
    task = deployment.task()
    deferred = task.defer()
    assert deployment.cluster.credentials.token not in repr(deferred.trigger.serialize())
    assert deployment.cluster.credentials.token not in repr(deferred.kwargs)


REPORTS = """
if rank == 0:
    finish("failed", error="{}")
sys.exit(3 if rank == 0 else 1)
"""
NOTICES = """
# Like the ranks of a real training: the first one notices that another has died, and reports it.
import socket
if rank == 1:
    listener = socket.create_server((os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]) + 1))
    connection, _ = listener.accept()
    until("never")
while True:
    try:
        connection = socket.create_connection((os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]) + 1))
        break
    except ConnectionError:
        time.sleep(0.02)
open(os.path.join(os.environ["SIGNALS"], "met"), "w").close()
try:
    connection.recv(1)
except ConnectionError:
    pass
finish("failed", error="rank 1 died")
sys.exit(3)
"""


class TestReattaching:
    def test_a_restarted_triggerer_continues_to_watch_the_same_job(self, deployment: Any) -> None:
        deployment.image(WAITS)
        task = deployment.task()
        task.defer()

        async def interrupted() -> None:
            watching = asyncio.create_task(_first(task.trigger()))
            await asyncio.to_thread(_all_run(deployment))
            watching.cancel("EOF - shutting down")
            with pytest.raises(asyncio.CancelledError):
                await watching

        asyncio.run(interrupted())
        assert deployment.cluster.running_processes() == 2
        task.resume(_while_waiting(task, lambda: deployment.signal("go")))
        assert len(deployment.cluster.pods()) == 2

    def test_a_retry_attaches_to_the_job_that_runs(self, deployment: Any) -> None:
        deployment.image(WAITS)
        deployment.task().defer()
        _all_run(deployment)()
        retry = deployment.task(try_number=2)
        retry.defer()
        retry.resume(_while_waiting(retry, lambda: deployment.signal("go")))
        (job,) = deployment.cluster.jobs()
        assert job["metadata"]["name"].endswith("-1")
        assert len(deployment.cluster.pods()) == 2

    def test_a_job_of_the_task_that_does_other_work_is_cancelled(self, deployment: Any) -> None:
        deployment.image(WAITS)
        deployment.task(world_size=1).defer()
        _all_run(deployment, ranks=1)()
        other = deployment.task(try_number=2)
        other.defer()
        other.resume(_while_waiting(other, lambda: deployment.signal("go")))
        assert [job["metadata"]["name"][-2:] for job in deployment.cluster.jobs()] == ["-2"]

    def test_a_request_whose_answer_is_lost_makes_one_job(self, deployment: Any) -> None:
        deployment.image(SUCCEEDS)
        deployment.cluster.fault("POST", "/jobs", status=0, after_work=True)
        deployment.task().run()
        assert len(deployment.cluster.jobs()) == 1

    def test_the_result_of_an_earlier_try_is_not_taken_for_this_ones(self, deployment: Any) -> None:
        deployment.image(REPORTS.format("of the first try"))
        with pytest.raises(AirflowFailException, match=r"of the first try"):
            deployment.task().run()
        deployment.image("sys.exit('of the second try')")
        with pytest.raises(AirflowFailException, match=r"last line: of the second try"):
            deployment.task(try_number=2).run()
        assert "of the second try" in deployment.result().error


class TestCancelling:
    def test_a_kill_of_the_deferred_task_cancels_job_service_and_pods(
        self, deployment: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        trigger = self._deferred(deployment, monkeypatch, state="failed")
        asyncio.run(trigger.on_kill())
        eventually(lambda: not deployment.cluster.jobs())
        _no_orphans(deployment)

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
        _all_run(deployment)()
        cleared = deployment.task(try_number=2)
        cleared.defer()
        first = deployment.cluster.jobs()[0]["metadata"]["name"]
        gone = _while_waiting(cleared, lambda: deployment.cluster.delete("jobs", "ml", first))
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
        _all_run(deployment)()
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
        _no_orphans(deployment)

    def test_the_tasks_time_limit_cancels_the_job_and_may_be_retried(self, deployment: Any) -> None:
        deployment.image(WAITS)
        task = deployment.task(execution_timeout=timedelta(seconds=2))
        task.defer()
        event = _while_waiting(task, _all_run(deployment))
        assert event["ending"] == "timed_out"
        with pytest.raises(AirflowTaskTimeout, match=r"execution_timeout was over"):
            task.resume(event)
        eventually(lambda: not deployment.cluster.jobs())
        _no_orphans(deployment)

    @staticmethod
    def _deferred(deployment: Any, monkeypatch: pytest.MonkeyPatch, *, state: str | None) -> Any:
        """Return a trigger whose task is in ``state``."""
        deployment.image(WAITS)
        task = deployment.task()
        task.defer()
        _all_run(deployment)()
        states = {"r-1": {"train": state} if state else {}}
        monkeypatch.setattr(RuntimeTaskInstance, "get_task_states", lambda **_: states)
        trigger = task.trigger()
        trigger._task_instance = SimpleNamespace(
            dag_id="flight_delay_training", task_id="train", run_id="r-1", map_index=-1
        )
        return trigger


class TestFailures:
    def test_a_program_that_says_why_is_quoted(self, deployment: Any) -> None:
        deployment.image(REPORTS.format("label has one class"))
        with pytest.raises(AirflowFailException, match=r"^label has one class$"):
            deployment.task().run()
        _no_orphans(deployment)

    def test_a_rank_that_dies_without_a_result_is_named_with_its_last_words(
        self, deployment: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        deployment.image("""
        if rank == 1: sys.exit("out of luck")
        time.sleep(0.5)
        sys.exit(1)
        """)
        message = r"rank 1 of 2 failed with exit code 1; last line: out of luck \| where: pod flight-delay-train-"
        with pytest.raises(AirflowFailException, match=message):
            deployment.task().run()
        assert "[rank 1] out of luck" in capsys.readouterr().out
        assert "rank 1 of 2 failed" in deployment.result().error
        (failure,) = deployment.failures()
        assert "rank 1 of 2 failed" in failure
        _no_orphans(deployment)

    def test_a_first_rank_has_time_to_say_why_after_another_has_failed(self, deployment: Any) -> None:
        deployment.image("""
        if rank == 1: sys.exit("out of luck")
        time.sleep(0.5)
        finish("failed", error="rank 1 has read other data", retryable=True)
        sys.exit(3)
        """)
        with pytest.raises(AirflowException, match=r"^rank 1 has read other data$") as raised:
            deployment.task().run()
        assert type(raised.value) is AirflowException

    def test_ranks_that_hang_after_another_has_failed_are_ended(
        self, deployment: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("nightjar_airflow.cluster.diagnosis.GRACE_SECONDS", 0.5)
        deployment.image('until("never") if rank == 0 else sys.exit("out of luck")')
        with pytest.raises(AirflowFailException, match=r"rank 1 of 2 failed with exit code 1; last line: out of luck"):
            deployment.task().run()
        eventually(lambda: not deployment.cluster.jobs())
        _no_orphans(deployment)

    @pytest.mark.parametrize(
        ("act", "error", "message"),
        [
            (
                "evict",
                AirflowException,
                "rank 1 of 2 was evicted from node node-1 .The node was low on",
            ),
            ("preempt", AirflowException, "rank 1 of 2 was preempted by a pod of higher priority"),
            ("lose_node", AirflowException, "rank 1 of 2 was lost with node node-1 .Taint manager"),
            ("vanish", AirflowException, "the pod of rank 1 of 2 was deleted before it had ended"),
            ("delete_pod", AirflowException, "the pod of rank 1 of 2 was deleted before it had ended"),
            ("out_of_memory", AirflowFailException, "rank 1 of 2 ran out of memory .its limit is 2048Mi"),
        ],
    )
    def test_causes_in_the_cluster_are_distinguished(
        self, deployment: Any, act: str, error: type[Exception], message: str
    ) -> None:
        deployment.image(NOTICES)
        task = deployment.task()
        task.defer()
        event = _while_waiting(
            task, lambda: eventually((deployment.signals / "met").exists), lambda: getattr(deployment.cluster, act)(1)
        )
        with pytest.raises(error, match=message) as raised:
            task.resume(event)
        assert type(raised.value) is error, "whether a retry is worth it"
        assert deployment.result().retryable is (error is AirflowException)
        _no_orphans(deployment)

    def test_an_image_that_cannot_be_pulled_fails_at_once(self, deployment: Any) -> None:
        deployment.connect(image="nightjar-training:nowhere")
        with pytest.raises(AirflowFailException, match=r"the image nightjar-training:nowhere cannot be pulled for"):
            deployment.task().run()
        _no_orphans(deployment)

    def test_unschedulable_pods_are_reported_in_the_schedulers_words(
        self, deployment: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        deployment.image(WAITS)
        deployment.connect(start_timeout_seconds=1.5)
        said = "0/4 nodes are available: 4 Insufficient nvidia.com/gpu."
        deployment.cluster.unschedulable[1] = said
        with pytest.raises(AirflowException, match=r"rank 1 of 2 did not start within .*4 Insufficient") as raised:
            deployment.task().run()
        assert type(raised.value) is AirflowException
        assert f"rank 1 cannot be scheduled: {said}" in capsys.readouterr().out
        eventually(lambda: not deployment.cluster.jobs())
        _no_orphans(deployment)

    def test_a_quota_that_refuses_a_rank_ends_the_ranks_that_wait_for_it(self, deployment: Any) -> None:
        deployment.image(WAITS)
        deployment.cluster.pod_quota = 1
        with pytest.raises(
            AirflowException, match=r"quota refuses 1 of 2 ranks: .*exceeded quota: gpu-quota"
        ) as raised:
            deployment.task().run()
        assert type(raised.value) is AirflowException
        eventually(lambda: not deployment.cluster.jobs())
        _no_orphans(deployment)

    def test_a_quota_that_refuses_the_job_itself_may_be_retried(self, deployment: Any) -> None:
        message = 'jobs.batch "x" is forbidden: exceeded quota: gpu-quota, requested: count/jobs.batch=1'
        deployment.cluster.fault("POST", "/jobs", status=403, message=message)
        with pytest.raises(AirflowException, match=r"the namespace's quota refuses the training") as raised:
            deployment.task().defer()
        assert type(raised.value) is AirflowException

    def test_a_namespace_that_does_not_exist(self, deployment: Any) -> None:
        deployment.connect(namespace="nowhere")
        task = deployment.task()
        with pytest.raises(AirflowFailException, match=r"the namespace nowhere does not exist"):
            task.operator.execute(task.context)
        _no_orphans(deployment)

    def test_a_secret_that_does_not_exist(self, deployment: Any) -> None:
        deployment.image(WAITS)
        deployment.connect(env_from_secrets=[{"name": "nowhere"}])
        with pytest.raises(AirflowFailException, match=r'rank 0 of 2 cannot start: CreateContainerConfig.*"now'):
            deployment.task().run()
        _no_orphans(deployment)

    def test_pods_that_the_clusters_security_standard_refuses(self, deployment: Any) -> None:
        deployment.connect(volumes=[{"name": "host", "hostPath": {"path": "/"}}])
        with pytest.raises(AirflowFailException, match=r"the cluster refuses the pods: .*restricted volume types"):
            deployment.task().run()
        _no_orphans(deployment)

    def test_a_training_that_takes_too_long_is_ended_by_the_cluster(self, deployment: Any) -> None:
        deployment.image(WAITS)
        task = deployment.task(resources=Resources(cpus=1, memory_gib=2, max_hours=1 / 3600))
        with pytest.raises(AirflowFailException, match=r"was not done within 0.000278 h, and was stopped"):
            task.run()
        _no_orphans(deployment)

    def test_credentials_that_are_refused(self, deployment: Any) -> None:
        deployment.cluster.credentials.token = "another-token"
        with pytest.raises(AirflowFailException, match=r"the cluster refuses Airflow: Unauthorized"):
            deployment.task().defer()


class TestARoughConnection:
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
            _all_run(deployment)()
            for name in ("a", "b", "c"):
                deployment.signal(name)
                eventually(lambda line=f"line {name}": line in heard())  # type: ignore[misc]
                before = lists()
                cluster.store.forget_history()
                cluster.server.cut_streams()
                if name != "c":  # after the last one the job may be over first
                    eventually(lambda before=before: lists() > before)  # type: ignore[misc]

        task.resume(_while_waiting(task, disturb))
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
        _all_run(deployment)()
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
        retry.resume(_while_waiting(retry, lambda: deployment.signal("go")))
        assert len(deployment.cluster.jobs()) == 1

    def test_after_the_last_try_an_unseen_job_is_cancelled(self, deployment: Any) -> None:
        deployment.image(WAITS)
        task = deployment.task(try_number=3)
        task.defer()
        _all_run(deployment)()
        event = {"ending": "unreachable", "kind": "unreachable", "what": "away", "where": "here", "fix": "wait"}
        with pytest.raises(AirflowException, match=r"away"):
            task.resume(event)
        eventually(lambda: not deployment.cluster.jobs())
        _no_orphans(deployment)


def test_a_job_of_a_queue_waits_until_it_is_admitted(deployment: Any) -> None:
    deployment.image(SUCCEEDS)
    deployment.connect(queue="gpus")
    task = deployment.task()
    task.defer()
    (job,) = deployment.cluster.jobs()
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpus"
    store, watches = deployment.cluster.store, deployment.cluster.server.requests

    def admit() -> None:
        """As Kueue does."""
        eventually(lambda: any("/jobs" in line and "watch=true" in line for line in watches))
        assert not deployment.cluster.pods()
        store.update("jobs", "ml", job["metadata"]["name"], lambda j: j["spec"].update(suspend=False))

    task.resume(_while_waiting(task, admit))
