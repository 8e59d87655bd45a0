"""The setup task that starts the run's Spark application."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from nightjar.declaration.use_case import UseCase
from nightjar.protocol.programs import ApplicationFolder
from nightjar_airflow.failure import one_line_failure
from nightjar_airflow.hooks.spark_application import SparkApplicationHook
from nightjar_airflow.specs import nights_of_run, run_dir

if TYPE_CHECKING:
    from airflow.sdk import Context


class StartSparkOperator(BaseOperator):
    """Checks the run's params, then starts the Spark application that the run's tasks share.

    Args:
        use_case: The use case.
        spark_conn_id: Airflow connection of Spark.
    """

    ui_color = "#f0ead8"

    def __init__(self, *, use_case: UseCase, spark_conn_id: str = "spark_default", **kwargs: Any) -> None:
        super().__init__(**{"task_id": "start_spark", **kwargs})
        self.use_case = use_case
        self.spark_conn_id = spark_conn_id
        self._hook: SparkApplicationHook | None = None

    @one_line_failure
    def execute(self, context: Context) -> None:
        """Start the application, or attach to it."""
        nights_of_run(context, self.use_case).check_past(datetime.now(UTC))
        self._hook = SparkApplicationHook(ApplicationFolder.of_run(run_dir(context)), conn_id=self.spark_conn_id)
        self._hook.ensure()

    def on_kill(self) -> None:
        """Stop the application, ready or starting: without this task, no other task will use it."""
        if self._hook is not None:
            self._hook.end()
