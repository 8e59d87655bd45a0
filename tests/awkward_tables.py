"""Random Delta tables like those of other tools, written by Spark, delta-rs or Polars."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from nightjar.declaration.tables import DS, Column, TableSchema

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NIGHTS = (date(2026, 1, 2), date(2026, 1, 3))
PLACES = ("plain", "a b", "c/d=e%", "ü 日本", "%41", "x#y?z", "[b]{c,d}*", None)
TABLES = int(os.environ.get("NIGHTJAR_TABLES", "2"))
"""Number of tables per run."""


@dataclass(frozen=True, kw_only=True)
class Awkward:
    """Peculiarities of a table.

    Attributes:
        writer: ``spark``, ``delta-rs`` or ``polars``.
        places: Values of a second partition column; none for tables that are partitioned by night alone.
        mapping: Mode of column mapping: ``""``, ``name``, ``id``, or ``later`` for one that is turned on afterwards.
        deletion_vectors: Rows are deleted, by deletion vectors.
        widened: A column's type has grown.
        checkpoint: ``""``, ``classic`` or ``v2``.
        statistics: Whether files have them.
        evolved: A column came later.
        generated: A column is generated.
        clustered: Clustered, and not partitioned.
        cloned: A shallow clone.
        far: Moments of years beyond 1 to 9999.
        nanoseconds: Moments in files are in nanoseconds.
    """

    writer: str
    places: tuple[str | None, ...] = ()
    mapping: str = ""
    deletion_vectors: bool = False
    widened: bool = False
    checkpoint: str = ""
    statistics: bool = True
    evolved: bool = False
    generated: bool = False
    clustered: bool = False
    cloned: bool = False
    far: bool = False
    nanoseconds: bool = False

    @property
    def schema(self) -> TableSchema:
        """Return its declaration."""
        columns = [
            DS,
            *([Column("place", "string", "Place.")] if self.places else []),
            Column("id", "long", "Key."),
            Column("name", "string", "Name."),
            Column("at", "timestamp", "When."),
            *([Column("loud", "string", "Generated.")] if self.generated else []),
            *([Column("more", "string", "Came later.")] if self.evolved else []),
        ]
        by = ("ds", "place") if self.places else ("ds",)
        return TableSchema(name="raw/t", comment="x", columns=tuple(columns), key=("id",), partition_by=by)


_rarely = st.sampled_from([False, False, False, True])
_places = st.one_of(st.just(()), st.lists(st.sampled_from(PLACES), min_size=1, max_size=4, unique=True).map(tuple))
_by_spark = st.builds(
    Awkward,
    writer=st.just("spark"),
    places=_places,
    mapping=st.sampled_from(["", "", "", "name", "id", "later"]),
    deletion_vectors=st.booleans(),
    widened=_rarely,
    checkpoint=st.sampled_from(["", "classic", "v2"]),
    statistics=st.booleans(),
    evolved=_rarely,
    generated=_rarely,
    clustered=_rarely,
    cloned=_rarely,
    far=_rarely,
).filter(lambda t: not (t.clustered and t.places))
_by_others = st.builds(
    Awkward,
    writer=st.sampled_from(["delta-rs", "polars"]),
    places=_places,
    statistics=st.booleans(),
    checkpoint=st.sampled_from(["", "classic"]),
    evolved=_rarely,
    far=_rarely,
    nanoseconds=_rarely,
)
awkward_tables = st.one_of(_by_spark, _by_spark, _by_others)


def make(awkward: Awkward, spark: SparkSession, lake: str) -> str:
    """Write the table; return its folder."""
    uri = f"{lake}/{awkward.schema.name}"
    if awkward.writer != "spark":
        _make_without_spark(awkward, uri)
    elif awkward.cloned:
        _make_by_spark(awkward, spark, f"{lake}/_source")
        spark.sql(f"create table delta.`{uri}` shallow clone delta.`{lake}/_source`")
    else:
        _make_by_spark(awkward, spark, uri)
    return uri


def _make_by_spark(awkward: Awkward, spark: SparkSession, uri: str) -> None:
    table = f"delta.`{uri}`"
    properties = {"delta.checkpointInterval": "2" if awkward.checkpoint else "100"}
    if awkward.checkpoint == "v2":
        properties["delta.checkpointPolicy"] = "v2"
    if awkward.mapping in ("name", "id"):
        properties["delta.columnMapping.mode"] = awkward.mapping
    if awkward.deletion_vectors:
        properties["delta.enableDeletionVectors"] = "true"
    if awkward.widened:
        properties["delta.enableTypeWidening"] = "true"
    if not awkward.statistics:
        properties["delta.dataSkippingNumIndexedCols"] = "0"
    columns = ["ds date", *(["place string"] if awkward.places else [])]
    columns += ["id int" if awkward.widened else "id bigint", "name string", "at timestamp"]
    columns += ["loud string generated always as (upper(name))"] if awkward.generated else []
    by = "cluster by (id)" if awkward.clustered else f"partitioned by ({', '.join(awkward.schema.partition_by)})"
    said = ", ".join(f"'{name}' = '{value}'" for name, value in properties.items())
    spark.sql(f"create table {table} ({', '.join(columns)}) using delta {by} tblproperties ({said})")
    _insert(awkward, spark, table, NIGHTS[0], 0)
    if awkward.mapping == "later":
        spark.sql(f"alter table {table} set tblproperties ('delta.columnMapping.mode' = 'name', "
                  "'delta.minReaderVersion' = '2', 'delta.minWriterVersion' = '5')")  # fmt: skip
    if awkward.widened:
        spark.sql(f"alter table {table} alter column id type bigint")
    if awkward.evolved:
        spark.sql(f"alter table {table} add column (more string)")
    _insert(awkward, spark, table, NIGHTS[1], 10 if not awkward.widened else 5_000_000_000)
    if awkward.deletion_vectors:
        spark.sql(f"delete from {table} where id % 3 = 1")


def _insert(awkward: Awkward, spark: SparkSession, table: str, night: date, first: int) -> None:
    """Insert eight rows of a night, in one file a partition."""
    values = {
        "ds": f"date'{night}'",
        "id": f"cast(id as {'int' if awkward.widened and night == NIGHTS[0] else 'bigint'})",
        "name": "concat('n', id)",
        "at": "timestamp_micros(if(id % 2 = 0, 253402300799999999 + id, -99999999999999999))"
        if awkward.far
        else "timestamp'2026-01-02 03:04:05.123456'",
    }
    if awkward.places:
        cases = (f"when {number} then {_literal(place)}" for number, place in enumerate(awkward.places))
        values["place"] = f"case id % {len(awkward.places)} {' '.join(cases)} end"
    names, selected = ", ".join(values), ", ".join(values.values())
    spark.sql(f"insert into {table} ({names}) select {selected} from range({first}, {first + 8}, 1, 1)")


def _literal(value: str | None) -> str:
    return "null" if value is None else f"'{value}'"


def _make_without_spark(awkward: Awkward, uri: str) -> None:
    from deltalake import DeltaTable, write_deltalake

    by = list(awkward.schema.partition_by)
    for number, night in enumerate(NIGHTS):
        rows = _arrow(awkward, night, 10 * number)
        if awkward.evolved and number == 1:
            rows = rows.append_column("more", pa.array(["new"] * len(rows)))
        if awkward.writer == "polars":
            import polars as pl

            frame = pl.from_arrow(rows)
            assert isinstance(frame, pl.DataFrame)
            options: dict[str, Any] = {"partition_by": by, "schema_mode": "merge"}
            frame.write_delta(uri, mode="append", delta_write_options=options)
        else:
            write_deltalake(uri, rows, mode="append", partition_by=by, schema_mode="merge")
    if not awkward.statistics:
        _drop_statistics(Path(uri, "_delta_log"))
    if awkward.nanoseconds:
        _to_nanoseconds(uri)
    if awkward.checkpoint:
        DeltaTable(uri).create_checkpoint()


def _arrow(awkward: Awkward, night: date, first: int) -> pa.Table:
    micros = 253402300799999999 if awkward.far else 10**6 * int(datetime(2026, 1, 2, tzinfo=UTC).timestamp())
    columns: dict[str, Any] = {"ds": pa.array([night] * 8, pa.date32())}
    if awkward.places:
        columns["place"] = pa.array([awkward.places[i % len(awkward.places)] for i in range(8)], pa.string())
    columns["id"] = pa.array(range(first, first + 8), pa.int64())
    columns["name"] = [f"n{i}" for i in range(8)]
    columns["at"] = pa.array([micros] * 8).cast(pa.timestamp("us", "UTC"))
    return pa.table(columns)


def _drop_statistics(log: Path) -> None:
    for file in log.glob("*.json"):
        actions = [json.loads(line) for line in file.read_text().splitlines()]
        for action in actions:
            if "add" in action:
                action["add"].pop("stats", None)
        file.write_text("\n".join(map(json.dumps, actions)))


def _to_nanoseconds(uri: str) -> None:
    """Rewrite the data files with moments in nanoseconds, as pandas writes them."""
    from deltalake import DeltaTable

    for name in DeltaTable(uri).file_uris():
        rows = pq.read_table(name, partitioning=None)
        stored = rows.set_column(
            rows.schema.get_field_index("at"), "at", rows["at"].cast(pa.timestamp("ns", "UTC"), safe=False)
        )
        pq.write_table(stored, name)
