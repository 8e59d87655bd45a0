"""A training whose cluster has trouble: credentials, roles, webhooks, images, volumes, abandoned Jobs."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from kubernetes_double import eventually

from nightjar.protocol.documents import dump_json
from nightjar_airflow.cluster import api
from nightjar_airflow.hooks.training_cluster import TrainingClusterHook

pytestmark = pytest.mark.e2e
WAITS = """
print("rank", rank, "waits", flush=True)
until("go")
if rank == 0:
    finish()
"""
FAILS_WHILE_ANOTHER_WAITS = """
until("go")
if rank == 0:
    finish("failed", error="label has one class")
    sys.exit(3)
until("never")
"""
WEBHOOK = 'Internal error occurred: failed calling webhook "v.x": failed to call webhook: Post "https://v": dial tcp'


def _is_kept(deployment: Any) -> bool:
    """Return whether the only Job still runs."""
    (job,) = deployment.cluster.jobs()
    return "deletionTimestamp" not in job["metadata"] and deployment.cluster.running_processes() == 2


class TestCredentials:
    def test_an_expired_token_is_replaced_and_the_training_continues(self, deployment: Any) -> None:
        deployment.image(WAITS)
        deployment.plugin = True
        deployment.cluster.credentials.token_seconds = 1.0
        deployment.connect()
        task = deployment.task()
        task.defer()

        def outlive_tokens() -> None:
            deployment.all_run()
            issued = deployment.cluster.credentials.issued
            for more in (1, 2):
                time.sleep(1.0)
                deployment.cluster.server.cut_streams()
                eventually(lambda more=more: deployment.cluster.credentials.issued >= issued + more)  # type: ignore[misc]
            assert _is_kept(deployment)
            deployment.cluster.credentials.token_seconds = 60.0
            deployment.signal("go")

        task.resume(task.wait_while(outlive_tokens))
        assert len(deployment.cluster.jobs()) == 1

    def test_a_read_in_progress_outlives_the_token_it_began_with(self, deployment: Any) -> None:
        deployment.image(WAITS)
        deployment.plugin = True
        deployment.connect()
        task = deployment.task()
        task.defer()

        async def read_across_another_token() -> bytes:
            async with TrainingClusterHook("training_default", "ml") as cluster:
                listed = await cluster.api.json("GET", cluster.pods)
                query = {"watch": "true", "resourceVersion": listed["metadata"]["resourceVersion"]}
                async with aclosing(cluster.api.lines(cluster.pods, query, seconds=60)) as changes:
                    (pod,) = [item for item in listed["items"] if item["metadata"]["name"].endswith("-0-00001")]
                    next_change = asyncio.create_task(anext(changes))
                    await asyncio.sleep(0.3)  # the watch is open
                    deployment.cluster.credentials.expire()
                    await cluster.api.json("GET", cluster.jobs)
                    assert deployment.cluster.credentials.issued == 3, "the task's, ours, and another"
                    deployment.cluster.kubelet.end(pod)
                    return await asyncio.wait_for(next_change, 10)

        deployment.all_run()
        assert b'"Failed"' in asyncio.run(read_across_another_token())

    def test_a_plugin_that_fails_for_a_moment_fails_no_training(self, deployment: Any) -> None:
        deployment.image(WAITS)
        deployment.plugin = True
        deployment.connect()
        task = deployment.task()
        task.defer()

        def fail_for_a_moment() -> None:
            deployment.all_run()
            deployment.cluster.credentials.refused = lambda: deployment.cluster.server.back_at > time.monotonic() - 0.3
            deployment.cluster.server.go_away(0.7)  # the plugin gets its tokens there
            deployment.signal("go")

        task.resume(task.wait_while(fail_for_a_moment))

    @pytest.mark.parametrize("refusal", ["token", "roles"])
    @pytest.mark.parametrize("try_number", [1, 3])
    def test_a_job_that_airflow_may_not_look_at_for_long_is_left_to_run(
        self, deployment: Any, monkeypatch: pytest.MonkeyPatch, refusal: str, try_number: int
    ) -> None:
        monkeypatch.setattr("nightjar_airflow.cluster.mirror.UNREACHABLE_SECONDS", 0.2)
        monkeypatch.setattr(api, "ATTEMPTS", 2)
        deployment.image(WAITS)
        task = deployment.task(try_number=try_number)
        task.defer()
        deployment.all_run()
        credentials = deployment.cluster.credentials
        if refusal == "token":
            credentials.refused = lambda: True
        else:
            credentials.forbid()
        event = task.wait()
        credentials.refused = lambda: False
        credentials.forbid(seconds=0)
        with pytest.raises(AirflowException, match=r"the cluster refuses Airflow: .*the Job continues") as raised:
            task.resume(event)
        assert type(raised.value) is AirflowException, "worth a retry"
        assert _is_kept(deployment)
        retry = deployment.task(try_number=try_number + 1)
        retry.defer()
        retry.resume(retry.wait_while(lambda: deployment.signal("go")))
        assert len(deployment.cluster.jobs()) == 1

    def test_an_api_server_that_restarts_while_the_job_is_queued_fails_nothing(self, deployment: Any) -> None:
        deployment.image(WAITS)
        deployment.connect(queue="gpus")
        deployment.signal("go")
        task = deployment.task()
        task.defer()
        (job,) = deployment.cluster.jobs()

        def restart() -> None:
            eventually(lambda: any("watch=true" in line for line in deployment.cluster.server.requests))
            deployment.cluster.server.go_away(0.5)
            deployment.cluster.credentials.forbid(seconds=1.2)
            time.sleep(1.4)
            name = job["metadata"]["name"]
            deployment.cluster.store.update("jobs", "ml", name, lambda j: j["spec"].update(suspend=False))

        task.resume(task.wait_while(restart))

    def test_a_submission_outlasts_roles_that_are_loaded_late(self, deployment: Any) -> None:
        deployment.image(WAITS)
        deployment.signal("go")
        deployment.cluster.credentials.forbid(seconds=0.6)
        deployment.task().run()

    def test_events_that_may_never_be_read_fail_nothing(
        self, deployment: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(api, "ATTEMPTS", 2)
        deployment.image(WAITS)
        deployment.cluster.credentials.forbid("events")
        deployment.cluster.unschedulable[1] = "0/4 nodes are available"
        task = deployment.task()
        task.defer()
        said: list[str] = []

        def heard() -> bool:
            said.append(capsys.readouterr().out)
            return "cannot be read from the namespace's events: 403" in "".join(said)

        def free_a_node() -> None:
            eventually(heard)
            deployment.cluster.unschedulable.clear()
            deployment.signal("go")

        task.resume(task.wait_while(free_a_node))

    def test_a_namespace_that_may_not_exist_is_named(self, deployment: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(api, "ATTEMPTS", 2)
        deployment.cluster.credentials.roles = "namespace"
        deployment.connect(namespace="nowhere")
        with pytest.raises(AirflowFailException, match=r"refuses Airflow.*\(or the namespace nowhere does not exist\)"):
            deployment.task().defer()


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

    def test_a_volume_that_cannot_be_mounted_is_shown_and_said_in_the_end(
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

    def test_a_network_that_is_missing_for_a_moment_is_said_once(
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
            watching = asyncio.create_task(asyncio.wait_for(_first(task.trigger()), 30))
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


class TestCancellations:
    @pytest.mark.parametrize("collector", ["another task", "a trigger"])
    def test_a_job_that_could_not_be_cancelled_is_cancelled_later(
        self, deployment: Any, monkeypatch: pytest.MonkeyPatch, collector: str
    ) -> None:
        monkeypatch.setattr(api, "ATTEMPTS", 2)
        deployment.image(WAITS)
        task = deployment.task()
        task.defer()
        deployment.all_run()
        (job,) = deployment.cluster.jobs()
        other = deployment.task(map_index=1)
        if collector == "a trigger":
            other.defer()
        deployment.cluster.fault(f"/jobs/{job['metadata']['name']}", status=503, times=1_000)
        self._marked_failed(task, monkeypatch)
        assert len(list(Path(deployment.lake, "_runs/_cancelled_jobs").iterdir())) == 1
        deployment.cluster.server.faults.clear()
        if collector == "a trigger":
            other.wait_while(lambda: self._gone(deployment, job), lambda: deployment.signal("go"))
        else:
            other.defer()
            self._gone(deployment, job)
        assert not list(Path(deployment.lake, "_runs/_cancelled_jobs").iterdir())

    def test_a_running_triggerer_keeps_trying(self, deployment: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(api, "ATTEMPTS", 1)
        deployment.image(WAITS)
        task = deployment.task()
        task.defer()
        deployment.all_run()
        (job,) = deployment.cluster.jobs()
        deployment.cluster.fault(f"/jobs/{job['metadata']['name']}", status=503, times=3)
        self._marked_failed(task, monkeypatch, seconds=None)
        self._gone(deployment, job)

    def test_a_later_job_of_the_same_name_is_left_alone(self, deployment: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(api, "ATTEMPTS", 1)
        deployment.image(WAITS)
        task = deployment.task()
        task.defer()
        deployment.all_run()
        (job,) = deployment.cluster.jobs()
        deployment.cluster.fault(f"/jobs/{job['metadata']['name']}", status=503, times=1_000)
        self._marked_failed(task, monkeypatch)
        deployment.cluster.server.faults.clear()
        later = {"creationTimestamp": "2099-01-01T00:00:00Z"}
        deployment.cluster.store.update("jobs", "ml", job["metadata"]["name"], lambda j: j["metadata"].update(later))
        deployment.task(map_index=1).defer()
        assert _job_names(deployment) >= {job["metadata"]["name"]}
        assert not any("deletionTimestamp" in job["metadata"] for job in deployment.cluster.jobs())

    @staticmethod
    def _marked_failed(task: Any, monkeypatch: pytest.MonkeyPatch, *, seconds: float | None = 0.5) -> None:
        """The task is marked failed; its triggerer goes away after some seconds, or stays until all is done."""
        monkeypatch.setattr(RuntimeTaskInstance, "get_task_states", lambda **_: {"r 1": {"train": "failed"}})
        trigger = task.trigger()
        trigger._task_instance = SimpleNamespace(dag_id="d", task_id="train", run_id="r 1", map_index=-1)

        async def killed() -> None:
            with pytest.raises(TimeoutError) if seconds else _nothing():
                await asyncio.wait_for(trigger.on_kill(), seconds or 20)

        asyncio.run(killed())

    @staticmethod
    def _gone(deployment: Any, job: Any) -> None:
        eventually(lambda: job["metadata"]["name"] not in _job_names(deployment))


def test_names_of_secrets_are_shown_and_secrets_are_not(deployment: Any) -> None:
    from airflow.sdk._shared.secrets_masker import _secrets_masker

    deployment.connect(
        env_from_secrets=[{"name": "lake-credentials"}],
        image_pull_secrets=[{"name": "registry-login"}],
        service_account={"name": "training-account"},
        env={**deployment.settings["env"], "API_TOKEN": "really-secret"},
    )
    with pytest.raises(AirflowFailException, match=r'cannot start: .*secret "lake-credentials" not found'):
        deployment.task().run()
    redact = _secrets_masker().redact
    for name in ("lake-credentials", "registry-login", "training-account"):
        assert redact(f'secret "{name}" not found') == f'secret "{name}" not found'
    assert redact("really-secret") == redact(deployment.cluster.credentials.token) == "***"


async def _first(trigger: Any) -> dict[str, Any]:
    async for event in trigger.run():
        return dict(event.payload)
    raise AssertionError("the trigger ended without an event")


def _nothing() -> Any:
    from contextlib import nullcontext

    return nullcontext()


def _job_names(deployment: Any) -> set[str]:
    return {job["metadata"]["name"] for job in deployment.cluster.jobs()}
