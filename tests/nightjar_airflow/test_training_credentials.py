"""A training task whose credentials expire or are refused, and what it shows of secrets."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from kubernetes_double import eventually
from tests.nightjar_airflow.cluster_programs import WAITS

from nightjar_airflow.cluster import api
from nightjar_airflow.hooks.training_cluster import TrainingClusterHook

pytestmark = pytest.mark.e2e


def _only_job_runs(deployment: Any) -> bool:
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
            assert _only_job_runs(deployment)
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
        assert _only_job_runs(deployment)
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
