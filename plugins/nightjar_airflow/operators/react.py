"""The operator that ends a night: incidents become alerts, and a training is asked for where the policy wants one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nightjar.declaration.use_case import UseCase
from nightjar.monitoring.incidents.notifications import Notification
from nightjar.protocol.job import JobResult, JobSpec
from nightjar_airflow.failure import one_line_failure
from nightjar_airflow.hooks.spark_application import SparkApplicationHook
from nightjar_airflow.notifiers.deadline import night_in_time
from nightjar_airflow.notifiers.incidents import notify_incidents, read_notification_state
from nightjar_airflow.operators.spark_program import SparkProgramOperator
from nightjar_airflow.outcome import RETRAIN
from nightjar_airflow.specs import build_spec

if TYPE_CHECKING:
    from airflow.sdk import Context


class ReactOperator(SparkProgramOperator):
    """Runs ``react``, tells people what is new, and asks for a training where it says so.

    Nights of a backfill, and nights before the last one that people were told of, are history: they tell nobody and
    ask for nothing. What is still wrong after a backfill is told by the next night. Cleared on the last night, it tells
    what is new; a training that it asked for is asked for again, as nobody knows whether the first event was taken.

    Args:
        use_case: The use case.
    """

    def __init__(self, *, use_case: UseCase, **kwargs: Any) -> None:
        super().__init__(use_case=use_case, program="react", **kwargs)
        self.history = False

    @one_line_failure
    def execute(self, context: Context) -> dict[str, Any]:
        """Run the program, send what is new, and return its summary."""
        night, run = build_spec(context, self.use_case, self.program).last_night, context["dag_run"]
        self.history = run.run_type == "backfill" or read_notification_state(self.use_case.name).is_history(night)
        summary: dict[str, Any] = super().execute(context)
        if self.history:
            self.log.info("%s is history: nobody is told, and no training asked for", night)
            self.outlets[:] = [outlet for outlet in self.outlets if not outlet.name.startswith(RETRAIN)]
            return summary
        notifications = self.result.values["notifications"] if self.result else []
        notify_incidents(self.use_case.name, [Notification.of(one) for one in notifications], night, context)
        if run.run_type == "scheduled":
            night_in_time(self.use_case, context)
        return summary

    def _run(self, hook: SparkApplicationHook, spec: JobSpec) -> JobResult:
        """With the word whether this is history, on which the program's decision depends."""
        return super()._run(hook, replace(spec, params={**spec.params, "history": self.history}))
