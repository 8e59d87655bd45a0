"""A training task on a cluster, from operator and trigger to the result."""

from __future__ import annotations

import asyncio
import os
import re
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from kubernetes_double import eventually
from tests.nightjar_airflow.cluster_programs import REPORTS, SUCCEEDS, WAITS, first_event

from nightjar.declaration.resources import Resources

pytestmark = pytest.mark.e2e


def test_a_training_succeeds_and_its_log_is_the_tasks(deployment: Any, capsys: pytest.CaptureFixture[str]) -> None:
    deployment.image(SUCCEEDS)
    summary = deployment.task().run()
    assert summary["metrics"] == {"validation_auc": 0.75}
    said = capsys.readouterr().out
    assert said.count("rank 0 of 2 at 127.") == 1
    assert "rank 1 of 2 at" not in said, "only the first rank's log is streamed"
    assert re.search("rank 1 is (running|succeeded) on node-1", said), "it may end before it is looked at"
    deployment.assert_no_orphans()
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
    deployment.assert_no_orphans()


def test_no_secret_leaves_with_the_trigger(deployment: Any) -> None:
    deployment.image(SUCCEEDS)
    task = deployment.task()
    deferred = task.defer()
    assert deployment.cluster.credentials.token not in repr(deferred.trigger.serialize())
    assert deployment.cluster.credentials.token not in repr(deferred.kwargs)


class TestReattaching:
    def test_a_restarted_triggerer_continues_to_watch_the_same_job(self, deployment: Any) -> None:
        deployment.image(WAITS)
        task = deployment.task()
        task.defer()

        async def interrupted() -> None:
            watching = asyncio.create_task(first_event(task.trigger()))
            await asyncio.to_thread(deployment.all_run)
            watching.cancel("EOF - shutting down")
            with pytest.raises(asyncio.CancelledError):
                await watching

        asyncio.run(interrupted())
        assert deployment.cluster.running_processes() == 2
        task.resume(task.wait_while(lambda: deployment.signal("go")))
        assert len(deployment.cluster.pods()) == 2

    def test_a_retry_attaches_to_the_job_that_runs(self, deployment: Any) -> None:
        deployment.image(WAITS)
        deployment.task().defer()
        deployment.all_run()
        retry = deployment.task(try_number=2)
        retry.defer()
        retry.resume(retry.wait_while(lambda: deployment.signal("go")))
        (job,) = deployment.cluster.jobs()
        assert job["metadata"]["name"].endswith("-1")
        assert len(deployment.cluster.pods()) == 2

    def test_a_job_of_the_task_that_does_other_work_is_cancelled(self, deployment: Any) -> None:
        deployment.image(WAITS)
        deployment.task(world_size=1).defer()
        deployment.all_run(ranks=1)
        other = deployment.task(try_number=2)
        other.defer()
        other.resume(other.wait_while(lambda: deployment.signal("go")))
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

    task.resume(task.wait_while(admit))
