"""``monitoring/landing``: figures of each night's landed data; ``monitoring/warnings``: problems with them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from nightjar.declaration.tables import DS, Column, TableSchema
from nightjar.lake.lake import Lake
from nightjar.monitoring.incidents.findings import Finding, FindingKind
from nightjar.monitoring.nightly_rows import naming_stored_row
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
History = dict[str, dict[date, NightFigures]]
"""Figures by table, night and column."""


def write_figures(lake: Lake, use_case: str, figures: History, nights: Iterable[date], *, run_id: str) -> int:
    """Replace the nights' figures and return the new table version."""
    rows = [
        {
            "ds": night,
            "use_case": use_case,
            "table_name": table,
            "column_name": column,
            "rows": column_figures.rows,
            "nulls": column_figures.nulls,
            "distinct_values": column_figures.distinct,
            "mean": column_figures.mean,
            "std": column_figures.std,
            "minimum": column_figures.minimum,
            "maximum": column_figures.maximum,
            **{name: column_figures.quantiles.get(name) for name in QUANTILES},
            "categories": json.dumps(dict(column_figures.categories)),
            "dag_run_id": run_id,
        }
        for table, by_night in figures.items()
        for night, columns in by_night.items()
        for column, column_figures in columns.items()
    ]
    return lake.table(LANDING_TABLE).replace(rows, nights, use_case=use_case, run_id=run_id)


def read_figures(lake: Lake, use_case: str, before: date) -> History:
    """Return the figures of the :data:`HISTORY_NIGHTS` nights before ``before``."""
    history: History = {}
    nights = [before - timedelta(days=days) for days in range(HISTORY_NIGHTS, 0, -1)]
    for row in lake.table(LANDING_TABLE).read_use_case(use_case, nights):
        columns: Any = history.setdefault(row["table_name"], {}).setdefault(row["ds"], {})
        with naming_stored_row(LANDING_TABLE):
            categories = parse_object(row["categories"])
        columns[row["column_name"]] = Figures(
            distinct=row["distinct_values"],
            **{name: row[name] for name in ("rows", "nulls", "mean", "std", "minimum", "maximum")},
            quantiles={name: row[name] for name in QUANTILES if row[name] is not None},
            categories=categories,
        )
    return history


def write_warnings(
    lake: Lake, use_case: str, warnings: Sequence[Judged], nights: Iterable[date], *, run_id: str
) -> int:
    """Replace the nights' warnings and return the new table version."""
    copied = ("figure", "rule", "severity", "observed", "low", "high", "usual")
    rows = [
        {
            "ds": warning.night,
            "use_case": use_case,
            "table_name": warning.table,
            "column_name": warning.column,
            **{name: getattr(warning, name) for name in copied},
            "what": warning.what,
            "dag_run_id": run_id,
        }
        for warning in warnings
    ]
    return lake.table(WARNINGS_TABLE).replace(rows, nights, use_case=use_case, run_id=run_id)


def data_findings(lake: Lake, use_case: str, night: date) -> list[Finding]:
    """Return the problems with the night's data: one finding per table, described by the worst.

    An undeclared column is a finding of its own kind: no program reads it, and no data are broken.
    """
    grouped: dict[tuple[FindingKind, str], list[dict[str, Any]]] = {}
    for row in lake.table(WARNINGS_TABLE).read_use_case(use_case, [night]):
        kind: FindingKind = "contract" if row["figure"] == UNKNOWN_COLUMN else "data"
        grouped.setdefault((kind, row["table_name"]), []).append(row)
    return [_finding(kind, table, rows, use_case, lake) for (kind, table), rows in sorted(grouped.items())]


def read_warnings(lake: Lake, use_case: str, night: date) -> list[str] | None:
    """Return the problems with the night's data, one sentence each, the worst first; None when it was not checked."""
    if not lake.table(LANDING_TABLE).read_use_case(use_case, [night], []):
        return None
    warnings = lake.table(WARNINGS_TABLE).read_use_case(use_case, [night])
    return [row["what"] for row in sorted(warnings, key=_rank, reverse=True)]


def nights_of_broken_data(lake: Lake, use_case: str, nights: Iterable[date]) -> set[date]:
    """Return the nights that have a warning other than an undeclared column."""
    rows = lake.table(WARNINGS_TABLE).read_use_case(use_case, nights, ["ds", "figure"])
    return {row["ds"] for row in rows if row["figure"] != UNKNOWN_COLUMN}


def _rank(row: Mapping[str, Any]) -> tuple[bool, float, str, str]:
    """Sort key: the largest is the worst."""
    return row["severity"] == "stop_night", _severity_ratio(row), row["column_name"], row["figure"]


def _finding(kind: FindingKind, table: str, rows: Sequence[Mapping[str, Any]], use_case: str, lake: Lake) -> Finding:
    worst = max(rows, key=_rank)
    more = f"; and {len(rows) - 1} more" if len(rows) > 1 else ""
    return Finding(
        kind=kind,
        subject=table,
        night=worst["ds"],
        what=f"{worst['what']}{more}",
        severity="breach" if worst["severity"] == "stop_night" else "warn",
        severity_ratio=_severity_ratio(worst),
        link=f"{lake.report_uri(use_case, worst['ds'], 'drift')}#data",
        runbook=RUNBOOK,
    )


def _severity_ratio(row: Mapping[str, Any]) -> float:
    """Distance of the figure from the usual value, as a multiple of the distance of the exceeded bound.

    Without a usual value, or where the bound equals it: the ratio of the figure and the bound.
    """
    observed, low, high, usual = (row[name] for name in ("observed", "low", "high", "usual"))
    bound = high if high is not None and observed > high else low
    if bound is None:
        return 1.0
    if usual is not None and bound != usual:
        return float(max(1.0, abs(observed - usual) / abs(bound - usual)))
    smaller, larger = sorted((abs(observed), abs(bound)))
    return float(max(1.0, larger / smaller if smaller else larger))
