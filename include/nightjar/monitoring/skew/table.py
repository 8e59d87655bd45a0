"""``monitoring/skew``: differences between the features served on a night and those that training reads.

Values are compared exactly. A missing value equals a missing value and NaN equals NaN, but not each other.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from nightjar.declaration.tables import DS, Column, TableSchema
from nightjar.lake.lake import Lake
from nightjar.monitoring.incidents.findings import Finding
from nightjar.monitoring.night_run import NightRun

RUNBOOK = "docs/runbooks/skew.md"
ROWS = ""
"""Name of a column that stands for the rows themselves: rows that only one side has."""
MAX_NAMED = 5
"""Maximum number of columns named in a sentence; the table has all."""

Verdict = Literal["same", "skew", "history_changed", "not_judged"]
Row = Mapping[str, Any]
Key = tuple[Any, ...]

SKEW_TABLE = TableSchema(
    name="monitoring/skew",
    comment="Sample of the features served on earlier nights, compared with what training reads of those nights now.",
    key=("use_case", "checked_night", "column_name"),
    partition_by=("ds", "use_case"),
    columns=(
        DS,
        Column("use_case", "string", "Use case.", nullable=False),
        Column("checked_night", "date", "Night whose served features were compared; null for none."),
        Column("column_name", "string", "Column of the feature table; empty for the rows themselves.", nullable=False),
        Column("rows", "long", "Rows of the sample.", nullable=False),
        Column("differing_rows", "long", "Rows in which training reads another value.", nullable=False),
        Column("stored_differing_rows", "long", "Rows that differ in the stored feature table.", nullable=False),
        Column("max_abs_difference", "double", "Largest absolute difference of numbers; null for none."),
        Column("features_version", "long", "Delta version of the feature table that was served; null for none."),
        Column("cause", "string", "Why it differs or was not judged; empty if the same.", nullable=False),
        Column("verdict", "string", "same, skew, history_changed or not_judged.", nullable=False),
        Column("dag_run_id", "string", "Airflow run that checked the night.", nullable=False),
    ),
)


@dataclass(frozen=True, kw_only=True)
class SkewRow:
    """A row of :data:`SKEW_TABLE`."""

    ds: date
    use_case: str
    checked_night: date | None
    column_name: str
    rows: int
    differing_rows: int
    stored_differing_rows: int
    max_abs_difference: float | None
    features_version: int | None
    cause: str
    verdict: Verdict
    dag_run_id: str


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Differences between two tables of the same rows in one column.

    Attributes:
        keys: Keys of the rows that differ; for :data:`ROWS`, those that only one side has, or that a side has twice.
        max_abs: Largest absolute difference of numbers; None for none.
    """

    keys: frozenset[Key] = frozenset()
    max_abs: float | None = None

    def __bool__(self) -> bool:
        return bool(self.keys)

    def __or__(self, other: Difference) -> Difference:
        sizes = [size for size in (self.max_abs, other.max_abs) if size is not None]
        return Difference(keys=self.keys | other.keys, max_abs=max(sizes, default=None))


@dataclass(frozen=True, kw_only=True)
class ColumnSkew:
    """Result for one column of one night.

    Attributes:
        name: The column, or :data:`ROWS`.
        differing: Rows in which training reads another value, from the feature table or rebuilt.
        stored: Rows in which the stored feature table has another value.
        cause: Why they differ; empty if the same.
        verdict: ``same``, ``skew``, or ``history_changed`` when raw tables have landed again since.
    """

    name: str
    differing: Difference
    stored: Difference
    cause: str
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class NightSkew:
    """Result for one night.

    Attributes:
        night: The night that was served.
        features_version: Delta version of the feature table that was served.
        rows: Rows of the sample.
        columns: Result for the rows themselves, then for each column.
    """

    night: date
    features_version: int
    rows: int
    columns: tuple[ColumnSkew, ...]

    def of(self, verdict: Verdict) -> list[ColumnSkew]:
        """Return the columns with this verdict."""
        return [column for column in self.columns if column.verdict == verdict]


def find_differences(
    served: Iterable[Row], compared: Iterable[Row], *, key: Sequence[str], columns: Sequence[str]
) -> dict[str, Difference]:
    """Compare rows of one night, by their key, in each of ``columns``; :data:`ROWS` comes first.

    Args:
        served: Rows as they were served.
        compared: The same rows from another source.
        key: Columns that identify a row.
        columns: Columns to compare, present on both sides.
    """
    left, right = _by_key(served, key), _by_key(compared, key)
    unpaired = {k for k in left.rows.keys() | right.rows.keys() if left.count[k] != 1 or right.count[k] != 1}
    differences = {ROWS: Difference(keys=frozenset(unpaired))}
    paired = [(k, left.rows[k], right.rows[k]) for k in left.rows if k not in unpaired]
    for column in columns:
        pairs = [(k, a[column], b[column]) for k, a, b in paired if not _same(a[column], b[column])]
        sizes = [abs(a - b) for _, a, b in pairs if _is_number(a) and _is_number(b)]
        differences[column] = Difference(keys=frozenset(k for k, _, _ in pairs), max_abs=max(sizes, default=None))
    return differences


@dataclass(frozen=True)
class _Keyed:
    rows: dict[Key, Row]
    count: Counter[Key]


def _by_key(rows: Iterable[Row], key: Sequence[str]) -> _Keyed:
    listed = [(tuple(row[name] for name in key), row) for row in rows]
    return _Keyed(dict(listed), Counter(k for k, _ in listed))


def _same(a: Any, b: Any) -> bool:
    return bool(a == b) or (_is_float(a) and _is_float(b) and math.isnan(a) and math.isnan(b))


def _is_float(value: Any) -> bool:
    return isinstance(value, float)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def skew_rows(skew: NightSkew, run: NightRun) -> list[SkewRow]:
    """Return the rows of :data:`SKEW_TABLE` for one served night, one per column."""
    return [
        SkewRow(
            ds=run.night,
            use_case=run.use_case,
            checked_night=skew.night,
            column_name=column.name,
            rows=skew.rows,
            differing_rows=len(column.differing.keys),
            stored_differing_rows=len(column.stored.keys),
            max_abs_difference=column.differing.max_abs,
            features_version=skew.features_version,
            cause=column.cause,
            verdict=column.verdict,
            dag_run_id=run.run_id,
        )
        for column in skew.columns
    ]


def not_judged_row(reason: str, run: NightRun, *, checked: date | None = None, version: int | None = None) -> SkewRow:
    """Return the row for one served night, or for all, that was not compared."""
    return SkewRow(
        ds=run.night,
        use_case=run.use_case,
        checked_night=checked,
        column_name=ROWS,
        rows=0,
        differing_rows=0,
        stored_differing_rows=0,
        max_abs_difference=None,
        features_version=version,
        cause=reason,
        verdict="not_judged",
        dag_run_id=run.run_id,
    )


def skew_findings(lake: Lake, use_case: str, night: date) -> list[Finding]:
    """Return the findings of ``night``: a breach for skew, a warning when history has changed since serving."""
    rows = lake.table(SKEW_TABLE).read_use_case(use_case, [night], SkewRow)
    rows.sort(key=lambda row: (row.checked_night or night, row.column_name))
    findings = []
    for verdict in ("skew", "history_changed"):
        if wrong := [row for row in rows if row.verdict == verdict]:
            findings.append(_finding(verdict, wrong, use_case, night))
    return findings


def _finding(verdict: str, wrong: Sequence[SkewRow], use_case: str, night: date) -> Finding:
    worst = max(row.differing_rows / max(row.rows, 1) for row in wrong)
    named = "; ".join(map(_in_words, wrong[:MAX_NAMED])) + ("; …" if len(wrong) > MAX_NAMED else "")
    causes = list(dict.fromkeys(row.cause for row in wrong))
    subject = {"skew": "train/score skew", "history_changed": "history changed since it was served"}[verdict]
    return Finding(
        kind="skew",
        subject=f"features/{use_case} {subject}",
        night=night,
        what=f"Training reads other features than were served: {named}. {' '.join(causes)}",
        severity="breach" if verdict == "skew" else "warn",
        severity_ratio=1 + worst,
        link=SKEW_TABLE.name,
        runbook=RUNBOOK,
    )


def _in_words(row: SkewRow) -> str:
    size = f", by up to {row.max_abs_difference:.3g}" if row.max_abs_difference is not None else ""
    return f"{row.column_name or 'the rows'} in {row.differing_rows} of {row.rows} rows of {row.checked_night}{size}"
