"""Watch one Job to its end: report what happens, pass on logs, and return the outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from nightjar_airflow.cluster.api_error import ApiError
from nightjar_airflow.cluster.diagnosis import queued, verdict, waiting, without_numbers
from nightjar_airflow.cluster.failures import root_cause
from nightjar_airflow.cluster.follow import follow
from nightjar_airflow.cluster.manifests import JOB_LABEL
from nightjar_airflow.cluster.mirror import Mirror
from nightjar_airflow.cluster.outcome import Outcome
from nightjar_airflow.cluster.state import JobState, Json, condition, ended, has_started, is_over, rank_of
from nightjar_airflow.hooks.training_cluster import TrainingClusterHook

CHECK_SECONDS = 5.0
"""Interval of checks without news: for time limits, and for events, which are not watched."""
DRAIN_SECONDS = 15.0
TAIL_LINES = 40


class Observer:
    """Observer of one Job.

    Args:
        cluster: The open cluster hook.
        job_name: Name of the Job.
        world_size: Number of ranks.
        start_timeout_seconds: Time limit for all ranks to start.
        say: Called with the lines of rank 0 and of failed ranks, and with changes of the pods.
    """

    def __init__(
        self,
        cluster: TrainingClusterHook,
        *,
        job_name: str,
        world_size: int,
        start_timeout_seconds: float,
        say: Callable[[str], None],
    ) -> None:
        self._cluster = cluster
        self._job_name = job_name
        self._world_size = world_size
        self._start_timeout = start_timeout_seconds
        self._say = say
        self._state = JobState()
        self._changed = asyncio.Event()
        self._reported: dict[int | str, str] = {}
        self._logs: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> Outcome:
        """Wait until the Job has ended, cannot succeed, or could not be observed for too long."""
        pods = Mirror(self._cluster.api, self._cluster.pods, self._pod_query, self._take_pods)
        jobs = Mirror(self._cluster.api, self._cluster.jobs, self._job_query, self._take_jobs)
        mirrors = [asyncio.create_task(mirror.run()) for mirror in (pods, jobs)]
        events = asyncio.create_task(self._keep_warnings())
        try:
            outcome = await self._watch(mirrors)
            await self._drain()
            return await self._pass_on_log_ends(outcome)
        except ApiError as error:
            reason = error.unwatched(f"watch the Job {self._job_name}", self._cluster.namespace)
            return Outcome.of(reason, ending="refused" if error.refuses_access else "unreachable")
        finally:
            await _cancel_all([*mirrors, events, *self._logs.values()])

    @property
    def _job_query(self) -> Json:
        return {"fieldSelector": f"metadata.name={self._job_name}"}

    @property
    def _pod_query(self) -> Json:
        return {"labelSelector": f"{JOB_LABEL}={self._job_name}"}

    async def _watch(self, mirrors: list[asyncio.Task[None]]) -> Outcome:
        while True:
            self._changed.clear()
            news = asyncio.create_task(self._changed.wait())
            done, _ = await asyncio.wait([news, *mirrors], timeout=CHECK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            await _cancel_all([news])
            for mirror in mirrors:
                if mirror in done:
                    mirror.result()
            self._report_changes()
            self._follow_first_rank()
            if self._verdict() is not None and (outcome := await self._verdict_again()) is not None:
                return outcome

    def _verdict(self) -> Outcome | None:
        return verdict(
            self._state,
            world_size=self._world_size,
            start_timeout_seconds=self._start_timeout,
            now=datetime.now(UTC),
        )

    async def _verdict_again(self) -> Outcome | None:
        """Return the verdict on freshly listed pods: the Job's end may be reported before its pods' ends.

        When they cannot be listed now, the mirrors decide how long that is tolerated.
        """
        try:
            listed = (await self._cluster.api.json("GET", self._cluster.pods, self._pod_query))["items"]
        except ApiError as error:
            if not error.passing:
                raise
            return None
        self._take_pods({pod["metadata"]["name"]: pod for pod in listed}, {})
        await self._read_warnings()
        return self._verdict()

    async def _keep_warnings(self) -> None:
        """Refresh the warnings while ranks wait, to know what for."""
        while True:
            await self._read_warnings()
            self._changed.set()
            await asyncio.sleep(CHECK_SECONDS)

    async def _read_warnings(self) -> None:
        """Read the warnings; an error is only logged, as nothing depends on events alone."""
        if self._state.job is None or self._state.started >= self._world_size:
            return
        try:
            self._state.warnings = await self._cluster.warnings(self._job_name)
        except ApiError as error:
            self._say_once("events", f"what ranks wait for cannot be read from the namespace's events: {error}")

    def _take_jobs(self, jobs: dict[str, Json], _: dict[str, Json]) -> None:
        self._state.take_job(jobs.get(self._job_name))
        self._changed.set()

    def _take_pods(self, pods: dict[str, Json], deleted: dict[str, Json]) -> None:
        self._state.take_pods(pods, deleted, datetime.now(UTC))
        self._changed.set()

    def _report_changes(self) -> None:
        """Report what the Job waits for in its queue, or what each rank does, when it has changed."""
        if self._state.job is None:
            return
        if queue := queued(self._state):
            self._reported = {key: text for key, text in self._reported.items() if isinstance(key, str)}
            self._say_once("queue", queue)
            return
        if self._reported.pop("queue", None):
            self._say("the Job is admitted, and its pods are made")
        for rank in range(self._world_size):
            self._say_once(rank, f"rank {rank} {waiting(self._state, rank)}")

    def _say_once(self, about: int | str, phrase: str) -> None:
        """Report a phrase unless the last one about this subject was equal but for numbers and ids."""
        if self._reported.get(about) != without_numbers(phrase):
            self._reported[about] = without_numbers(phrase)
            self._say(phrase)

    def _follow_first_rank(self) -> None:
        pod = self._state.pod_of(0)
        if pod is None or not has_started(pod) or pod["metadata"]["name"] in self._logs:
            return
        name = pod["metadata"]["name"]

        def over() -> bool:
            return name not in self._state.pods or is_over(self._state.pods[name])

        self._logs[name] = asyncio.create_task(follow(self._cluster, name, self._say, over))

    async def _drain(self) -> None:
        """When the pods end too, wait for the first rank's last lines."""
        job = self._state.job
        ends = job is None or ended(job) or condition(job, "FailureTarget")
        if self._logs and ends:
            await asyncio.wait(self._logs.values(), timeout=DRAIN_SECONDS)

    async def _pass_on_log_ends(self, outcome: Outcome) -> Outcome:
        """Pass on the end of each failed rank's log, and add the program's last line to the error."""
        if outcome.ending != "failed":
            return outcome
        cause = root_cause(self._state)
        for pod in sorted(self._state.pods.values(), key=rank_of):
            if pod.get("status", {}).get("phase") != "Failed":
                continue
            lines = await self._last_lines(pod)
            if rank_of(pod) != 0:
                for line in lines:
                    self._say(f"[rank {rank_of(pod)}] {line}")
            words = [line for line in lines if line.strip()]
            if outcome.program and pod is cause and words:
                outcome = replace(outcome, what=f"{outcome.what}; last line: {words[-1][:500]}")
        return outcome

    async def _last_lines(self, pod: Json) -> list[str]:
        try:
            return await self._cluster.last_lines(pod["metadata"]["name"], TAIL_LINES)
        except ApiError as error:
            self._say(f"the log of rank {rank_of(pod)} cannot be read: {error}")
            return []


async def _cancel_all(tasks: list[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait for their end; a cancellation of the caller is still raised."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
