"""``monitoring/landing``: figures of what landed, night by night; ``monitoring/warnings``: what was wrong with it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from nightjar.declaration.tables import DS, Column, TableSchema
from nightjar.monitoring.incidents.findings import Finding, FindingKind
from nightjar.monitoring.nightly_rows import naming_stored_row, read_stored_rows, replace_rows
from nightjar.protocol.documents import parse_object
from nightjar.validation.expected_range import HISTORY_NIGHTS
from nightjar.validation.figures import QUANTILES, Figures
from nightjar.validation.judged import UNKNOWN_COLUMN, Judged, NightFigures

RUNBOOK = "docs/runbooks/data.md"
_COLUMN = "Its column; empty for the table as a whole."

LANDING_TABLE = TableSchema(
    name="monitoring/landing",
    comment="Figures of every landed column, from which the next nights' expected ranges are made.",
    key=("use_case", "table_name", "column_name"),
    partition_by=("ds", "use_case"),
    columns=(
        DS,
        Column("use_case", "string", "Use case.", nullable=False),
        Column("table_name", "string", "Table that the rows landed for.", nullable=False),
        Column("column_name", "string", _COLUMN, nullable=False),
        Column("rows", "long", "Rows used; of the table as a whole: rows landed.", nullable=False),
        Column("nulls", "long", "Of them without a value; of the table as a whole: rejected.", nullable=False),
        Column("distinct_values", "long", "Distinct values (of up to 5,000 rows).", nullable=False),
        Column("mean", "double", "Mean; of timestamps in hours since ds, of dates in days since ds."),
        Column("std", "double", "Standard deviation."),
        Column("minimum", "double", "Least value."),
        Column("maximum", "double", "Greatest value."),
        *(Column(name, "double", f"{share:.0%} quantile (of up to 5,000 rows).") for name, share in QUANTILES.items()),
        Column("categories", "string", "Shares of the most frequent values of a text column, as JSON.", nullable=False),
        Column("dag_run_id", "string", "Airflow run that looked.", nullable=False),
    ),
)
WARNINGS_TABLE = TableSchema(
    name="monitoring/warnings",
    comment="What was wrong with a night's data: rules of nights, warnings of rows, undeclared anomalies.",
    partition_by=("ds", "use_case"),
    columns=(
        DS,
        Column("use_case", "string", "Use case.", nullable=False),
        Column("table_name", "string", "Table that the rows landed for.", nullable=False),
        Column("column_name", "string", _COLUMN, nullable=False),
        Column("figure", "string", "What was looked at.", nullable=False),
        Column("rule", "string", "Declared rule; empty for an undeclared anomaly.", nullable=False),
        Column("severity", "string", "warn, or stop_night for what has stopped it.", nullable=False),
        Column("observed", "double", "The figure.", nullable=False),
        Column("low", "double", "Least value expected; null for any."),
        Column("high", "double", "Greatest value expected; null for any."),
        Column("usual", "double", "What it usually is; null where the bounds are absolute."),
        Column("what", "string", "The finding in one sentence.", nullable=False),
        Column("dag_run_id", "string", "Airflow run that looked.", nullable=False),
    ),
)
History = dict[str, dict[date, NightFigures]]
"""Table to night to column to figures."""


def write_figures(lake: str, use_case: str, figures: History, nights: Iterable[date], *, run_id: str) -> int:
    """Replace the nights' figures; return the version made."""
    rows = [
        {
            "ds": night,
            "use_case": use_case,
            "table_name": table,
            "column_name": column,
            "rows": one.rows,
            "nulls": one.nulls,
            "distinct_values": one.distinct,
            "mean": one.mean,
            "std": one.std,
            "minimum": one.minimum,
            "maximum": one.maximum,
            **{name: one.quantiles.get(name) for name in QUANTILES},
            "categories": json.dumps(dict(one.categories)),
            "dag_run_id": run_id,
        }
        for table, by_night in figures.items()
        for night, columns in by_night.items()
        for column, one in columns.items()
    ]
    return replace_rows(lake, LANDING_TABLE, rows, nights, use_case=use_case, run_id=run_id)


def read_figures(lake: str, use_case: str, before: date) -> History:
    """Figures of the nights before ``before`` that say what is usual."""
    found: History = {}
    nights = [before - timedelta(days=days) for days in range(HISTORY_NIGHTS, 0, -1)]
    for row in read_stored_rows(lake, LANDING_TABLE, use_case, nights):
        columns: Any = found.setdefault(row["table_name"], {}).setdefault(row["ds"], {})
        with naming_stored_row(LANDING_TABLE):
            categories = parse_object(row["categories"])
        columns[row["column_name"]] = Figures(
            distinct=row["distinct_values"],
            **{name: row[name] for name in ("rows", "nulls", "mean", "std", "minimum", "maximum")},
            quantiles={name: row[name] for name in QUANTILES if row[name] is not None},
            categories=categories,
        )
    return found


def write_warnings(lake: str, use_case: str, broken: Sequence[Judged], nights: Iterable[date], *, run_id: str) -> int:
    """Replace the nights' warnings; return the version made."""
    rows = [
        {
            "ds": one.night,
            "use_case": use_case,
            "table_name": one.table,
            "column_name": one.column,
            **{name: getattr(one, name) for name in ("figure", "rule", "severity", "observed", "low", "high", "usual")},
            "what": one.what,
            "dag_run_id": run_id,
        }
        for one in broken
    ]
    return replace_rows(lake, WARNINGS_TABLE, rows, nights, use_case=use_case, run_id=run_id)


def data_findings(lake: str, use_case: str, night: date) -> list[Finding]:
    """What was wrong with the night's data: one finding a table, in the words of the worst.

    An undeclared column is one of its own: nothing reads it, and no data are broken.
    """
    grouped: dict[tuple[FindingKind, str], list[dict[str, Any]]] = {}
    for row in read_stored_rows(lake, WARNINGS_TABLE, use_case, [night]):
        kind: FindingKind = "contract" if row["figure"] == UNKNOWN_COLUMN else "data"
        grouped.setdefault((kind, row["table_name"]), []).append(row)
    return [_finding(kind, table, mine, use_case, lake) for (kind, table), mine in sorted(grouped.items())]


def unusual(lake: str, use_case: str, night: date) -> list[str] | None:
    """What was wrong with the night's data, a sentence each, the worst first; None when nobody has looked."""
    if not read_stored_rows(lake, LANDING_TABLE, use_case, [night], []):
        return None
    warnings = read_stored_rows(lake, WARNINGS_TABLE, use_case, [night])
    return [row["what"] for row in sorted(warnings, key=_rank, reverse=True)]


def nights_of_broken_data(lake: str, use_case: str, nights: Iterable[date]) -> set[date]:
    """Those of the nights whose data were broken or unusual, whatever ran after their ingestion."""
    rows = read_stored_rows(lake, WARNINGS_TABLE, use_case, nights, ["ds", "figure"])
    return {row["ds"] for row in rows if row["figure"] != UNKNOWN_COLUMN}


def _rank(row: Mapping[str, Any]) -> tuple[bool, float, str, str]:
    """The greater, the worse."""
    return row["severity"] == "stop_night", _severity_ratio(row), row["column_name"], row["figure"]


def _finding(kind: FindingKind, table: str, rows: Sequence[Mapping[str, Any]], use_case: str, lake: str) -> Finding:
    worst = max(rows, key=_rank)
    more = f"; and {len(rows) - 1} more" if len(rows) > 1 else ""
    return Finding(
        kind=kind,
        subject=table,
        night=worst["ds"],
        what=f"{worst['what']}{more}",
        severity="breach" if worst["severity"] == "stop_night" else "warn",
        severity_ratio=_severity_ratio(worst),
        link=f"{lake}/reports/{use_case}/{worst['ds']}/drift.html#data",
        runbook=RUNBOOK,
    )


def _severity_ratio(row: Mapping[str, Any]) -> float:
    """How far from the usual value the figure lies, as a multiple of the distance to the bound that it crossed.

    Without a usual value, or where the bound is that value: how many times over the bound it is.
    """
    observed, low, high, usual = (row[name] for name in ("observed", "low", "high", "usual"))
    bound = high if high is not None and observed > high else low
    if bound is None:
        return 1.0
    if usual is not None and bound != usual:
        return float(max(1.0, abs(observed - usual) / abs(bound - usual)))
    smaller, larger = sorted((abs(observed), abs(bound)))
    return float(max(1.0, larger / smaller if smaller else larger))
