"""Delta tables without Spark: open, version, and the one commit that replaces whole nights.

Spark tasks and training ranks write Parquet files into a table's folder, where no reader sees them; :func:`commit`
then makes them the table's content for the given nights in one atomic Delta commit, whose cost grows with the number
of files, not of rows.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from nightjar.declaration.tables import ColumnType, TableSchema
from nightjar.lake import files
from nightjar.lake.declared import check_declared
from nightjar.lake.held_files import check_readable, held_files, is_within
from nightjar.lake.retries import Retry, writing_errors
from nightjar.lake.rows import read_rows
from nightjar.lake.sameness import same_bytes
from nightjar.protocol.documents import PARSER_ERRORS, check_fields, parse_object
from nightjar.protocol.errors import ConflictError, LakeError, UnreachableError
from nightjar.protocol.names import check_location

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable, Schema

ENGINE = "nightjar"


@dataclass(frozen=True, kw_only=True)
class DataFile:
    """A Parquet file in a table's folder that no version holds yet.

    Attributes:
        path: Relative to the table's folder, e.g. ``ds=2013-04-01/part-….parquet``.
        partition: Partition column to value, e.g. ``{"ds": "2013-04-01"}``.
        size: Bytes.
        rows: Number of rows.
        stats: Delta statistics as JSON (``numRecords``, ``minValues``, ``maxValues``, ``nullCount``).
    """

    path: str
    partition: Mapping[str, str]
    size: int
    rows: int
    stats: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> DataFile:
        """What :meth:`to_dict` gave; call it within :func:`nightjar.protocol.documents.reading`."""
        file = cls(**document)
        check_fields(file)
        return file

    def counted_rows(self) -> int | None:
        """Rows as the statistics count them; None where they are no statistics."""
        try:
            return int(parse_object(self.stats)["numRecords"])
        except PARSER_ERRORS:
            return None


def table_uri(lake: str, name: str) -> str:
    """Where table ``name`` lies.

    Raises:
        ConfigurationError: when the lake lies in a folder that not every library finds.
    """
    return f"{check_location(lake, field='lake')}/{name}"


def arrow_type(column_type: ColumnType) -> pa.DataType:
    """The Arrow type of a declared column type. Timestamps are UTC microseconds, as Delta stores them."""
    import pyarrow as pa

    return {
        "string": pa.string(),
        "int": pa.int32(),
        "long": pa.int64(),
        "double": pa.float64(),
        "boolean": pa.bool_(),
        "date": pa.date32(),
        "timestamp": pa.timestamp("us", tz="UTC"),
        "array<string>": pa.list_(pa.string()),
    }[column_type]


def arrow_schema(schema: TableSchema) -> pa.Schema:
    """The Arrow schema of a declared table, with its comments as Delta column comments."""
    import pyarrow as pa

    return pa.schema(
        [pa.field(c.name, arrow_type(c.type), c.nullable, metadata={"comment": c.comment}) for c in schema.columns]
    )


def delta_schema(schema: TableSchema) -> Schema:
    """The Delta schema of a declared table."""
    from deltalake import Schema

    return Schema.from_arrow(arrow_schema(schema))


def open_table(lake: str, name: str, version: int | None = None) -> DeltaTable:
    """Open a table, at ``version`` or at its latest.

    Raises:
        LakeError: when there is no such table or version.
        UnreachableError: when the store does not answer.
    """
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError, TableNotFoundError

    uri = table_uri(lake, name)
    try:
        table = DeltaTable(uri, version=version)
    except DeltaError as error:
        if isinstance(error, TableNotFoundError) and not table_exists(lake, name):
            raise LakeError(
                f"there is no table {name}", where=uri, fix="run the task that writes it (docs/runbooks/)"
            ) from error
        if version is None:
            raise LakeError(
                f"{name} cannot be opened ({error})",
                where=uri,
                fix="restore the files of its _delta_log, or drop the feature that is named",
            ) from error
        raise LakeError(
            f"version {version} of {name} cannot be read ({error})",
            where=uri,
            fix="choose a version within the table's retention, or run without a pinned version",
        ) from error
    except OSError as error:
        raise UnreachableError(f"the lake does not answer ({error})", where=uri, fix="check NIGHTJAR_LAKE") from error
    check_readable(table, uri)
    return table


def table_exists(lake: str, name: str) -> bool:
    """Whether the table has been written at least once."""
    return bool(files.list_files(f"{table_uri(lake, name)}/_delta_log"))


def ensure_table(lake: str, schema: TableSchema) -> DeltaTable:
    """Open a table, creating it empty (partitioned by ``ds``, with column comments) when it is not there.

    Nullable columns that an older table lacks are added to it; what it holds has nulls there.

    Raises:
        LakeError: when it is there and not as declared, or delta-rs cannot write it.
        ConflictError: when others are always quicker to change it; worth a retry.
    """
    if not table_exists(lake, schema.name):
        _create(lake, schema)
    uri, retry = table_uri(lake, schema.name), Retry(schema.name)
    while True:
        table = open_table(lake, schema.name)
        new = check_declared(table, schema, delta_schema(schema), uri)
        if not new:
            return table
        with retry.refusals(table, uri):
            table.alter.add_columns(new)
            return table


def check_table(lake: str, schema: TableSchema) -> None:
    """Compare a table with its declaration, where it is there; what :func:`commit` would refuse is refused already.

    Raises:
        LakeError: when it is not as declared.
    """
    if table_exists(lake, schema.name):
        uri = table_uri(lake, schema.name)
        check_declared(open_table(lake, schema.name), schema, delta_schema(schema), uri)


def _create(lake: str, schema: TableSchema) -> None:
    """Create a table; another may be quicker, or this call itself, whose answer was lost and which is repeated."""
    from deltalake import DeltaTable
    from deltalake.exceptions import CommitFailedError

    uri = table_uri(lake, schema.name)
    with writing_errors(uri), suppress(CommitFailedError):
        DeltaTable.create(
            uri,
            delta_schema(schema),
            mode="ignore",
            partition_by=list(schema.partition_by),
            name=schema.name.replace("/", "_"),
            description=schema.comment,
            configuration=retention(schema),
        )


def retention(schema: TableSchema) -> dict[str, str]:
    """Delta properties by which every engine keeps what the table has held for as long as is declared.

    By default a checkpoint forgets after seven days that a file was ever replaced, and a vacuum then takes it for one
    that was never published. The log is shortened by maintenance alone: engines go by the age of a commit, and would
    take that of a version which was the latest until yesterday.
    """
    return {
        "delta.deletedFileRetentionDuration": f"interval {schema.retention_days} days",
        "delta.enableExpiredLogCleanup": "false",
    }


def rows_by_night(table: DeltaTable, nights: Iterable[date]) -> dict[date, int]:
    """Rows of each of ``nights``; nights that the table does not hold are 0."""
    rows = {night.isoformat(): 0 for night in nights}
    for file in held_files(table, {"ds": list(rows)}):
        rows[file.partition["ds"]] += file.rows
    return {date.fromisoformat(night): count for night, count in rows.items()}


def commit(
    lake: str,
    schema: TableSchema,
    data_files: Sequence[DataFile],
    nights: Iterable[date],
    *,
    run_id: str,
    within: Mapping[str, Sequence[str]] | None = None,
    attempt: int | None = None,
) -> int:
    """Replace exactly ``nights`` of a table by ``data_files``, in one commit.

    Nights that hold these very bytes already are left as they are: a rerun with the same inputs makes no new version,
    so that whoever pins a version gets the same one. The new files are removed then, unless they are an ``attempt``,
    which a cleared task may want to publish again. Commits to other nights meanwhile are none of its business: it is
    tried again on top of them. Of two that replace the same night at the same time, one is refused.

    Args:
        lake: The lake's root.
        schema: The declared table.
        data_files: Files that lie in the table's folder and that no version has held; none means empty nights.
        nights: The partitions to replace.
        run_id: Stamped on the commit.
        within: Narrows the replacement to values of further partition columns, e.g. ``{"use_case": ["flight_delay"]}``.
        attempt: A number that grows with each attempt at these nights, for :func:`last_attempt`; default: the time.

    Returns:
        The version that holds the files.

    Raises:
        LakeError: when a file is missing, of another size, outside the partitions, or in the table already.
        ConflictError: when another commit replaced one of the nights meanwhile; worth a retry.
    """
    replaced = {"ds": [night.isoformat() for night in nights], **(within or {})}
    table, uri = ensure_table(lake, schema), table_uri(lake, schema.name)
    in_table = held_files(table, {})
    held = [file for file in in_table if is_within(file.partition, replaced)]
    _check_files(uri, {file.path for file in in_table}, data_files, replaced)
    if table.version() > 0 and same_bytes(uri, held, data_files):
        if attempt is None:
            for file in data_files:
                files.delete_file(f"{uri}/{file.path}")
        return int(table.version())
    number = time.time_ns() // 1_000_000 if attempt is None else attempt
    before, mine = _attempts(table, replaced), {file.path for file in data_files}
    retry = Retry(schema.name)
    while True:
        with retry.refusals(table, uri):
            _try_commit(table, data_files, replaced, run_id=run_id, attempt=number)
        table = open_table(lake, schema.name)
        if retry.refused is None:
            return int(table.version())
        now = _attempts(table, replaced)
        if set(now) == {number} and mine == {file.path for file in held_files(table, replaced)}:
            return int(table.version())  # it had gone through, and its answer was lost
        if now != before:
            raise ConflictError(
                f"another run replaced the same nights of {schema.name} at the same time ({retry.refused})",
                where=uri,
                how_many=len(replaced["ds"]),
                fix="nothing, the task is tried again; see that no two DAGs are asked for the same nights",
            ) from retry.refused
        check_declared(table, schema, delta_schema(schema), uri)


def _try_commit(
    table: DeltaTable,
    data_files: Sequence[DataFile],
    replaced: Mapping[str, Sequence[str]],
    *,
    run_id: str,
    attempt: int,
) -> None:
    """Commit on top of ``table``, whose metadata stays as it is."""
    from deltalake import CommitProperties, Transaction
    from deltalake.transaction import AddAction, RemoveAction

    actions: list[AddAction | RemoveAction] = [
        AddAction(
            path=file.path,
            size=file.size,
            partition_values=dict(file.partition),
            modification_time=0,
            data_change=True,
            stats=file.stats,
        )
        for file in data_files
    ]
    table.create_write_transaction(
        actions,
        mode="overwrite",
        schema=table.schema(),
        partition_by=table.metadata().partition_columns,
        partition_filters=[(column, "in", list(values)) for column, values in replaced.items()],
        commit_properties=CommitProperties(
            custom_metadata={
                "engine": ENGINE,
                "dag_run_id": run_id,
                "nights": ",".join(replaced["ds"]),
                "rows": str(sum(file.rows for file in data_files)),
            },
            app_transactions=[Transaction(name, attempt) for name in _attempt_ids(replaced)],
        ),
    )


def _attempts(table: DeltaTable, replaced: Mapping[str, Sequence[str]]) -> list[int | None]:
    """The last attempts at these partitions: they change when somebody replaces one, and not by compaction."""
    return [table.transaction_version(name) for name in _attempt_ids(replaced)]


def last_attempt(table: DeltaTable, night: date) -> int | None:
    """The ``attempt`` of the last commit that replaced ``night``; None when none has said one."""
    (name,) = _attempt_ids({"ds": [night.isoformat()]})
    version: int | None = table.transaction_version(name)
    return version


def read_nights(
    lake: str, name: str, nights: Iterable[date], columns: Sequence[str] | None = None, version: int | None = None
) -> pa.Table:
    """Read whole nights of a table as Arrow; partitions are pruned. Meant for small tables and tests."""
    return read_rows(open_table(lake, name, version), columns, {"ds": [night.isoformat() for night in nights]})


def _attempt_ids(replaced: Mapping[str, Sequence[str]]) -> list[str]:
    """One name for each combination of partition values that a commit replaces."""
    pairs = [[f"{column}={value}" for value in values] for column, values in replaced.items()]
    return ["/".join([ENGINE, *combination]) for combination in itertools.product(*pairs)]


def _check_files(
    uri: str, held: Collection[str], data_files: Sequence[DataFile], replaced: Mapping[str, Sequence[str]]
) -> None:
    """delta-rs checks none of this: existence, size, partition, statistics, and paths that the table already holds."""
    for file in data_files:
        size = files.size(files.contained(uri, file.path))
        problem = ""
        if size == -1:
            problem = "is not there"
        elif size != file.size:
            problem = f"has {size} bytes, not {file.size}"
        elif not is_within(file.partition, replaced):
            problem = f"is of {dict(file.partition)}, outside of what is replaced"
        elif file.counted_rows() != file.rows:
            problem = f"has statistics that do not say {file.rows} rows"
        elif file.path in held:
            problem = "is in the table already"
        if problem:
            raise LakeError(
                f"the file to publish {problem}", where=f"{uri}/{file.path}", fix="clear the task that wrote it"
            )
