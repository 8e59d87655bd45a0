"""Parquet files in a table's folder that no version references yet, as programs name them to each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nightjar.protocol.documents import PARSER_ERRORS, parse_object


@dataclass(frozen=True, kw_only=True)
class DataFile:
    """A Parquet file in a table's folder that no version references yet.

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

    def counted_rows(self) -> int | None:
        """Return the row count of the statistics; None for invalid statistics."""
        try:
            return int(parse_object(self.stats)["numRecords"])
        except PARSER_ERRORS:
            return None
