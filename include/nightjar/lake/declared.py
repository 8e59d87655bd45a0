"""Compare a table in the lake with its declaration before anything is written to it.

A commit never changes a table's metadata. Anything outside the declaration (column mapping, generated or identity
columns, constraints, other types, features that delta-rs does not write) is rejected by name. The only migration is
adding nullable columns (:meth:`nightjar.lake.table.Table.ensure`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from nightjar.declaration.tables import TableSchema
from nightjar.protocol.errors import LakeError

if TYPE_CHECKING:
    from deltalake import DeltaTable, Field, Schema

WRITER_FEATURES = frozenset(
    {
        "appendOnly", "changeDataFeed", "checkConstraints", "deletionVectors", "generatedColumns", "invariants",
        "timestampNtz", "v2Checkpoint",
    }
)  # fmt: skip
"""Delta features under which a commit produces the rows that Spark reads. Some are rejected where the table actually
uses them."""
_PROPERTIES = ("delta.constraints.", "delta.columnMapping.mode", "delta.enableRowTracking")
_COLUMN_METADATA = ("delta.", "CURRENT_DEFAULT", "EXISTS_DEFAULT")


def check_declared(table: DeltaTable, schema: TableSchema, declared: Schema, where: str) -> list[Field]:
    """Reject a table that a commit would corrupt, or that would corrupt the committed rows.

    Args:
        table: The table, opened at its latest version.
        schema: The declaration.
        declared: The declared columns as a Delta schema.
        where: The table's folder.

    Returns:
        Declared columns that are missing from the table; all are nullable.

    Raises:
        LakeError: listing every difference.
    """
    differences = [*_columns(table, declared), *_partitions(table, schema), *_features(table, schema)]
    if differences:
        raise LakeError(
            f"{schema.name} is not as declared: {'; '.join(differences)}",
            where=where,
            how_many=len(differences),
            fix="migrate the table, or write the new schema under a new use case name (docs/contracts.md)",
        )
    existing = {field.name for field in table.schema().fields}
    return [field for field in declared.fields if field.name not in existing]


def _columns(table: DeltaTable, declared: Schema) -> Iterator[str]:
    actual, expected = ({field.name: field for field in schema.fields} for schema in (table.schema(), declared))
    missing = sorted(name for name, field in expected.items() if name not in actual and not field.nullable)
    unknown = sorted(actual.keys() - expected.keys())
    late = sorted(expected.keys() - actual.keys()) if unknown else []
    if missing or unknown:
        yield f"other columns: missing {sorted({*missing, *late})}, unknown {unknown}"
    for name in sorted(actual.keys() & expected.keys()):
        if actual[name].type != expected[name].type:
            yield f"{name} is {_type(actual[name])} in the table and {_type(expected[name])} in the declaration"
        if expected[name].nullable and not actual[name].nullable:
            yield f"{name} may not be null in the table and may be null in the declaration"
        metadata = [key for key in actual[name].metadata if key.startswith(_COLUMN_METADATA)]
        if metadata:
            yield f"{name} carries {', '.join(sorted(metadata))}"


def _partitions(table: DeltaTable, schema: TableSchema) -> Iterator[str]:
    columns = tuple(table.metadata().partition_columns)
    if columns != schema.partition_by:
        yield f"it is partitioned by {columns or 'nothing'} and declared to be by {schema.partition_by}"


def _features(table: DeltaTable, schema: TableSchema) -> Iterator[str]:
    protocol = table.protocol()
    for feature in sorted({*(protocol.reader_features or ()), *(protocol.writer_features or ())} - WRITER_FEATURES):
        yield f"it uses the feature {feature} of Delta"
    for name, value in sorted(table.metadata().configuration.items()):
        if name.startswith(_PROPERTIES) and value not in ("none", "false"):
            yield f"it has the property {name} = {value}"
        if name == "delta.appendOnly" and value == "true" and not schema.append_only:
            yield f"it has the property {name} = {value}"


def _type(field: Field) -> str:
    return str(getattr(field.type, "type", field.type))
