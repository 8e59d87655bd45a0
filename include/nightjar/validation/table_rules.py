"""The complete rules of a table: those that its schema implies, and the declared ones.

Every rule, implied or declared, is one Spark SQL predicate, so that quarantine and Great Expectations use the same
text. Implied rules read helper columns (:mod:`nightjar.protocol.names`): ``ROWS_OF_KEY`` from
:func:`nightjar_spark.contracts.annotate`, ``TEXT`` and ``MALFORMED`` from
:func:`nightjar_spark.landed.read_landed`.
"""

from __future__ import annotations

from collections.abc import Iterable

from nightjar.declaration.data import Source
from nightjar.declaration.rules import Rule, not_null
from nightjar.declaration.tables import Column, TableSchema
from nightjar.declaration.use_case import UseCase
from nightjar.protocol.errors import ConfigurationError
from nightjar.protocol.names import MALFORMED, ROWS_OF_KEY, TEXT

KEY_UNIQUE = "key_unique"
WELL_FORMED_LINE = "well_formed_line"
"""Neither ends like the rules of a column (``<column>_parses``), so that a column may have any name."""
_ADDED = frozenset({"ds", "source_file", "landed_at"})


def table_rules(schema: TableSchema, declared: Iterable[Rule] = ()) -> tuple[Rule, ...]:
    """Return the rules of a table: required columns are not null, the key is unique within a night, and ``declared``.

    Raises:
        ConfigurationError: for a repeated name (implied rules must not be declared).
    """
    return _distinct(schema.name, (*_required(schema), *_unique(schema), *declared))


def source_rules(source: Source) -> tuple[Rule, ...]:
    """Return the rules of a landed file: each field parses as its declared type, then :func:`table_rules`.

    Raises:
        ConfigurationError: for a repeated name.
    """
    parses = (_well_formed_line(), *(_parses(c) for c in source.file_columns if c.type != "string"))
    rules = table_rules(source.table, source.rules)
    return _distinct(source.table.name, (*parses, *rules))


def rules_by_table(use_case: UseCase) -> dict[str, tuple[Rule, ...]]:
    """Return the row rules of each landed table and of the feature table, by table name."""
    rules = {source.table.name: source_rules(source) for source in use_case.data.sources}
    return {**rules, use_case.feature_table.name: table_rules(use_case.feature_table, use_case.features.rules)}


def _well_formed_line() -> Rule:
    return Rule(
        name=WELL_FORMED_LINE,
        broken_when=f"{MALFORMED} IS NOT NULL",
        reason="the line is not one record with the header's number of fields",
    )


def _parses(column: Column) -> Rule:
    return Rule(
        name=f"{column.name}_parses",
        broken_when=f"{TEXT}.{column.name} IS NOT NULL AND {column.name} IS NULL",
        reason=f"{column.name} is not of type {column.type}",
    )


def _required(schema: TableSchema) -> tuple[Rule, ...]:
    return tuple(
        not_null(column.name)
        for column in schema.columns
        if column.name not in _ADDED and (column.name in schema.key or not column.nullable)
    )


def _unique(schema: TableSchema) -> tuple[Rule, ...]:
    """Return the rule that a key occurs once per night.

    All rows of a repeated key break it, as any may be the wrong one.
    """
    if not schema.key:
        return ()
    return (
        Rule(
            name=KEY_UNIQUE,
            broken_when=f"{ROWS_OF_KEY} > 1",
            reason=f"the key ({', '.join(schema.key)}) occurs more than once in its night; all its rows are rejected",
        ),
    )


def _distinct(table: str, rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    names = [rule.name for rule in rules]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigurationError(
            f"the rules of {table} repeat {', '.join(repeated)}",
            where=f"{table} in use_case.py",
            how_many=len(repeated),
            fix="leave out rules that the key or a required column implies, and rename the others",
        )
    return rules
