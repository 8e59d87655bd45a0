"""The finding of a night that has drifted, from ``monitoring/drift``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from nightjar.declaration.use_case import UseCase
from nightjar.lake.lake import Lake
from nightjar.monitoring.drift.table import DRIFT_TABLE, ColumnVerdict
from nightjar.monitoring.incidents.findings import Finding

RUNBOOK = "docs/runbooks/drift.md"
_NAMED = 5


def drift_findings(lake: Lake, use_case: UseCase, night: date) -> list[Finding]:
    """Return a breach when more than the tolerated share of monitored columns moved; it names the worst."""
    watched = _read_watched(lake, use_case, [night]).get(night, [])
    if not _has_drifted(watched, use_case):
        return []
    moved = sorted(_moved(watched), key=lambda row: (-row.psi, row.column_name))
    tolerated = use_case.monitoring.drift.max_drifted_share
    worst = ", ".join(f"{row.column_name} ({row.psi:.2f})" for row in moved[:_NAMED])
    return [
        Finding(
            kind="drift",
            subject=use_case.feature_table.name,
            night=night,
            what=f"{len(moved)} of {len(watched)} monitored columns moved, {tolerated:.0%} are tolerated; "
            f"worst: {worst}",
            severity="breach",
            severity_ratio=len(moved) / len(watched) / tolerated if tolerated else float(len(moved)),
            link=lake.report_uri(use_case.name, night, "drift"),
            runbook=RUNBOOK,
        )
    ]


def drifted_nights(lake: Lake, use_case: UseCase, nights: Sequence[date], *, model_version: str) -> set[date]:
    """Return the nights with the verdict drift against the training set of ``model_version``."""
    by_night = _read_watched(lake, use_case, nights)
    return {
        night
        for night, rows in by_night.items()
        if all(row.model_version == model_version for row in rows) and _has_drifted(rows, use_case)
    }


def _read_watched(lake: Lake, use_case: UseCase, nights: Sequence[date]) -> dict[date, list[ColumnVerdict]]:
    """Read the rows of the monitored columns, by night."""
    by_night: dict[date, list[ColumnVerdict]] = {}
    for row in lake.table(DRIFT_TABLE).read_use_case(use_case.name, nights, ColumnVerdict):
        if row.verdict != "not_watched":
            by_night.setdefault(row.ds, []).append(row)
    return by_night


def _moved(watched: Sequence[ColumnVerdict]) -> list[ColumnVerdict]:
    return [row for row in watched if row.verdict == "drift"]


def _has_drifted(watched: Sequence[ColumnVerdict], use_case: UseCase) -> bool:
    return bool(watched) and len(_moved(watched)) / len(watched) > use_case.monitoring.drift.max_drifted_share
