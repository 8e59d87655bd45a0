"""The hook to the Kubernetes cluster where trainings run."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import Any

from airflow.sdk import BaseHook

from nightjar.contracts.errors import DisruptionError, NightjarError
from nightjar_airflow.cluster.api import Json, KubernetesApi
from nightjar_airflow.cluster.api_error import ApiError
from nightjar_airflow.cluster.manifests import CONTAINER, LAST_TRY_ANNOTATION, SPEC_ANNOTATION, TASK_LABEL, TrainingJob
from nightjar_airflow.cluster.state import ended

LOG_SECONDS = 300
"""A log that is followed is asked for anew so often: a connection can die without a word."""


class TrainingClusterHook(BaseHook):
    """Makes, finds and cancels the Jobs of trainings, and reads what becomes of them. An asynchronous context manager.

    Args:
        conn_id: An Airflow connection of type ``kubernetes``, with the keys of Airflow's own hook in its extra.
        namespace: Where the Jobs are.
        extra: The connection's extra, where the caller has it already.
    """

    def __init__(self, conn_id: str, namespace: str, extra: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.namespace = namespace
        self.jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"
        self.pods = f"/api/v1/namespaces/{namespace}/pods"
        self._core = f"/api/v1/namespaces/{namespace}"
        self._conn_id = conn_id
        self._extra = extra
        self._open = AsyncExitStack()

    async def __aenter__(self) -> TrainingClusterHook:
        from airflow.providers.cncf.kubernetes.hooks.kubernetes import AsyncKubernetesHook

        hook = AsyncKubernetesHook(conn_id=self._conn_id, connection_extras=self._extra)
        self.api = KubernetesApi(await self._open.enter_async_context(hook.get_conn()))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    async def attach_or_submit(self, training: TrainingJob) -> str:
        """Find the Job of this task that does the same work already, or make one; return its name.

        A Job of the same task that does other work is cancelled: nobody waits for it any more.

        Raises:
            NightjarError: when the cluster refuses or does not answer.
        """
        job = await self._attach(training) or await self._submit(training)
        name: str = job["metadata"]["name"]
        try:
            await self._ensure_owned(training, job)
        except NightjarError:
            await self.cancel(name)
            raise
        return name

    async def cancel(self, name: str) -> None:
        """End a Job; its pods and its Service go with it. One that is gone is fine."""
        query = {"propagationPolicy": "Foreground"}
        if await self._or_none("DELETE", f"{self.jobs}/{name}", query, doing=f"cancel the Job {name}"):
            self.log.info("cancelled the Job %s with its pods and its Service", name)

    async def cancel_unless_ended(self, name: str) -> None:
        """End a Job that has not ended by itself; one that has is kept for a look, for its time to live."""
        job = await self._or_none("GET", f"{self.jobs}/{name}", doing=f"read the Job {name}")
        if job is not None and not ended(job):
            await self.cancel(name)

    async def events(self, job_name: str) -> list[Json]:
        """What the cluster says of a Job, oldest first."""
        query = {"fieldSelector": f"involvedObject.kind=Job,involvedObject.name={job_name}"}
        items: list[Json] = (await self._ask("GET", f"{self._core}/events", query, doing="read events"))["items"]
        return sorted(items, key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))

    async def last_lines(self, pod: str, lines: int) -> list[str]:
        """The end of a pod's log.

        Raises:
            ApiError: when there is none, as of a pod whose node is gone.
        """
        query = {"container": CONTAINER, "tailLines": lines}
        stream = self.api.lines(f"{self.pods}/{pod}/log", query, seconds=30)
        return [line.decode(errors="replace") async for line in stream]

    def follow(self, pod: str, since_seconds: int | None) -> AsyncGenerator[bytes, None]:
        """A pod's log from its beginning, or from so long ago, as it grows; each line begins with its time."""
        query: Json = {"container": CONTAINER, "follow": "true", "timestamps": "true"}
        if since_seconds is not None:
            query["sinceSeconds"] = since_seconds
        return self.api.lines(f"{self.pods}/{pod}/log", query, seconds=LOG_SECONDS)

    async def _attach(self, training: TrainingJob) -> Json | None:
        query = {"labelSelector": f"{TASK_LABEL}={training.task_id}"}
        found = None
        for job in (await self._ask("GET", self.jobs, query, doing="list Jobs"))["items"]:
            if ended(job) or "deletionTimestamp" in job["metadata"]:
                continue
            name = job["metadata"]["name"]
            if found is None and does(job, training):
                self.log.info("attached to the Job %s, which does this work already", name)
                found = job
            else:
                self.log.info("the Job %s is of this task, which was cleared or has other work since", name)
                await self.cancel(name)
        return found

    async def _submit(self, training: TrainingJob) -> Json:
        self.log.info("making the Job %s of %d pods", training.name, training.spec.world_size)
        try:
            return await self.api.json("POST", self.jobs, body=training.job())
        except ApiError as error:
            if error.status != 409:
                raise error.explained(f"make the Job {training.name}", self.namespace) from error
        job = await self._or_none("GET", f"{self.jobs}/{training.name}", doing=f"read the Job {training.name}")
        if job is None or "deletionTimestamp" in job["metadata"] or not does(job, training):
            raise DisruptionError(
                f"the Job {training.name} of this try is still being deleted",
                where=f"Kubernetes, namespace {self.namespace}",
                fix="nothing; the retry makes another",
            )
        return job  # an earlier attempt of this very try had made it, and its answer was lost

    async def _ensure_owned(self, training: TrainingJob, job: Json) -> None:
        """Make the Job's Secret and its Service, unless an earlier attempt has."""
        name, uid = job["metadata"]["name"], job["metadata"]["uid"]
        for path, manifest in (("secrets", training.secret(name, uid)), ("services", training.service(name, uid))):
            try:
                await self.api.json("POST", f"{self._core}/{path}", body=manifest)
            except ApiError as error:
                if error.status != 409:
                    raise error.explained(f"make the {manifest['kind']} {name}", self.namespace) from error

    async def _ask(self, method: str, path: str, query: Json | None = None, *, doing: str) -> Json:
        try:
            return await self.api.json(method, path, query)
        except ApiError as error:
            raise error.explained(doing, self.namespace) from error

    async def _or_none(self, method: str, path: str, query: Json | None = None, *, doing: str) -> Json | None:
        try:
            return await self.api.json(method, path, query)
        except ApiError as error:
            if error.status == 404:
                return None
            raise error.explained(doing, self.namespace) from error


def does(job: Json, training: TrainingJob) -> bool:
    """Whether a Job was made for the spec of ``training``, and the task has not been cleared since.

    A cleared task may come up again before the trigger of its earlier try has cancelled that try's Job.
    """
    annotations = job["metadata"].get("annotations", {})
    made_for = annotations.get(SPEC_ANNOTATION), annotations.get(LAST_TRY_ANNOTATION)
    return made_for == (training.spec.fingerprint, str(training.max_tries))
