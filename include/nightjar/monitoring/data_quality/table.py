"""``monitoring/landing``: figures of each night's landed data; ``monitoring/warnings``: problems with them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from nightjar.declaration.rules import NightSeverity
from nightjar.declaration.tables import DS, Column, TableSchema
from nightjar.lake.lake import Lake
from nightjar.monitoring.incidents.findings import Finding, FindingKind
from nightjar.monitoring.stored_row_errors import naming_stored_row
from nightjar.protocol.documents import parse_object
from nightjar.validation.expected_range import HISTORY_NIGHTS
from nightjar.validation.figures import QUANTILES, Figures
from nightjar.validation.judged import UNKNOWN_COLUMN, Judged, NightFigures

RUNBOOK = "docs/runbooks/data.md"
_COLUMN = "Column of the table; empty for the table as a whole."

LANDING_TABLE = TableSchema(
    name="monitoring/landing",
    comment="Figures of every landed column; the expected ranges of later nights are derived from them.",
    key=("use_case", "table_name", "column_name"),
    partition_by=("ds", "use_case"),
    columns=(
        DS,
        Column("use_case", "string", "Use case.", nullable=False),
        Column("table_name", "string", "Table that the rows landed for.", nullable=False),
        Column("column_name", "string", _COLUMN, nullable=False),
        Column("rows", "long", "Rows used; for the table as a whole: rows landed.", nullable=False),
        Column("nulls", "long", "Rows without a value; for the table as a whole: rejected rows.", nullable=False),
        Column("distinct_values", "long", "Distinct values (of up to 5,000 rows).", nullable=False),
        Column("mean", "double", "Mean; timestamps in hours since ds, dates in days since ds."),
        Column("std", "double", "Standard deviation."),
        Column("minimum", "double", "Smallest value."),
        Column("maximum", "double", "Largest value."),
        *(Column(name, "double", f"{share:.0%} quantile (of up to 5,000 rows).") for name, share in QUANTILES.items()),
        Column("categories", "string", "Shares of the most frequent values of a text column, as JSON.", nullable=False),
        Column("dag_run_id", "string", "Airflow run that checked the night.", nullable=False),
    ),
)
WARNINGS_TABLE = TableSchema(
    name="monitoring/warnings",
    comment="Problems with a night's data: broken night rules, row warnings, undeclared anomalies.",
    partition_by=("ds", "use_case"),
    columns=(
        DS,
        Column("use_case", "string", "Use case.", nullable=False),
        Column("table_name", "string", "Table that the rows landed for.", nullable=False),
        Column("column_name", "string", _COLUMN, nullable=False),
        Column("figure", "string", "Checked figure, e.g. null_share.", nullable=False),
        Column("rule", "string", "Declared rule; empty for an undeclared anomaly.", nullable=False),
        Column("severity", "string", "warn, or stop_night when it stopped the night.", nullable=False),
        Column("observed", "double", "Observed value of the figure.", nullable=False),
        Column("low", "double", "Lower bound of the expected range; null for none."),
        Column("high", "double", "Upper bound of the expected range; null for none."),
        Column("usual", "double", "Usual value; null where the bounds are absolute."),
        Column("what", "string", "The finding in one sentence.", nullable=False),
        Column("dag_run_id", "string", "Airflow run that checked the night.", nullable=False),
    ),
)


@dataclass(frozen=True, kw_only=True)
class LandingRow:
    """A row of :data:`LANDING_TABLE`."""

    ds: date
    use_case: str
    table_name: str
    column_name: str
    rows: int
    nulls: int
    distinct_values: int
    mean: float | None
    std: float | None
    minimum: float | None
    maximum: float | None
    p05: float | None
    p25: float | None
    p50: float | None
    p75: float | None
    p95: float | None
    categories: str
    dag_run_id: str

    @property
    def quantiles(self) -> dict[str, float]:
        """The quantiles that are known, by name."""
        values = {"p05": self.p05, "p25": self.p25, "p50": self.p50, "p75": self.p75, "p95": self.p95}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class WarningRow:
    """A row of :data:`WARNINGS_TABLE`."""

    ds: date
    use_case: str
    table_name: str
    column_name: str
    figure: str
    rule: str
    severity: NightSeverity
    observed: float
    low: float | None
    high: float | None
    usual: float | None
    what: str
    dag_run_id: str

    @property
    def rank(self) -> tuple[bool, float, str, str]:
        """Sort key: the largest is the worst."""
        return self.severity == "stop_night", self.severity_ratio, self.column_name, self.figure

    @property
    def severity_ratio(self) -> float:
        """Distance of the figure from the usual value, as a multiple of the distance of the exceeded bound.

        Without a usual value, or where the bound equals it: the ratio of the figure and the bound.
        """
        bound = self.high if self.high is not None and self.observed > self.high else self.low
        if bound is None:
            return 1.0
        if self.usual is not None and bound != self.usual:
            return max(1.0, abs(self.observed - self.usual) / abs(bound - self.usual))
        smaller, larger = sorted((abs(self.observed), abs(bound)))
        return max(1.0, larger / smaller if smaller else larger)


History = dict[str, dict[date, NightFigures]]
"""Figures by table, night and column."""


def write_figures(lake: Lake, use_case: str, figures: History, nights: Iterable[date], *, run_id: str) -> int:
    """Replace the nights' figures and return the new table version."""
    rows = [
        LandingRow(
            ds=night,
            use_case=use_case,
            table_name=table,
            column_name=column,
            rows=column_figures.rows,
            nulls=column_figures.nulls,
            distinct_values=column_figures.distinct,
            mean=column_figures.mean,
            std=column_figures.std,
            minimum=column_figures.minimum,
            maximum=column_figures.maximum,
            **{name: column_figures.quantiles.get(name) for name in QUANTILES},
            categories=json.dumps(dict(column_figures.categories)),
            dag_run_id=run_id,
        )
        for table, by_night in figures.items()
        for night, columns in by_night.items()
        for column, column_figures in columns.items()
    ]
    return lake.table(LANDING_TABLE).replace(rows, nights, use_case=use_case, run_id=run_id)


def read_figures(lake: Lake, use_case: str, before: date) -> History:
    """Return the figures of the :data:`HISTORY_NIGHTS` nights before ``before``."""
    history: History = {}
    nights = [before - timedelta(days=days) for days in range(HISTORY_NIGHTS, 0, -1)]
    for row in lake.table(LANDING_TABLE).read_use_case(use_case, nights, LandingRow):
        columns: Any = history.setdefault(row.table_name, {}).setdefault(row.ds, {})
        with naming_stored_row(LANDING_TABLE):
            categories = parse_object(row.categories)
        columns[row.column_name] = Figures(
            rows=row.rows,
            nulls=row.nulls,
            distinct=row.distinct_values,
            mean=row.mean,
            std=row.std,
            minimum=row.minimum,
            maximum=row.maximum,
            quantiles=row.quantiles,
            categories=categories,
        )
    return history


def write_warnings(
    lake: Lake, use_case: str, warnings: Sequence[Judged], nights: Iterable[date], *, run_id: str
) -> int:
    """Replace the nights' warnings and return the new table version."""
    rows = [
        WarningRow(
            ds=warning.night,
            use_case=use_case,
            table_name=warning.table,
            column_name=warning.column,
            figure=warning.figure,
            rule=warning.rule,
            severity=warning.severity,
            observed=warning.observed,
            low=warning.low,
            high=warning.high,
            usual=warning.usual,
            what=warning.what,
            dag_run_id=run_id,
        )
        for warning in warnings
    ]
    return lake.table(WARNINGS_TABLE).replace(rows, nights, use_case=use_case, run_id=run_id)


def data_findings(lake: Lake, use_case: str, night: date) -> list[Finding]:
    """Return the problems with the night's data: one finding per table, described by the worst.

    An undeclared column is a finding of its own kind: no program reads it, and no data are broken.
    """
    grouped: dict[tuple[FindingKind, str], list[WarningRow]] = {}
    for row in lake.table(WARNINGS_TABLE).read_use_case(use_case, [night], WarningRow):
        kind: FindingKind = "contract" if row.figure == UNKNOWN_COLUMN else "data"
        grouped.setdefault((kind, row.table_name), []).append(row)
    return [_finding(kind, table, rows, use_case, lake) for (kind, table), rows in sorted(grouped.items())]


def read_warnings(lake: Lake, use_case: str, night: date) -> list[str] | None:
    """Return the problems with the night's data, one sentence each, the worst first; None when it was not checked."""
    if not lake.table(LANDING_TABLE).has_rows(use_case, night):
        return None
    warnings = lake.table(WARNINGS_TABLE).read_use_case(use_case, [night], WarningRow)
    return [row.what for row in sorted(warnings, key=lambda row: row.rank, reverse=True)]


def nights_of_broken_data(lake: Lake, use_case: str, nights: Iterable[date]) -> set[date]:
    """Return the nights that have a warning other than an undeclared column."""
    rows = lake.table(WARNINGS_TABLE).read_use_case(use_case, nights, WarningRow)
    return {row.ds for row in rows if row.figure != UNKNOWN_COLUMN}


def _finding(kind: FindingKind, table: str, rows: Sequence[WarningRow], use_case: str, lake: Lake) -> Finding:
    worst = max(rows, key=lambda row: row.rank)
    more = f"; and {len(rows) - 1} more" if len(rows) > 1 else ""
    return Finding(
        kind=kind,
        subject=table,
        night=worst.ds,
        what=f"{worst.what}{more}",
        severity="breach" if worst.severity == "stop_night" else "warn",
        severity_ratio=worst.severity_ratio,
        link=f"{lake.report_uri(use_case, worst.ds, 'drift')}#data",
        runbook=RUNBOOK,
    )
