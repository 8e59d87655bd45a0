"""The Kubernetes backend: ranks are pods of an Indexed Job, which a trigger watches."""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable
from typing import Any

from nightjar.protocol.errors import LostRankError, NightjarError, TrainingError
from nightjar.protocol.job import JobResult, JobSpec
from nightjar.training.distributed.launch import report_failure
from nightjar_airflow.backends.result import required_result, result_of, spec_uri
from nightjar_airflow.background import BackgroundCoroutine
from nightjar_airflow.cluster import cancellations
from nightjar_airflow.cluster.manifests import TrainingJob
from nightjar_airflow.cluster.outcome import Outcome
from nightjar_airflow.hooks.training_cluster import TrainingClusterHook

PASSED_ON = ("NIGHTJAR_LAKE", "NIGHTJAR_LANDING", "MLFLOW_TRACKING_URI")
"""Addresses that pods get from Airflow's environment; secrets come from ``env_from_secrets``."""
STOP_SECONDS = 20.0

log = logging.getLogger(__name__)


class KubernetesBackend:
    """Creates, concludes and cancels the Job of one task.

    Args:
        conn_id: The training connection.
        namespace: Namespace of the Jobs.
        extra: The connection's extra.
    """

    def __init__(self, conn_id: str, namespace: str, extra: dict[str, Any]) -> None:
        self._conn_id = conn_id
        self._namespace = namespace
        self._extra = extra
        self._job_name = ""
        self._submission: BackgroundCoroutine | None = None
        self._stopped = False

    def submit(self, training: TrainingJob) -> str:
        """Attach to the Job that already does this work, or create one; return its name.

        Raises:
            NightjarError: when the cluster rejects the Job or does not answer, or :meth:`stop` was called meanwhile.
        """
        self._job_name = training.name

        async def attach_or_submit(cluster: TrainingClusterHook) -> str:
            await cancellations.retry_pending(cluster)
            return await cluster.attach_or_submit(training, lambda: _forget_failure(training.spec))

        self._submission = self._run_on_cluster(attach_or_submit)
        self._job_name = self._submission.result()
        if self._stopped:
            raise TrainingError(
                "the training was stopped", where=f"Job {self._job_name}", fix="clear the task to start again"
            )
        return self._job_name

    def conclude(self, spec: JobSpec, job_name: str, outcome: Outcome, *, last_try: bool) -> JobResult:
        """Return the result of a Job that has ended; write a failed result and its ledger event where they are missing.

        A Job that cannot be observed is left running, so that the next attempt can attach to it; on the last attempt it
        is cancelled. A Job that Airflow may not read is always left alone. The program's own failed result stands,
        unless an earlier action of the cluster explains it.

        Raises:
            NightjarError: explaining why the result is missing.
        """
        self._job_name = job_name
        if outcome.ending == "succeeded":
            return required_result(spec)
        error = outcome.error
        if outcome.ending in ("unreachable", "refused"):
            if last_try and outcome.ending == "unreachable":
                self._cancel(error)
            raise error
        self._cancel(error)
        result = result_of(spec)
        if result is not None and result.status == "failed" and not _explained_by(outcome, result):
            return result
        report_failure(spec_uri(spec), error, os.environ)
        if outcome.ending == "timed_out":
            raise error
        return required_result(spec)

    def stop(self) -> None:
        """Cancel the Job with its pods and its Service. Safe at any time, also from a signal handler."""
        self._stopped = True
        if self._submission is not None:
            try:
                self._job_name = self._submission.result(STOP_SECONDS)
            except (NightjarError, TimeoutError) as error:
                log.warning("the Job %s was not made when the task was stopped: %s", self._job_name, error)
        if self._job_name:
            try:
                self._run_on_cluster(lambda cluster: cancellations.cancel(cluster, self._job_name)).result(STOP_SECONDS)
            except (NightjarError, TimeoutError) as error:
                log.error("the Job %s is not cancelled yet; the next run does it: %s", self._job_name, error)

    def _cancel(self, because: NightjarError) -> None:
        """Cancel the Job unless it has ended; if that fails, the task still fails with ``because``."""
        try:
            self._run_on_cluster(lambda cluster: cancellations.cancel(cluster, self._job_name)).result()
        except NightjarError as error:
            log.error("the Job %s is not cancelled yet; the next run does it (%s): %s", self._job_name, error, because)

    def _run_on_cluster(self, work: Callable[[TrainingClusterHook], Awaitable[Any]]) -> BackgroundCoroutine:
        async def opened() -> Any:
            async with TrainingClusterHook(self._conn_id, self._namespace, self._extra) as cluster:
                return await work(cluster)

        return BackgroundCoroutine(opened())


def _forget_failure(spec: JobSpec) -> None:
    """Remove the failed result of an earlier Job, so that it is not read as the next Job's."""
    result = result_of(spec)
    if result is not None and result.status == "failed":
        from nightjar.lake import files

        files.delete_file(f"{spec.output}/result.json")


def _explained_by(outcome: Outcome, result: JobResult) -> bool:
    """Return whether a failed result only reflects an action of the cluster: a rank was removed or all were stopped."""
    return outcome.outranks_result or result.error_kind == LostRankError.kind
