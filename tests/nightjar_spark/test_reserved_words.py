"""No engine that reads our tables reserves the name of a table or column: analysts write them without quotes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import pytest
from sqlalchemy.dialects.postgresql.base import RESERVED_WORDS as POSTGRESQL_WORDS

from nightjar.declaration.tables import TableSchema
from nightjar.declaration.use_case import load_use_case
from nightjar.lake import ledger
from nightjar.local.data_dictionary import use_case_names
from nightjar.local.paths import Paths
from nightjar.monitoring.tables import MONITORING_TABLES

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

USE_CASES = [load_use_case(name) for name in use_case_names(Paths.here().root)]
TABLES: list[TableSchema] = [
    *MONITORING_TABLES,
    ledger.TABLE,
    *(table for use_case in USE_CASES for table in use_case.tables),
]


def reserved_names(words: set[str]) -> list[str]:
    """``<table>: <name>`` of each table and column whose name is among ``words``."""
    return sorted(
        f"{table.name}: {name}"
        for table in TABLES
        for name in (*table.name.split("/"), *table.column_names)
        if name.upper() in words
    )


def test_declared_names_in_duckdb_are_not_reserved() -> None:
    words = duckdb.sql("SELECT upper(keyword_name) FROM duckdb_keywords() WHERE keyword_category <> 'unreserved'")
    assert reserved_names({word for (word,) in words.fetchall()}) == []


def test_declared_names_in_postgresql_are_not_reserved() -> None:
    assert reserved_names({word.upper() for word in POSTGRESQL_WORDS}) == []


@pytest.mark.spark
def test_declared_names_in_ansi_spark_are_not_reserved(spark: SparkSession) -> None:
    session = spark.newSession()
    session.conf.set("spark.sql.ansi.enforceReservedKeywords", "true")
    words = {row.keyword for row in session.sql("SELECT keyword FROM sql_keywords() WHERE reserved").collect()}
    assert "TABLE" in words
    assert reserved_names(words) == []
