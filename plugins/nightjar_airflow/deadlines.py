"""From when a night's deadline counts."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from airflow.sdk.definitions.deadline import BaseDeadlineReference

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


class ScheduledEnd(BaseDeadlineReference):
    """The end of a scheduled run's data interval, at which the schedule starts it, however many hours the night had.

    Runs that people and backfills make have no deadline: a night of the past is late by nature. Registered by the
    plugin; the scheduler evaluates it when it makes a run. From the moment of queueing would be plainer, but then
    clearing a run fails (apache/airflow#70368).
    """

    required_kwargs: ClassVar[set[str]] = {"dag_id", "run_id"}

    def _evaluate_with(self, *, session: Session, dag_id: str, run_id: str) -> datetime | None:
        from airflow.models import DagRun
        from sqlalchemy import select

        columns = select(DagRun.run_type, DagRun.data_interval_end)
        run = session.execute(columns.where(DagRun.dag_id == dag_id, DagRun.run_id == run_id)).one()
        return run.data_interval_end if run.run_type == "scheduled" else None
