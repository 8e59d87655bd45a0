"""The hook for the Kubernetes cluster of the trainings."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook

from nightjar.protocol.errors import DisruptionError, NightjarError
from nightjar_airflow.cluster.api import Json, KubernetesApi
from nightjar_airflow.cluster.api_error import ApiError
from nightjar_airflow.cluster.manifests import CONTAINER, LAST_TRY_ANNOTATION, SPEC_ANNOTATION, TASK_LABEL, TrainingJob
from nightjar_airflow.cluster.state import ended, is_over, moment

if TYPE_CHECKING:
    from kubernetes_asyncio.client import ApiClient

LOG_SECONDS = 300
"""Lifetime of a log stream, so that a connection that died silently is noticed."""
OLD_PODS_SECONDS = 120.0
"""Time for which a new Job waits for the pods of the task's earlier Jobs."""
LEFT_BEHIND_SECONDS = 30.0
"""Time after its grace period for which a pod may remain; later, its node is assumed lost."""
PAUSE_SECONDS = 1.0


class TrainingClusterHook(BaseHook):
    """Creates, finds and cancels the Jobs of trainings, and reads their state. An asynchronous context manager.

    Args:
        conn_id: An Airflow connection of type ``kubernetes``, with the keys of Airflow's own hook in its extra.
        namespace: Namespace of the Jobs.
        extra: The connection's extra if the caller has it; otherwise it is read whenever a client is opened.
    """

    def __init__(self, conn_id: str, namespace: str, extra: Json | None = None) -> None:
        super().__init__()
        self.namespace = namespace
        self.jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"
        self.pods = f"/api/v1/namespaces/{namespace}/pods"
        self.api = KubernetesApi(self._connect)
        self._core = f"/api/v1/namespaces/{namespace}"
        self.conn_id = conn_id
        self._extra = extra

    async def __aenter__(self) -> TrainingClusterHook:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.api.close()

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[ApiClient]:
        from airflow.providers.cncf.kubernetes.hooks.kubernetes import AsyncKubernetesHook

        async with AsyncKubernetesHook(conn_id=self.conn_id, connection_extras=self._extra).get_conn() as client:
            yield client

    async def attach_or_submit(self, training: TrainingJob, before_making: Callable[[], None]) -> str:
        """Find the Job of this task that already does the same work, or create one; return its name.

        A Job of the same task with other work is cancelled, as no task waits for it. A new Job is created once the pods
        of the task's earlier Jobs have ended.

        Raises:
            NightjarError: when the cluster rejects the Job or does not answer.
        """
        job = await self._attach(training)
        if job is None:
            await self._old_pods_gone(training)
            before_making()
            job = await self._submit(training)
        name: str = job["metadata"]["name"]
        try:
            await self._ensure_owned(training, job)
        except NightjarError:
            await self.cancel(name)
            raise
        return name

    async def cancel(self, name: str) -> None:
        """Delete a Job with its pods and its Service; a missing Job is not an error."""
        query = {"propagationPolicy": "Foreground"}
        if await self._or_none("DELETE", f"{self.jobs}/{name}", query, doing=f"cancel the Job {name}"):
            self.log.info("cancelled the Job %s with its pods and its Service", name)

    async def cancel_unless_ended(self, name: str, *, made_before: datetime) -> None:
        """Cancel a Job that has not ended; an ended one is kept for inspection until its time to live is over.

        A Job created later under the same name is left alone.
        """
        job = await self._or_none("GET", f"{self.jobs}/{name}", doing=f"read the Job {name}")
        if job is None or ended(job):
            return
        made = moment(job["metadata"].get("creationTimestamp"))
        if made is None or made <= made_before:
            await self.cancel(name)

    async def warnings(self, job_name: str) -> list[Json]:
        """Return warning events about a Job, its pods and its place in a queue, oldest first.

        Events are matched by name and may be of an earlier Job of that name: compare uids when reading them.

        Raises:
            ApiError: when they cannot be read.
        """
        events = (await self.api.json("GET", f"{self._core}/events", {"fieldSelector": "type=Warning"}))["items"]
        return sorted((event for event in events if _is_of(event, job_name)), key=_last_seen)

    async def last_lines(self, pod: str, lines: int) -> list[str]:
        """Return the last lines of a pod's log.

        Raises:
            ApiError: when there is no log, e.g. of a pod on a lost node.
        """
        query = {"container": CONTAINER, "tailLines": lines}
        stream = self.api.lines(f"{self.pods}/{pod}/log", query, seconds=30)
        return [line.decode(errors="replace") async for line in stream]

    def follow(self, pod: str, since_seconds: int | None) -> AsyncGenerator[bytes, None]:
        """Follow a pod's log from its start, or from ``since_seconds`` ago; each line begins with its time."""
        query: Json = {"container": CONTAINER, "follow": "true", "timestamps": "true"}
        if since_seconds is not None:
            query["sinceSeconds"] = since_seconds
        return self.api.lines(f"{self.pods}/{pod}/log", query, seconds=LOG_SECONDS)

    async def _attach(self, training: TrainingJob) -> Json | None:
        query = {"labelSelector": f"{TASK_LABEL}={training.task_id}"}
        attached = None
        for job in (await self._ask("GET", self.jobs, query, doing="list Jobs"))["items"]:
            if ended(job) or "deletionTimestamp" in job["metadata"]:
                continue
            name = job["metadata"]["name"]
            if attached is None and has_same_work(job, training):
                self.log.info("attached to the Job %s, which does this work already", name)
                attached = job
            else:
                self.log.info("the Job %s is of this task, which has been cleared or has other work since", name)
                await self.cancel(name)
        return attached

    async def _old_pods_gone(self, training: TrainingJob) -> None:
        """Wait for the pods of the task's earlier Jobs, which hold GPUs and quota and may still write checkpoints."""
        query = {"labelSelector": f"{TASK_LABEL}={training.task_id}"}
        deadline, logged = time.monotonic() + OLD_PODS_SECONDS, ""
        while True:
            pods = (await self._ask("GET", self.pods, query, doing="list pods"))["items"]
            names = ", ".join(pod["metadata"]["name"] for pod in pods if not is_over(pod) and not _left_behind(pod))
            if not names:
                return
            if time.monotonic() > deadline:
                self.log.warning("the pods %s of an earlier attempt do not end: this attempt starts beside them", names)
                return
            if names != logged:
                self.log.info("waiting for the pods of an earlier attempt to end: %s", names)
                logged = names
            await asyncio.sleep(PAUSE_SECONDS)

    async def _submit(self, training: TrainingJob) -> Json:
        self.log.info("making the Job %s of %d pods", training.name, training.spec.world_size)
        try:
            return await self.api.json("POST", self.jobs, body=training.job())
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise error.explained(f"make the Job {training.name}", self.namespace) from error
        job = await self._or_none("GET", f"{self.jobs}/{training.name}", doing=f"read the Job {training.name}")
        if job is None or "deletionTimestamp" in job["metadata"] or not has_same_work(job, training):
            raise DisruptionError(
                f"the Job {training.name} of this attempt is still being deleted",
                where=f"Kubernetes, namespace {self.namespace}",
                fix="nothing; the retry makes another",
            )
        return job  # an earlier try of this request had created it, and its answer was lost

    async def _ensure_owned(self, training: TrainingJob, job: Json) -> None:
        """Create the Job's Service and Secret, unless they exist.

        Containers wait for the Secret, so it comes last: no rank looks for another before the Service has its name.
        """
        name, uid = job["metadata"]["name"], job["metadata"]["uid"]
        for path, manifest in (("services", training.service(name, uid)), ("secrets", training.secret(name, uid))):
            try:
                await self.api.json("POST", f"{self._core}/{path}", body=manifest)
            except ApiError as error:
                if error.reason != "AlreadyExists":
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


def has_same_work(job: Json, training: TrainingJob) -> bool:
    """Return whether a Job was made for the spec of ``training``, and the task has not been cleared since.

    A cleared task may restart before the trigger of its earlier attempt has cancelled that attempt's Job.
    """
    annotations = job["metadata"].get("annotations", {})
    made_for = annotations.get(SPEC_ANNOTATION), annotations.get(LAST_TRY_ANNOTATION)
    return made_for == (training.spec.fingerprint, str(training.max_tries))


def _is_of(event: Json, job_name: str) -> bool:
    """Return whether an event is about a Job, one of its pods, or the Workload of its place in a Kueue queue."""
    kind, name = event["involvedObject"].get("kind"), str(event["involvedObject"].get("name"))
    if kind == "Workload":
        return name.startswith(f"job-{job_name}-")
    return name == job_name or name.startswith(f"{job_name}-")


def _last_seen(event: Json) -> str:
    series = event.get("series") or {}
    times = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    return next((str(time) for time in times if time), "")


def _left_behind(pod: Json) -> bool:
    """Return whether a pod should have ended long ago, as on a lost node."""
    gone = moment(pod["metadata"].get("deletionTimestamp"))
    return gone is not None and datetime.now(UTC) > gone + timedelta(seconds=LEFT_BEHIND_SECONDS)
