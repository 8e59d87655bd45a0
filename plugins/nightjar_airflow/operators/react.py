"""The last operator of a night: notify of incidents, and request a training when the policy says so."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nightjar.declaration.use_case import UseCase
from nightjar.protocol.job import JobSpec
from nightjar.protocol.results import ReactResult
from nightjar_airflow.failure import one_line_failure
from nightjar_airflow.notifiers.deadline import night_in_time
from nightjar_airflow.notifiers.incidents import notify_incidents, read_notification_state
from nightjar_airflow.operators.plain_program import PlainProgramOperator
from nightjar_airflow.outcome import RETRAIN
from nightjar_airflow.specs import nights_of_run

if TYPE_CHECKING:
    from airflow.sdk import Context


class ReactOperator(PlainProgramOperator):
    """Runs ``react``, sends new notifications, and requests a training when the program says so.

    Nights of a backfill, and nights before the last notified one, are history: they send no notifications and request
    no training. Problems that remain after a backfill are reported by the next night. When cleared on the last night,
    it sends new notifications and repeats its training request, as the first event may not have been consumed.

    Args:
        use_case: The use case.
    """

    def __init__(self, *, use_case: UseCase, **kwargs: Any) -> None:
        super().__init__(use_case=use_case, program="react", **kwargs)
        self.history = False

    @one_line_failure
    def execute(self, context: Context) -> dict[str, Any]:
        """Run the program, send what is new, and return its summary."""
        night, run = nights_of_run(context, self.use_case).last, context["dag_run"]
        self.history = run.run_type == "backfill" or read_notification_state(self.use_case.name).is_history(night)
        summary: dict[str, Any] = super().execute(context)
        if self.history:
            self.log.info("%s is history: no notification is sent, and no training requested", night)
            self.outlets[:] = [outlet for outlet in self.outlets if not outlet.name.startswith(RETRAIN)]
            return summary
        notifications = self.result.notifications if isinstance(self.result, ReactResult) else ()
        notify_incidents(self.use_case.name, notifications, night, context)
        if run.run_type == "scheduled":
            night_in_time(self.use_case, context)
        return summary

    def _spec(self, context: Context) -> JobSpec:
        """Return the spec with the param ``history``, which affects the program's decision."""
        spec = super()._spec(context)
        return replace(spec, params={**spec.params, "history": self.history})
