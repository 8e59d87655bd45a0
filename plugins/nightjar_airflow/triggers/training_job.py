"""The trigger that waits for the Job of a training."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from nightjar.protocol.documents import dump_values
from nightjar.protocol.errors import NightjarError, TrainingError, UnreachableError
from nightjar_airflow.cluster import cancellations
from nightjar_airflow.cluster.observer import Observer
from nightjar_airflow.cluster.outcome import Outcome
from nightjar_airflow.hooks.training_cluster import TrainingClusterHook

DEFERRED = "deferred"
CANCEL_AGAIN_SECONDS = 60.0
FIRST_EVENT_SECONDS = 5.0
"""Airflow 3.3 fails a task that resumes before its scheduler has noted that its worker ended (apache/airflow#72716)."""
_CANCELLING: set[asyncio.Task[None]] = set()  # the event loop holds only weak references to tasks


class TrainingJobTrigger(BaseTrigger):
    """Watches one Job, passes its log lines on to the task's log, and fires once with its outcome.

    It finds the Job by name, so a restarted triggerer, or another one, continues to watch it. Only a person's action on
    the task cancels the Job (:meth:`on_kill`).

    Args:
        conn_id: The training connection.
        namespace: Namespace of the Job.
        job_name: Name of the Job.
        world_size: Number of ranks.
        start_timeout_seconds: Time limit for all ranks to start.
        deadline: Unix time at which the task's ``execution_timeout`` expires; None without one.
    """

    def __init__(
        self,
        *,
        conn_id: str,
        namespace: str,
        job_name: str,
        world_size: int,
        start_timeout_seconds: float,
        deadline: float | None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.conn_id = conn_id
        self.namespace = namespace
        self.job_name = job_name
        self.world_size = world_size
        self.start_timeout_seconds = start_timeout_seconds
        self.deadline = deadline
        self._fired = False

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return class and arguments, without secrets: the connection is read where the trigger runs."""
        names = ("conn_id", "namespace", "job_name", "world_size", "start_timeout_seconds", "deadline")
        return f"{type(self).__module__}.{type(self).__name__}", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Fire once with an :class:`Outcome`; any error here becomes one too."""
        earliest = time.monotonic() + FIRST_EVENT_SECONDS
        outcome = await self._outcome()
        await asyncio.sleep(max(0.0, earliest - time.monotonic()))
        self._fired = True
        yield TriggerEvent(dump_values(outcome))  # type: ignore[no-untyped-call]

    async def on_kill(self) -> None:
        """Cancel the Job, its pods and its Service, as the task was marked or cleared while it waited.

        Airflow interrupts this method after about a second, by cancelling the trigger in each of its rounds until it
        ends. So the work is a separate asyncio task, which continues.
        """
        if self._fired:
            return
        work = asyncio.create_task(self._cancel())
        _CANCELLING.add(work)
        work.add_done_callback(_CANCELLING.discard)
        await asyncio.shield(work)

    async def _cancel(self) -> None:
        """Cancel the Job, unless the task still waits. While the API is unavailable, the triggerer keeps trying.

        Airflow also calls :meth:`on_kill` when another triggerer has taken over the trigger (apache/airflow#73454).
        """
        if await self._task_state() == DEFERRED:
            self.log.info("the task still waits, with another triggerer: the Job %s continues", self.job_name)
            return
        async with TrainingClusterHook(self.conn_id, self.namespace) as cluster:
            while not await self._is_cancelled(cluster):
                await asyncio.sleep(CANCEL_AGAIN_SECONDS)

    async def _is_cancelled(self, cluster: TrainingClusterHook) -> bool:
        """Cancel the Job; False when a later attempt may succeed. A rejected cancellation is left for later."""
        try:
            await cancellations.cancel(cluster, self.job_name)
        except NightjarError as error:
            self.log.error("the Job %s is not cancelled yet and may still run: %s", self.job_name, error)
            return not error.retryable
        return True

    async def _outcome(self) -> Outcome:
        try:
            async with asyncio.timeout(self._seconds_left()):
                return await self._observed()
        except TimeoutError:
            error = TrainingError(
                "the task's execution_timeout was over before the training was",
                where=f"Job {self.job_name}",
                fix="raise execution_timeout, or train less; the retry resumes from the last checkpoint",
            )
            return Outcome.of(error, ending="timed_out")

    async def _observed(self) -> Outcome:
        retrying: asyncio.Task[None] | None = None
        try:
            async with TrainingClusterHook(self.conn_id, self.namespace) as cluster:
                # A starting triggerer restarts its triggers: cancel now what an earlier one could not.
                retrying = asyncio.create_task(cancellations.retry_pending(cluster))
                observer = Observer(
                    cluster,
                    job_name=self.job_name,
                    world_size=self.world_size,
                    start_timeout_seconds=self.start_timeout_seconds,
                    say=self.log.info,
                )
                return await observer.run()
        except Exception as unexpected:
            self.log.exception("the Job %s cannot be watched", self.job_name)
            failure = UnreachableError(
                f"the Job cannot be watched ({type(unexpected).__name__}: {unexpected})",
                where=f"connection {self.conn_id}, Job {self.job_name}",
                fix="read the traceback above; the task attaches to the Job again when it is retried",
            )
            return Outcome.of(failure, ending="unreachable")
        finally:
            if retrying is not None:
                retrying.cancel()

    def _seconds_left(self) -> float | None:
        return None if self.deadline is None else max(0.0, self.deadline - time.time())

    async def _task_state(self) -> str | None:
        """Return the task's state; None for a cleared task."""
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

        task: Any = self.task_instance
        states = await asyncio.to_thread(
            RuntimeTaskInstance.get_task_states,
            dag_id=task.dag_id,
            task_ids=[task.task_id],
            run_ids=[task.run_id],
            map_index=task.map_index,
        )
        mapped = f"_{task.map_index}" if task.map_index >= 0 else ""
        state = states.get(task.run_id, {}).get(f"{task.task_id}{mapped}")
        return None if state is None else str(state)
