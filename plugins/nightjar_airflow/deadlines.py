"""Reference time of a night's deadline."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, ClassVar
from zoneinfo import ZoneInfo

from airflow.sdk.definitions.deadline import BaseDeadlineReference

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


@dataclass(frozen=True)
class ScheduledEnd(BaseDeadlineReference):
    """The end of a scheduled run's data interval, at which the schedule starts it, also on days of 23 or 25 hours.

    These runs have no deadline: manual runs and backfills, since past nights are late anyway; nights after the last one
    of the sources, which are skipped; and runs that the scheduler created late because the DAG was paused or had no
    schedule when they were due. Registered by the plugin; the scheduler evaluates it when it creates a run. Airflow's
    reference to the queueing time would be simpler, but makes clearing a run fail (apache/airflow#70368).

    Args:
        timezone: IANA time zone of the nights.
        last_night: Latest night of the sources; None when they continue.
    """

    timezone: str
    last_night: date | None

    required_kwargs: ClassVar[set[str]] = {"dag_id", "run_id"}

    def serialize_reference(self) -> dict[str, Any]:
        """Return the reference as JSON values, for the scheduler."""
        last = self.last_night.isoformat() if self.last_night else None
        return {**super().serialize_reference(), "timezone": self.timezone, "last_night": last}

    @classmethod
    def deserialize_reference(cls, reference_data: dict[str, Any]) -> ScheduledEnd:
        """Return the reference from the result of :meth:`serialize_reference`."""
        last = reference_data["last_night"]
        return cls(reference_data["timezone"], date.fromisoformat(last) if last else None)

    def _evaluate_with(self, *, session: Session, dag_id: str, run_id: str) -> datetime | None:
        from airflow.models import DagRun
        from sqlalchemy import select

        columns = select(DagRun.run_type, DagRun.data_interval_start, DagRun.data_interval_end)
        run = session.execute(columns.where(DagRun.dag_id == dag_id, DagRun.run_id == run_id)).one()
        if run.run_type != "scheduled" or self._is_after_last_night(run.data_interval_start):
            return None
        due: datetime = run.data_interval_end
        return due if _was_scheduled_at(session, dag_id, due) else None

    def _is_after_last_night(self, start: datetime) -> bool:
        return self.last_night is not None and start.astimezone(ZoneInfo(self.timezone)).date() > self.last_night


def _was_scheduled_at(session: Session, dag_id: str, due: datetime) -> bool:
    """Return whether the DAG had scheduled runs before ``due`` and was not unpaused after it.

    Airflow's audit log records when a DAG was unpaused.
    """
    from airflow.models import DagRun, Log
    from sqlalchemy import and_, or_, select

    earlier = select(DagRun.id).where(
        DagRun.dag_id == dag_id, DagRun.run_type == "scheduled", DagRun.data_interval_end < due
    )
    if session.execute(earlier.limit(1)).first() is None:
        return False
    from_ui = and_(Log.event.in_(("patch_dag", "patch_dags")), Log.extra.contains('"is_paused": false'))
    unpaused = select(Log.id).where(
        Log.dttm > due,
        or_(Log.dag_id == dag_id, Log.dag_id.is_(None)),  # unpausing on the page of all DAGs logs a pattern, no DAG id
        or_(from_ui, Log.event == "cli_dag_unpause"),
    )
    return session.execute(unpaused.limit(1)).first() is None
