"""Kinds of findings that a night was checked for: only checked kinds can be resolved."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from nightjar.declaration.tables import TableSchema
from nightjar.declaration.use_case import UseCase
from nightjar.lake.lake import Lake
from nightjar.monitoring.data_quality.table import LANDING_TABLE
from nightjar.monitoring.drift.table import DRIFT_TABLE
from nightjar.monitoring.incidents.findings import FindingKind
from nightjar.monitoring.performance.table import PERFORMANCE_TABLE
from nightjar.monitoring.skew.table import SKEW_TABLE


def checked_kinds(lake: Lake, use_case: UseCase, night: date) -> set[FindingKind]:
    """Return the kinds that ``night`` was checked for, with or without findings.

    Performance is checked when the night judged an earlier one with enough labels; skew when it compared a served
    night.
    """

    def read(schema: TableSchema, ds: date, *columns: str) -> list[dict[str, Any]]:
        return lake.table(schema).read_use_case(use_case.name, [ds], columns)

    matured = night - timedelta(days=use_case.monitoring.performance.matured_after_nights)
    judged = read(PERFORMANCE_TABLE, matured, "judged_on", "verdict")
    has_landed = bool(read(LANDING_TABLE, night))
    is_checked: dict[FindingKind, bool] = {
        "contract": has_landed,
        "data": has_landed,
        "drift": bool(read(DRIFT_TABLE, night)),
        "performance": any(row["judged_on"] == night and row["verdict"] == "judged" for row in judged),
        "skew": any(row["verdict"] != "not_judged" for row in read(SKEW_TABLE, night, "verdict")),
    }
    return {kind for kind, checked in is_checked.items() if checked}
