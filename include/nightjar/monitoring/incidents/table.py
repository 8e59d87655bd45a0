"""``monitoring/incidents``: one row an incident and night, from the night that it opens to the one that resolves it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import date, timedelta
from typing import Any

from nightjar.declaration.tables import DS, Column, TableSchema
from nightjar.monitoring.incidents.lifecycle import Incident
from nightjar.monitoring.nightly_rows import replace_rows, stored_rows

INCIDENTS_TABLE = TableSchema(
    name="monitoring/incidents",
    comment="Incidents, night by night while they last: what is wrong, how bad, since when.",
    key=("use_case", "incident_id"),
    partition_by=("ds", "use_case"),
    columns=(
        DS,
        Column("use_case", "string", "Use case.", nullable=False),
        Column("incident_id", "string", "The same on all nights of an incident.", nullable=False),
        Column("kind", "string", "contract, data, drift, performance or skew.", nullable=False),
        Column("subject", "string", "What it is about.", nullable=False),
        Column("state", "string", "opened, open or resolved.", nullable=False),
        Column("severity", "string", "warn, or breach where it counts for a verdict.", nullable=False),
        Column("opened_on", "date", "First night.", nullable=False),
        Column("found", "boolean", "It was found on this night.", nullable=False),
        Column("nights", "int", "Nights with the finding so far.", nullable=False),
        Column(
            "quiet_nights", "int", "Nights that were looked at without it, since it was last found.", nullable=False
        ),
        Column("badness", "double", "Multiple of what is tolerated, when last found.", nullable=False),
        Column("worst_badness", "double", "The greatest so far.", nullable=False),
        Column("what", "string", "The last finding in one sentence.", nullable=False),
        Column("link", "string", "Where to look.", nullable=False),
        Column("runbook", "string", "What to do.", nullable=False),
        Column("dag_run_id", "string", "Airflow run that looked.", nullable=False),
    ),
)
LOOKED_BACK_NIGHTS = 30
"""Nights that may be missing between two that were watched; what was open before them is forgotten."""
_FIELDS = tuple(f.name for f in fields(Incident))


def write_incidents(lake: str, use_case: str, incidents: Sequence[Incident], night: date, *, run_id: str) -> int:
    """Replace the night's incidents; return the version made."""
    rows = [{"ds": night, "use_case": use_case, **asdict(one), "dag_run_id": run_id} for one in incidents]
    return replace_rows(lake, INCIDENTS_TABLE, rows, [night], use_case=use_case, run_id=run_id)


def incidents_before(lake: str, use_case: str, night: date) -> list[Incident]:
    """The incidents of the last night before ``night`` that has any, of the :data:`LOOKED_BACK_NIGHTS` before it."""
    by_night = read_incidents(lake, use_case, [night - timedelta(days=i) for i in range(1, LOOKED_BACK_NIGHTS + 1)])
    return by_night[max(by_night)] if by_night else []


def read_incidents(lake: str, use_case: str, nights: Sequence[date]) -> dict[date, list[Incident]]:
    """Night to its incidents, for the nights that have any."""
    found: dict[date, list[Incident]] = {}
    for row in stored_rows(lake, INCIDENTS_TABLE, use_case, nights):
        found.setdefault(row["ds"], []).append(_incident(row))
    return found


def _incident(row: dict[str, Any]) -> Incident:
    return Incident(**{name: row[name] for name in _FIELDS})
