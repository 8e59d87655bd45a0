"""Kinds of findings that a night was checked for: only checked kinds can be resolved."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from nightjar.declaration.use_case import UseCase
from nightjar.lake.lake import Lake
from nightjar.monitoring.data_quality.table import LANDING_TABLE
from nightjar.monitoring.drift.table import DRIFT_TABLE
from nightjar.monitoring.incidents.findings import FindingKind
from nightjar.monitoring.performance.table import PERFORMANCE_TABLE
from nightjar.monitoring.skew.table import SKEW_TABLE, SkewRow


@dataclass(frozen=True, kw_only=True)
class _JudgedRow:
    """Columns of :data:`PERFORMANCE_TABLE` that hold whether a row is judged."""

    judged_on: date | None
    verdict: str


def checked_kinds(lake: Lake, use_case: UseCase, night: date) -> set[FindingKind]:
    """Return the kinds that ``night`` was checked for, with or without findings.

    Performance is checked when the night judged an earlier one with enough labels; skew when it compared a served
    night.
    """
    matured = night - timedelta(days=use_case.matured_after_nights)
    judged = lake.table(PERFORMANCE_TABLE).read_use_case(use_case.name, [matured], _JudgedRow)
    skew = lake.table(SKEW_TABLE).read_use_case(use_case.name, [night], SkewRow)
    has_landed = lake.table(LANDING_TABLE).has_rows(use_case.name, night)
    is_checked: dict[FindingKind, bool] = {
        "contract": has_landed,
        "data": has_landed,
        "drift": lake.table(DRIFT_TABLE).has_rows(use_case.name, night),
        "performance": any(row.judged_on == night and row.verdict == "judged" for row in judged),
        "skew": any(row.verdict != "not_judged" for row in skew),
    }
    return {kind for kind, checked in is_checked.items() if checked}
