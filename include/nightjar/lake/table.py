"""A declared table of the lake: open, create, read, and replace whole nights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import date
from typing import TYPE_CHECKING, Any, TypeVar

from nightjar.declaration.tables import TableSchema
from nightjar.lake import delta
from nightjar.lake.append import append_rows
from nightjar.lake.commit import commit_files
from nightjar.lake.declared import check_declared
from nightjar.lake.parquet import write_files
from nightjar.lake.retries import Retry, writing_errors
from nightjar.lake.rows import read_nights
from nightjar.protocol.data_file import DataFile

if TYPE_CHECKING:
    import pyarrow as pa
    from _typeshed import DataclassInstance
    from deltalake import DeltaTable

Row = TypeVar("Row", bound="DataclassInstance")


@dataclass(frozen=True, kw_only=True)
class Table:
    """Handle of a declared table, whether or not it has been written yet.

    Attributes:
        uri: The table's folder.
        schema: The declaration.
    """

    uri: str
    schema: TableSchema

    def exists(self) -> bool:
        """Return whether the table has been written at least once."""
        return delta.table_exists(self.uri)

    def open(self, version: int | None = None) -> DeltaTable:
        """Open the table at ``version``, or at its latest.

        Raises:
            LakeError: when the table or version does not exist or cannot be read.
            UnreachableError: when the store does not answer.
        """
        return delta.open_table(self.uri, self.schema.name, version)

    def ensure(self) -> DeltaTable:
        """Open the table; create it empty (partitioned as declared, with column comments) when it does not exist.

        Nullable columns that an older table lacks are added; existing rows have null there.

        Raises:
            LakeError: when the table is not as declared, or delta-rs cannot write it.
            ConflictError: when other writers stayed ahead until the time limit; retryable.
        """
        if not self.exists():
            self._create()
        retry = Retry(self.schema.name)
        while True:
            table = self.open()
            new = check_declared(table, self.schema, delta.delta_schema(self.schema), self.uri)
            if not new:
                return table
            with retry.handle_conflict(table, self.uri):
                table.alter.add_columns(new)
                return table

    def check(self) -> None:
        """Compare an existing table with its declaration, so that a later :meth:`commit` does not fail on it.

        Raises:
            LakeError: when it is not as declared.
        """
        if self.exists():
            check_declared(self.open(), self.schema, delta.delta_schema(self.schema), self.uri)

    def commit(
        self,
        data_files: Sequence[DataFile],
        nights: Iterable[date],
        *,
        run_id: str,
        within: Mapping[str, Sequence[str]] | None = None,
        attempt: int | None = None,
    ) -> int:
        """Replace exactly ``nights`` with ``data_files``, in one commit.

        Nights that already hold the same bytes are left alone: a rerun with the same inputs makes no new version, so
        pinned versions stay equal. The new files are then removed, unless they belong to an ``attempt``, which a
        cleared task may publish again. When other nights are committed meanwhile, the commit is retried on top of them.
        Of two commits that replace the same night at the same time, one fails.

        Args:
            data_files: Files in the table's folder that no version contains yet. An empty sequence empties the nights.
            nights: The partitions to replace.
            run_id: DAG run, recorded with the commit.
            within: Restricts the replacement to values of further partition columns,
                e.g. ``{"use_case": ["flight_delay"]}``.
            attempt: Attempt number, which grows with each attempt at these nights;
                :func:`nightjar.lake.commit.last_attempt` reads it. Defaults to the time, in milliseconds since 1970.

        Returns:
            The version that holds the files.

        Raises:
            LakeError: when a file is missing, has another size, lies outside the partitions, or is already in the
                table.
            ConflictError: when another commit replaced one of the nights meanwhile; retryable.
        """
        replaced = {"ds": [night.isoformat() for night in nights], **(within or {})}
        return commit_files(self.ensure(), self.uri, self.schema, data_files, replaced, run_id=run_id, attempt=attempt)

    def append(self, rows: pa.Table) -> int:
        """Append a few rows exactly once, and return the new version.

        Raises:
            LakeError: when the table is not as declared, or delta-rs cannot write it.
            ConflictError: when other writers stayed ahead until the time limit; retryable.
        """
        return append_rows(self.ensure(), self.uri, self.schema, rows)

    def read_nights(
        self, nights: Iterable[date], columns: Sequence[str] | None = None, version: int | None = None
    ) -> pa.Table:
        """Read whole nights as Arrow, with partition pruning. Meant for small tables and tests."""
        return read_nights(self.open(version), nights, columns)

    def replace(self, rows: Sequence[DataclassInstance], nights: Iterable[date], *, use_case: str, run_id: str) -> int:
        """Replace the use case's rows of ``nights`` in one commit, and return the new table version.

        For monitoring tables: a night has a few dozen rows, so they are written without a Spark job.

        Args:
            rows: Instances of the table's row class.
            nights: Nights to replace.
            use_case: Name of the use case.
            run_id: Airflow run.
        """
        import pyarrow as pa

        target = delta.arrow_schema(self.schema)
        table = pa.Table.from_pylist([vars(row) for row in rows], target)
        written = write_files(iter(table.to_batches()), self.uri, target, self.schema.partition_by)
        return self.commit(written, nights, run_id=run_id, within={"use_case": [use_case]})

    def read_use_case(self, use_case: str, nights: Iterable[date], row_class: type[Row]) -> list[Row]:
        """Return the use case's rows of ``nights``; empty when the table does not exist yet.

        Args:
            use_case: Name of the use case.
            nights: Nights to read.
            row_class: Dataclass of the rows. Its fields are the columns to read.
        """
        names = [field.name for field in fields(row_class)]
        return [row_class(**row) for row in self._read_columns(use_case, nights, names)]

    def has_rows(self, use_case: str, night: date) -> bool:
        """Return whether the use case has rows of ``night``."""
        return bool(self._read_columns(use_case, [night], []))

    def _read_columns(self, use_case: str, nights: Iterable[date], columns: Sequence[str]) -> list[dict[str, Any]]:
        requested = list(nights)
        if not requested or not self.exists():
            return []
        rows = self.read_nights(requested, list(dict.fromkeys(["use_case", *columns]))).to_pylist()
        return [{name: row[name] for name in columns} for row in rows if row["use_case"] == use_case]

    def _create(self) -> None:
        """Create the table. It may exist by now: by another process, or by an earlier try whose reply was lost."""
        from deltalake import DeltaTable
        from deltalake.exceptions import CommitFailedError

        with writing_errors(self.uri), suppress(CommitFailedError):
            DeltaTable.create(
                self.uri,
                delta.delta_schema(self.schema),
                mode="ignore",
                partition_by=list(self.schema.partition_by),
                name=self.schema.name.replace("/", "_"),
                description=self.schema.comment,
                configuration=delta.retention(self.schema),
            )
