"""Each monitoring table and the class of its rows say the same."""

from __future__ import annotations

from dataclasses import fields
from datetime import date
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest

from nightjar.declaration.tables import TableSchema
from nightjar.monitoring.data_quality.table import LANDING_TABLE, WARNINGS_TABLE, LandingRow, WarningRow
from nightjar.monitoring.drift.domain_table import DOMAIN_TABLE, DomainRow
from nightjar.monitoring.drift.table import DRIFT_TABLE, DriftRow
from nightjar.monitoring.experiments.table import EXPERIMENTS_TABLE, ExperimentRow
from nightjar.monitoring.incidents.table import INCIDENTS_TABLE, IncidentRow
from nightjar.monitoring.performance.rows import CountsRow, PerformanceRow
from nightjar.monitoring.performance.table import COUNTS_TABLE, PERFORMANCE_TABLE
from nightjar.monitoring.profiles.table import PROFILES_TABLE, ProfileRow
from nightjar.monitoring.skew.table import SKEW_TABLE, SkewRow
from nightjar.monitoring.tables import MONITORING_TABLES

ROWS: list[tuple[TableSchema, type[Any]]] = [
    (LANDING_TABLE, LandingRow),
    (WARNINGS_TABLE, WarningRow),
    (DRIFT_TABLE, DriftRow),
    (PROFILES_TABLE, ProfileRow),
    (DOMAIN_TABLE, DomainRow),
    (PERFORMANCE_TABLE, PerformanceRow),
    (COUNTS_TABLE, CountsRow),
    (SKEW_TABLE, SkewRow),
    (EXPERIMENTS_TABLE, ExperimentRow),
    (INCIDENTS_TABLE, IncidentRow),
]
TYPES = {"string": str, "int": int, "long": int, "double": float, "boolean": bool, "date": date}


def plain_types(hint: Any) -> set[Any]:
    """Return the types of values that an annotation allows."""
    if get_origin(hint) is Literal:
        return {type(value) for value in get_args(hint)}
    if get_origin(hint) in (list, tuple):
        return {"array"}
    return set().union(*map(plain_types, get_args(hint))) if get_args(hint) else {hint}


def test_every_monitoring_table_has_a_row_class() -> None:
    assert [schema for schema, _ in ROWS] == list(MONITORING_TABLES)


@pytest.mark.parametrize(("schema", "row_class"), ROWS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_row_class_has_the_columns_of_its_table_with_their_types(schema: TableSchema, row_class: type[Any]) -> None:
    hints = get_type_hints(row_class)
    assert {field.name for field in fields(row_class)} == set(schema.column_names)
    for column in schema.columns:
        types = plain_types(hints[column.name])
        assert types - {NoneType} == {TYPES.get(column.type, "array")}, column.name
        assert (NoneType in types) == column.nullable, f"{column.name} is null or not as in the table"
