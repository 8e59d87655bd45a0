"""``monitoring/profiles``: profile of each night's columns, for comparisons without reading rows again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from nightjar.declaration.tables import DS, Column, TableSchema
from nightjar.lake.lake import Lake
from nightjar.monitoring.night_run import NightRun
from nightjar.monitoring.profiles.profile import (
    ColumnKind,
    ColumnProfile,
    Profile,
    column_from_json,
    column_to_json,
)
from nightjar.monitoring.stored_row_errors import naming_stored_row

PROFILES_TABLE = TableSchema(
    name="monitoring/profiles",
    comment="Profile of each night's columns, in the bins of the model that scored it; equal bins add up.",
    key=("use_case", "column_name"),
    partition_by=("ds", "use_case"),
    columns=(
        DS,
        Column("use_case", "string", "Use case.", nullable=False),
        Column("column_name", "string", "Feature, 'prediction' or 'label'.", nullable=False),
        Column("kind", "string", "numeric or categorical.", nullable=False),
        Column("rows", "long", "Rows of the night.", nullable=False),
        Column("nulls", "long", "Rows without a value.", nullable=False),
        Column("mean", "double", "Mean of the values; null for a categorical column."),
        Column("profile", "string", "Counts per bin, moments and quantile sketch, as JSON.", nullable=False),
        Column("model_sha256", "string", "SHA-256 of the model whose training set fixed the bins.", nullable=False),
        Column("model_version", "string", "Version of that model.", nullable=False),
        Column("dag_run_id", "string", "Airflow run that counted the night.", nullable=False),
    ),
)


@dataclass(frozen=True, kw_only=True)
class ProfileRow:
    """A row of :data:`PROFILES_TABLE`."""

    ds: date
    use_case: str
    column_name: str
    kind: ColumnKind
    rows: int
    nulls: int
    mean: float | None
    profile: str
    model_sha256: str
    model_version: str
    dag_run_id: str


@dataclass(frozen=True, kw_only=True)
class StoredProfile:
    """Columns of :data:`PROFILES_TABLE` that :func:`read_profiles` reads."""

    ds: date
    column_name: str
    profile: str


def profile_rows(profile: Profile, run: NightRun, *, model_sha256: str, model_version: str) -> list[ProfileRow]:
    """Return the rows of :data:`PROFILES_TABLE` for one night, one per column."""
    return [
        ProfileRow(
            ds=run.night,
            use_case=run.use_case,
            column_name=name,
            kind=column.kind,
            rows=column.rows,
            nulls=column.nulls,
            mean=column.mean,
            profile=column_to_json(column),
            model_sha256=model_sha256,
            model_version=model_version,
            dag_run_id=run.run_id,
        )
        for name, column in sorted(profile.columns.items())
    ]


def read_profiles(lake: Lake, use_case: str, nights: Sequence[date]) -> dict[date, Profile]:
    """Return the profiles of ``nights``, oldest first; nights without a profile are left out."""
    columns: dict[date, dict[str, ColumnProfile]] = {}
    for row in lake.table(PROFILES_TABLE).read_use_case(use_case, nights, StoredProfile):
        with naming_stored_row(PROFILES_TABLE):
            columns.setdefault(row.ds, {})[row.column_name] = column_from_json(row.profile)
    return {
        night: Profile(rows=max(column.rows for column in columns[night].values()), columns=columns[night])
        for night in sorted(columns)
    }
