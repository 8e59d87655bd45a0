"""The operator that runs one Spark program in the run's Spark application."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from nightjar.protocol.errors import NightjarError, UnreachableError
from nightjar.protocol.job import JobResult, JobSpec
from nightjar.protocol.programs import SPARK_PROGRAMS, ApplicationFolder
from nightjar_airflow import metrics
from nightjar_airflow.failure import one_line_failure
from nightjar_airflow.hooks.spark_application import SparkApplicationHook
from nightjar_airflow.operators.program import ProgramOperator
from nightjar_airflow.specs import build_spec
from nightjar_airflow.usage import of_spark

if TYPE_CHECKING:
    from airflow.sdk import Context


class SparkProgramOperator(ProgramOperator):
    """Runs ``nightjar_spark.<program>`` for the run's nights, in the run's Spark application.

    A dead application is replaced once and the program restarted: every program replaces its nights as a whole, so a
    second run only adds a table version. A retry of a task whose job is still running attaches to it.

    Args:
        use_case: The use case.
        program: Name of the program; also the default task id.
        spark_conn_id: Airflow connection of Spark.
    """

    programs = SPARK_PROGRAMS
    ui_color = "#e8f1ec"

    def __init__(self, *, spark_conn_id: str = "spark_default", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.spark_conn_id = spark_conn_id
        self._cancel: tuple[SparkApplicationHook, JobSpec] | None = None

    @one_line_failure
    def execute(self, context: Context) -> dict[str, Any]:
        """Run the program, pass on its log, and return rows, versions and metrics of its result."""
        spec = build_spec(context, self.use_case, self.program)
        hook = SparkApplicationHook(ApplicationFolder.of_run(spec.run_dir), conn_id=self.spark_conn_id)
        self._cancel = (hook, spec)
        usage = partial(of_spark, self.spark_conn_id)
        try:
            result = self._run_with_restart(hook, spec)
        except NightjarError as error:
            metrics.emit(context, self.use_case, spec, JobResult(status="failed", error=str(error)), usage)
            raise
        return self._conclude(context, spec, result, usage)

    def _run_with_restart(self, hook: SparkApplicationHook, spec: JobSpec) -> JobResult:
        """Run the program, and once more in a new application when the first has died."""
        try:
            return self._run(hook, spec)
        except UnreachableError as error:
            self.log.warning("%s", error)
            return self._run(hook, spec)

    def on_kill(self) -> None:
        """Cancel the job; the application keeps running for the run's other tasks."""
        if self._cancel is not None:
            hook, spec = self._cancel
            hook.cancel(spec)

    def _run(self, hook: SparkApplicationHook, spec: JobSpec) -> JobResult:
        hook.ensure()
        if hook.is_running(spec.task_id):
            self.log.info("the job is already running: waiting for it")
        else:
            hook.submit(spec)
        for result in hook.results(spec, on_line=self.log.info):
            if result is not None:
                return result
        raise NightjarError("the job ended without a result", where=spec.output, fix="clear the task")
