"""A training task whose pods cannot start yet: webhooks, quotas, images, volumes, networks, queues."""

from __future__ import annotations

import time
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException
from kubernetes_double import eventually
from tests.nightjar_airflow.cluster_programs import WAITS

pytestmark = pytest.mark.e2e

WEBHOOK = 'Internal error occurred: failed calling webhook "v.x": failed to call webhook: Post "https://v": dial tcp'


class TestStarting:
    @pytest.mark.parametrize(
        "said",
        [
            f"{WEBHOOK} 10.0.0.1:443: connect: connection refused",
            'Operation cannot be fulfilled on resourcequotas "q": the object has been modified; please try again',
            "etcdserver: request timed out",
        ],
    )
    def test_pods_that_cannot_be_made_for_a_moment_are_waited_for(
        self, deployment: Any, capsys: pytest.CaptureFixture[str], said: str
    ) -> None:
        deployment.image(WAITS)
        deployment.signal("go")
        deployment.cluster.refused_pods = said
        task = deployment.task()
        task.defer()
        output: list[str] = []

        def heard() -> bool:
            output.append(capsys.readouterr().out)
            return f"rank 0 has no pod yet: {said}" in "".join(output)

        def mend() -> None:
            eventually(heard)
            deployment.cluster.refused_pods = ""

        task.resume(task.wait_while(mend))

    def test_a_registry_that_refuses_connections_is_waited_for(self, deployment: Any) -> None:
        image = deployment.settings["image"]
        deployment.image(WAITS)
        deployment.signal("go")
        deployment.cluster.pull_errors[image] = "dial tcp 10.0.0.9:5000: connect: connection refused"
        task = deployment.task()
        task.defer()

        def mend() -> None:
            eventually(lambda: any("containerStatuses" in pod["status"] for pod in deployment.cluster.pods()))
            time.sleep(0.3)
            deployment.cluster.pull_errors.clear()

        task.resume(task.wait_while(mend))

    def test_a_registry_that_does_not_come_back_in_time_may_be_tried_again(self, deployment: Any) -> None:
        deployment.image(WAITS)
        deployment.cluster.pull_errors[deployment.settings["image"]] = "dial tcp: i/o timeout"
        deployment.connect(start_timeout_seconds=1.5)
        with pytest.raises(AirflowException, match=r"did not start within .*ImagePullBackOff.*i/o timeout") as raised:
            deployment.task().run()
        assert type(raised.value) is AirflowException

    def test_a_volume_that_cannot_be_mounted_is_logged_and_named_in_the_failure(
        self, deployment: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        deployment.image(WAITS)
        deployment.connect(
            volumes=[{"name": "keys", "projected": {"sources": [{"secret": {"name": "nowhere"}}]}}],
            start_timeout_seconds=1.5,
        )
        why = r'waits: ContainerCreating; FailedMount: MountVolume.SetUp failed for volume "keys" : secret "nowhere"'
        with pytest.raises(AirflowException, match=rf"did not start within .*{why} not found") as raised:
            deployment.task().run()
        assert type(raised.value) is AirflowException, "a Secret may be made"
        assert f"rank 0 {why}" in capsys.readouterr().out
        eventually(lambda: not deployment.cluster.jobs())

    def test_a_network_that_is_missing_for_a_moment_is_logged_once(
        self, deployment: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        deployment.image(WAITS)
        deployment.signal("go")
        deployment.cluster.sandbox_error = "plugin type=calico failed: connection refused"
        task = deployment.task()
        task.defer()

        def mend() -> None:
            time.sleep(2.2)
            deployment.cluster.sandbox_error = ""

        task.resume(task.wait_while(mend))
        said = capsys.readouterr().out
        assert said.count("rank 0 waits: ContainerCreating; FailedCreatePodSandBox: Failed to create pod sandbox") == 1

    def test_a_queued_job_says_what_it_waits_for_and_since_when(
        self, deployment: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        deployment.image(WAITS)
        deployment.signal("go")
        deployment.connect(queue="gpus")
        task = deployment.task()
        task.defer()
        (job,) = deployment.cluster.jobs()
        name, since = job["metadata"]["name"], job["metadata"]["creationTimestamp"]
        output: list[str] = []

        def heard(text: str) -> bool:
            output.append(capsys.readouterr().out)
            return text in "".join(output)

        def admit() -> None:
            eventually(lambda: heard(f"the Job waits in the queue gpus since {since}"))
            deployment.cluster.warn("Workload", f"job-{name}-1a2b3", "insufficient unused quota for nvidia.com/gpu")
            eventually(lambda: heard(f"since {since}: insufficient unused quota for nvidia.com/gpu"))
            deployment.cluster.store.update("jobs", "ml", name, lambda j: j["spec"].update(suspend=False))

        task.resume(task.wait_while(admit))
        assert heard("the Job is admitted")
