"""Which kinds of findings a night was looked at for: where nobody looked, nothing is over."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from nightjar.declaration.tables import TableSchema
from nightjar.declaration.use_case import UseCase
from nightjar.monitoring.data_quality.table import LANDING_TABLE
from nightjar.monitoring.drift.table import DRIFT_TABLE
from nightjar.monitoring.incidents.findings import FindingKind
from nightjar.monitoring.nightly_rows import stored_rows
from nightjar.monitoring.performance.table import PERFORMANCE_TABLE
from nightjar.monitoring.skew.table import SKEW_TABLE


def kinds_looked_for(lake: str, use_case: UseCase, night: date) -> set[FindingKind]:
    """The kinds for which ``night`` has left figures, with findings or without.

    Performance was looked at when an earlier night's labels were enough to judge it; skew when a served night could be
    compared.
    """

    def rows(schema: TableSchema, ds: date, *columns: str) -> list[dict[str, Any]]:
        return stored_rows(lake, schema, use_case.name, [ds], columns)

    matured = night - timedelta(days=use_case.performance.matured_after_nights)
    judged = rows(PERFORMANCE_TABLE, matured, "judged_on", "verdict")
    landed = bool(rows(LANDING_TABLE, night))
    looks: dict[FindingKind, bool] = {
        "contract": landed,
        "data": landed,
        "drift": bool(rows(DRIFT_TABLE, night)),
        "performance": any(row["judged_on"] == night and row["verdict"] == "judged" for row in judged),
        "skew": any(row["verdict"] != "not_judged" for row in rows(SKEW_TABLE, night, "verdict")),
    }
    return {kind for kind, looked in looks.items() if looked}
