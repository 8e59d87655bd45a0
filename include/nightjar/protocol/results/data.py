"""Results of the programs that land, validate and maintain tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import ClassVar

from nightjar.protocol.job import JobResult


@dataclass(frozen=True, kw_only=True)
class SourceRows:
    """Rows of one source.

    Attributes:
        rows_in: Landed rows.
        rows_out: Accepted rows.
        rows_rejected: Rows in quarantine.
        broken_rules: Row rule to the number of rows that broke it.
    """

    rows_in: int
    rows_out: int
    rows_rejected: int
    broken_rules: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class IngestResult(JobResult):
    """Result of ``ingest``.

    Attributes:
        sources: Source to its rows.
        warnings: Failed checks that do not stop the night, each with its night.
    """

    PROGRAM: ClassVar = "ingest"
    sources: Mapping[str, SourceRows]
    warnings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class BuildFeaturesResult(JobResult):
    """Result of ``build_features``.

    Attributes:
        missing_history: Nights of the features' history that are missing from the raw tables.
    """

    PROGRAM: ClassVar = "build_features"
    missing_history: tuple[date, ...]


@dataclass(frozen=True, kw_only=True)
class TableRows:
    """Validated rows of one table.

    Attributes:
        rows: Rows of the nights.
        broken_rules: Row rule to the number of rows that broke it.
    """

    rows: int
    broken_rules: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class ValidateFeaturesResult(JobResult):
    """Result of ``validate_features``.

    Attributes:
        data_docs: URI of the page with all expectations.
        tables: Table to its rows.
    """

    PROGRAM: ClassVar = "validate_features"
    data_docs: str
    tables: Mapping[str, TableRows]


@dataclass(frozen=True, kw_only=True)
class TableMaintenance:
    """Maintenance of one table.

    Attributes:
        table: Name of the table.
        version: Version afterwards.
        files: Number of data files of that version.
        compacted: Number of files replaced by compaction.
        removed: Number of deleted data files, which no version within the retention references.
        log_removed: Number of deleted log files, which no version within the retention needs.
    """

    table: str
    version: int
    files: int
    compacted: int
    removed: int
    log_removed: int


@dataclass(frozen=True, kw_only=True)
class MaintainLakeResult(JobResult):
    """Result of ``maintain_lake``.

    Attributes:
        tables: Table to its maintenance.
    """

    PROGRAM: ClassVar = "maintain_lake"
    tables: Mapping[str, TableMaintenance]
