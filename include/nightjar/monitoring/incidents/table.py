"""``monitoring/incidents``: one row per incident and night, from the first night to the one that resolves it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date, timedelta

from nightjar.declaration.tables import DS, Column, TableSchema
from nightjar.lake.lake import Lake
from nightjar.monitoring.incidents.lifecycle import Incident

INCIDENTS_TABLE = TableSchema(
    name="monitoring/incidents",
    comment="Incidents, one row for each night that they last: what happened, how severe it is, since when.",
    key=("use_case", "incident_id"),
    partition_by=("ds", "use_case"),
    columns=(
        DS,
        Column("use_case", "string", "Use case.", nullable=False),
        Column("incident_id", "string", "The same on all nights of an incident.", nullable=False),
        Column("kind", "string", "contract, data, drift, performance or skew.", nullable=False),
        Column("subject", "string", "Table, column or metric with the problem.", nullable=False),
        Column("state", "string", "opened, open or resolved.", nullable=False),
        Column("severity", "string", "warn, or breach where it counts for a verdict.", nullable=False),
        Column("opened_on", "date", "First night.", nullable=False),
        Column("found", "boolean", "Whether this night has the finding.", nullable=False),
        Column("nights", "int", "Nights with the finding so far.", nullable=False),
        Column(
            "quiet_nights", "int", "Checked nights without the finding since the last night with it.", nullable=False
        ),
        Column("severity_ratio", "double", "Observed / tolerated figure of the last finding.", nullable=False),
        Column("worst_severity_ratio", "double", "Largest severity_ratio so far.", nullable=False),
        Column("what", "string", "The last finding in one sentence.", nullable=False),
        Column("link", "string", "Where to look.", nullable=False),
        Column("runbook", "string", "What to do.", nullable=False),
        Column("dag_run_id", "string", "Airflow run that checked the night.", nullable=False),
    ),
)
MAX_GAP_NIGHTS = 30
"""Maximum gap between two monitored nights; incidents that were open before a longer gap are dropped."""


@dataclass(frozen=True, kw_only=True)
class IncidentRow(Incident):
    """A row of :data:`INCIDENTS_TABLE`: an incident on one night."""

    ds: date
    use_case: str
    dag_run_id: str


def write_incidents(lake: Lake, use_case: str, incidents: Sequence[Incident], night: date, *, run_id: str) -> int:
    """Replace the night's incidents and return the new table version."""
    rows = [IncidentRow(ds=night, use_case=use_case, dag_run_id=run_id, **vars(incident)) for incident in incidents]
    return lake.table(INCIDENTS_TABLE).replace(rows, [night], use_case=use_case, run_id=run_id)


def incidents_before(lake: Lake, use_case: str, night: date) -> list[Incident]:
    """Return the incidents of the latest of the :data:`MAX_GAP_NIGHTS` nights before ``night`` that has any."""
    by_night = read_incidents(lake, use_case, [night - timedelta(days=i) for i in range(1, MAX_GAP_NIGHTS + 1)])
    return by_night[max(by_night)] if by_night else []


def read_incidents(lake: Lake, use_case: str, nights: Sequence[date]) -> dict[date, list[Incident]]:
    """Return the incidents of each of ``nights`` that has any."""
    by_night: dict[date, list[Incident]] = {}
    for row in lake.table(INCIDENTS_TABLE).read_use_case(use_case, nights, IncidentRow):
        by_night.setdefault(row.ds, []).append(_incident(row))
    return by_night


def _incident(row: IncidentRow) -> Incident:
    return Incident(**{field.name: getattr(row, field.name) for field in fields(Incident)})
