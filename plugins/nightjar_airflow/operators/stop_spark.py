"""The teardown task that ends the run's Spark application."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from nightjar.declaration.use_case import UseCase
from nightjar.protocol.programs import ApplicationFolder
from nightjar_airflow.failure import one_line_failure
from nightjar_airflow.hooks.spark_application import SparkApplicationHook
from nightjar_airflow.specs import run_dir

if TYPE_CHECKING:
    from airflow.sdk import Context


class StopSparkOperator(BaseOperator):
    """Stops the Spark application of the run, whether the night succeeded or failed.

    Args:
        use_case: The use case.
        spark_conn_id: Airflow connection of Spark.
    """

    ui_color = "#f0ead8"

    def __init__(self, *, use_case: UseCase, spark_conn_id: str = "spark_default", **kwargs: Any) -> None:
        super().__init__(**{"task_id": "stop_spark", **kwargs})
        self.use_case = use_case
        self.spark_conn_id = spark_conn_id

    @one_line_failure
    def execute(self, context: Context) -> None:
        """Stop the application, and kill a local one that does not respond."""
        SparkApplicationHook(ApplicationFolder.of_run(run_dir(context)), conn_id=self.spark_conn_id).stop()
