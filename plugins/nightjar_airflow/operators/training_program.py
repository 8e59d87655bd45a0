"""The operator that runs one training program on one or more ranks."""

from __future__ import annotations

import os
import time
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException, AirflowTaskTimeout

from nightjar.lake import files
from nightjar.lake.results import read_spec
from nightjar.protocol.documents import dump_json, load_values
from nightjar.protocol.errors import ConfigurationError, TrainingError
from nightjar.protocol.programs import TRAINING_PROGRAMS
from nightjar_airflow.backends.kubernetes import PASSED_ON, KubernetesBackend
from nightjar_airflow.backends.local import LocalBackend, threads_per_rank
from nightjar_airflow.backends.result import spec_uri as spec_uri_of
from nightjar_airflow.cluster.manifests import TrainingJob
from nightjar_airflow.cluster.outcome import Outcome
from nightjar_airflow.cluster.settings import ClusterSettings
from nightjar_airflow.failure import one_line_failure
from nightjar_airflow.operators.program import ProgramOperator
from nightjar_airflow.specs import build_spec
from nightjar_airflow.usage import of_training

if TYPE_CHECKING:
    from airflow.sdk import Connection, Context


class TrainingProgramOperator(ProgramOperator):
    """Runs ``nightjar_jobs.<program>`` under torchrun's launch contract, one process per rank.

    The type of the training connection decides where: with ``local``, ranks are processes of this machine; with
    ``kubernetes`` they are pods of a Job, and the task waits for it without a worker.

    Args:
        use_case: The use case.
        program: Name of the program; also the default task id.
        world_size: Number of ranks; on one machine they share its cores.
        at_once: Number of mapped instances that run in parallel; on one machine they share its cores too.
        training_conn_id: Airflow connection for trainings.
    """

    programs = TRAINING_PROGRAMS
    ui_color = "#e3e8f4"

    def __init__(
        self, *, world_size: int = 1, at_once: int = 1, training_conn_id: str = "training_default", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.world_size = world_size
        self.at_once = at_once
        self.training_conn_id = training_conn_id
        self._backend: LocalBackend | KubernetesBackend | None = None

    @one_line_failure
    def execute(self, context: Context) -> dict[str, Any]:
        """Run the program, and return rows, versions and metrics of its result."""
        connection = self._connection()
        if connection.conn_type == "local":
            return self._execute_locally(context)
        if connection.conn_type == "kubernetes":
            return self._execute_on_cluster(context, connection.extra_dejson)
        raise ConfigurationError(
            f"trainings cannot run on a connection of type {connection.conn_type!r}",
            where=f"connection {self.training_conn_id}, conn_type",
            fix="choose `local` (processes of this machine) or `kubernetes`",
        )

    @one_line_failure
    def execute_complete(self, context: Context, event: dict[str, Any], job_name: str, spec_uri: str) -> dict[str, Any]:
        """Resume the task after the trigger has seen its Job end.

        Args:
            context: Airflow's context.
            event: An :class:`Outcome`.
            job_name: Watched Job.
            spec_uri: Location of the spec that the Job was made for.
        """
        outcome = load_values(Outcome, event)
        extra = self._connection().extra_dejson
        ti = context["ti"]
        if outcome.ending == "gone" and not job_name.endswith(f"-{ti.try_number}"):
            self.log.warning("the Job %s of an earlier attempt was cancelled: this attempt makes its own", job_name)
            return self._execute_on_cluster(context, extra)
        spec = read_spec(spec_uri)
        namespace = ClusterSettings.from_extra(extra, self.training_conn_id).namespace
        self._backend = backend = KubernetesBackend(self.training_conn_id, namespace, extra)
        try:
            result = backend.conclude(spec, job_name, outcome, last_try=ti.try_number > ti.max_tries)
        except TrainingError as error:
            if outcome.ending == "timed_out":
                raise AirflowTaskTimeout(str(error)) from None
            raise
        return self._conclude(context, spec, result, partial(of_training, self.use_case, spec))

    def on_kill(self) -> None:
        """Stop all ranks together, processes or pods."""
        if self._backend is not None:
            self._backend.stop()

    def _connection(self) -> Connection:
        try:
            return BaseHook.get_connection(self.training_conn_id)
        except AirflowNotFoundException as error:
            raise ConfigurationError(
                f"the connection {self.training_conn_id} does not exist",
                where=f"AIRFLOW_CONN_{self.training_conn_id.upper()}",
                fix='say where trainings run, on one machine {"conn_type": "local"} (docs/configuration.md)',
            ) from error

    def _execute_locally(self, context: Context) -> dict[str, Any]:
        threads = threads_per_rank(self.world_size * self.at_once)
        spec = build_spec(context, self.use_case, self.program, world_size=self.world_size, threads_per_rank=threads)
        files.write_text(spec_uri_of(spec), dump_json(spec))
        self._backend = backend = LocalBackend(spec, self.log.info)
        return self._conclude(context, spec, backend.run(), partial(of_training, self.use_case, spec))

    def _execute_on_cluster(self, context: Context, extra: dict[str, Any]) -> NoReturn:
        """Create the Job, or attach to it, and wait for it without a worker."""
        from nightjar_airflow.triggers.training_job import TrainingJobTrigger

        settings = ClusterSettings.from_extra(extra, self.training_conn_id)
        resources = self.use_case.training.resources_of(self.program)
        spec = build_spec(
            context, self.use_case, self.program, world_size=self.world_size, threads_per_rank=resources.cpus
        )
        uri = spec_uri_of(spec)
        training = TrainingJob(
            spec=spec,
            spec_uri=uri,
            try_number=context["ti"].try_number,
            max_tries=context["ti"].max_tries,
            resources=resources,
            settings=settings,
            environ={name: os.environ[name] for name in PASSED_ON if name in os.environ},
        )
        files.write_text(uri, dump_json(spec))
        self._backend = backend = KubernetesBackend(self.training_conn_id, settings.namespace, extra)
        job_name = backend.submit(training)
        timeout = self.execution_timeout
        self.defer(
            trigger=TrainingJobTrigger(
                conn_id=self.training_conn_id,
                namespace=settings.namespace,
                job_name=job_name,
                world_size=spec.world_size,
                start_timeout_seconds=settings.start_timeout_seconds,
                deadline=time.time() + timeout.total_seconds() if timeout else None,
            ),
            method_name="execute_complete",
            kwargs={"job_name": job_name, "spec_uri": uri},
        )
