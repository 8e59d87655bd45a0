"""What ``monitoring/drift`` says is wrong with a night, in one finding."""

from __future__ import annotations

from datetime import date

from nightjar.contracts.use_case import UseCase
from nightjar.lake import delta
from nightjar.monitoring.findings import Finding
from nightjar.monitoring.records import DRIFT_TABLE, PastNight

RUNBOOK = "docs/runbooks/drift.md"
_NAMED = 5


def has_drifted(night: PastNight, use_case: UseCase) -> bool:
    """Whether a night's verdict was drift."""
    return bool(night.watched) and night.drifted / night.watched > use_case.drift.max_drifted_share


def drift_findings(lake: str, use_case: UseCase, night: date) -> list[Finding]:
    """A breach when more of the watched columns moved than are tolerated; names the worst."""
    if not delta.table_exists(lake, DRIFT_TABLE.name):
        return []
    columns = ["use_case", "column_name", "psi", "verdict"]
    rows = delta.read_nights(lake, DRIFT_TABLE.name, [night], columns).to_pylist()
    watched = [row for row in rows if row["use_case"] == use_case.name and row["verdict"] != "not_watched"]
    moved = sorted((row for row in watched if row["verdict"] == "drift"), key=lambda row: -row["psi"])
    tolerated = use_case.drift.max_drifted_share
    if not watched or len(moved) / len(watched) <= tolerated:
        return []
    worst = ", ".join(f"{row['column_name']} ({row['psi']:.2f})" for row in moved[:_NAMED])
    return [
        Finding(
            kind="drift",
            subject=use_case.feature_table.name,
            night=night,
            what=f"{len(moved)} of {len(watched)} watched columns moved, {tolerated:.0%} are tolerated; worst: {worst}",
            severity="breach",
            badness=len(moved) / len(watched) / tolerated if tolerated else float(len(moved)),
            link=f"{lake}/reports/{use_case.name}/{night}/drift.html",
            runbook=RUNBOOK,
        )
    ]
