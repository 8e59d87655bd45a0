"""A training task whose ranks or Job fail: the cause that is named, and whether a retry is worth it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from kubernetes_double import eventually
from tests.nightjar_airflow.cluster_programs import FAILS_WHILE_ANOTHER_WAITS, NOTICES, REPORTS, WAITS, first_event

from nightjar.declaration.resources import Resources
from nightjar.protocol.documents import dump_json

pytestmark = pytest.mark.e2e


class TestFailures:
    def test_a_program_that_says_why_is_quoted(self, deployment: Any) -> None:
        deployment.image(REPORTS.format("label has one class"))
        with pytest.raises(AirflowFailException, match=r"^label has one class$"):
            deployment.task().run()
        deployment.assert_no_orphans()

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
        deployment.assert_no_orphans()

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
        deployment.assert_no_orphans()

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
        event = task.wait_while(
            lambda: eventually((deployment.signals / "met").exists), lambda: getattr(deployment.cluster, act)(1)
        )
        with pytest.raises(error, match=message) as raised:
            task.resume(event)
        assert type(raised.value) is error, "whether a retry is worth it"
        assert deployment.result().retryable is (error is AirflowException)
        deployment.assert_no_orphans()

    def test_an_image_that_cannot_be_pulled_fails_at_once(self, deployment: Any) -> None:
        deployment.connect(image="nightjar-training:nowhere")
        with pytest.raises(AirflowFailException, match=r"the image nightjar-training:nowhere cannot be pulled for"):
            deployment.task().run()
        deployment.assert_no_orphans()

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
        deployment.assert_no_orphans()

    def test_a_quota_that_refuses_a_rank_ends_the_ranks_that_wait_for_it(self, deployment: Any) -> None:
        deployment.image(WAITS)
        deployment.cluster.pod_quota = 1
        with pytest.raises(
            AirflowException, match=r"quota refuses 1 of 2 ranks: .*exceeded quota: gpu-quota"
        ) as raised:
            deployment.task().run()
        assert type(raised.value) is AirflowException
        eventually(lambda: not deployment.cluster.jobs())
        deployment.assert_no_orphans()

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
        deployment.assert_no_orphans()

    def test_a_secret_that_does_not_exist(self, deployment: Any) -> None:
        deployment.image(WAITS)
        deployment.connect(env_from_secrets=[{"name": "nowhere"}])
        with pytest.raises(AirflowFailException, match=r'rank 0 of 2 cannot start: CreateContainerConfig.*"now'):
            deployment.task().run()
        deployment.assert_no_orphans()

    def test_pods_that_the_clusters_security_standard_refuses(self, deployment: Any) -> None:
        deployment.connect(volumes=[{"name": "host", "hostPath": {"path": "/"}}])
        with pytest.raises(AirflowFailException, match=r"the cluster refuses the pods: .*restricted volume types"):
            deployment.task().run()
        deployment.assert_no_orphans()

    def test_a_training_that_takes_too_long_is_ended_by_the_cluster(self, deployment: Any) -> None:
        deployment.image(WAITS)
        task = deployment.task(resources=Resources(cpus=1, memory_gib=2, max_hours=1 / 3600))
        with pytest.raises(AirflowFailException, match=r"was not done within 0.000278 h, and was stopped"):
            task.run()
        deployment.assert_no_orphans()

    def test_credentials_that_are_refused(self, deployment: Any) -> None:
        deployment.cluster.credentials.token = "another-token"
        with pytest.raises(AirflowFailException, match=r"the cluster refuses Airflow: Unauthorized"):
            deployment.task().defer()


class TestEnding:
    @pytest.mark.parametrize("blocked", ["while it watches", "before it lists"])
    def test_a_programs_own_failure_stands_when_the_triggerer_was_late(self, deployment: Any, blocked: str) -> None:
        deployment.image(FAILS_WHILE_ANOTHER_WAITS)
        task = deployment.task()
        task.defer()
        deployment.all_run()
        result = Path(deployment.lake, "_runs/flight_delay_training/r-1/train/result.json")

        def fail() -> None:
            deployment.signal("go")
            eventually(lambda: any(c["type"] == "Failed" for c in deployment.cluster.jobs()[0]["status"]["conditions"]))
            assert not deployment.cluster.running_processes(), "the other rank was killed after its grace"

        async def late() -> Any:
            watching = asyncio.create_task(asyncio.wait_for(first_event(task.trigger()), 30))
            await asyncio.sleep(0.5 if blocked == "while it watches" else 0)
            fail()  # on the triggerer's own loop
            return await watching

        event = asyncio.run(late())
        written = next(result.parent.parent.rglob("result.json")).read_text()
        with pytest.raises(AirflowFailException, match=r"^label has one class$"):
            task.resume(event)
        assert dump_json(deployment.result()) == written, "what the program wrote is left as it was"

    def test_a_try_that_attaches_to_a_job_that_is_failing_gets_its_result(self, deployment: Any) -> None:
        deployment.cluster.grace_seconds = 3.0
        deployment.image(FAILS_WHILE_ANOTHER_WAITS)
        deployment.task().defer()
        deployment.all_run()
        deployment.signal("go")
        deployment.all_run(1)
        retry = deployment.task(try_number=2)
        with pytest.raises(AirflowFailException, match=r"^label has one class$"):
            retry.run()
        assert len(deployment.cluster.jobs()) <= 1

    def test_a_new_job_waits_for_the_pods_of_the_old_one(
        self, deployment: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        deployment.cluster.grace_seconds = 1.0
        deployment.image(WAITS)
        deployment.task().defer()
        deployment.all_run()
        living: list[set[str]] = []
        create = deployment.cluster.create

        def noticed(kind: str, namespace: str, thing: Any) -> Any:
            living.append(set(deployment.cluster.living))
            return create(kind, namespace, thing)

        deployment.cluster.create = noticed
        deployment.task(try_number=2, max_tries=3).defer()
        assert living[0] == set()
        assert "waiting for the pods of an earlier attempt to end: flight-delay-train-" in capsys.readouterr().out
        deployment.all_run()

    def test_pods_that_a_lost_node_never_ends_are_not_waited_for(
        self, deployment: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("nightjar_airflow.hooks.training_cluster.LEFT_BEHIND_SECONDS", 0.0)
        deployment.cluster.grace_seconds = 600.0
        deployment.image(WAITS)
        deployment.task().defer()
        deployment.all_run()
        for pod in deployment.cluster.pods():
            deployment.cluster.store.update(
                "pods",
                "ml",
                pod["metadata"]["name"],
                lambda p: p["metadata"].update(deletionTimestamp="2026-01-01T00:00:00Z"),
            )
        deployment.task(try_number=2, max_tries=3).defer()
        assert len(deployment.cluster.jobs()) == 2
