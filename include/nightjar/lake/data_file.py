"""Parquet files in a table's folder that no version references yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from nightjar.protocol.documents import PARSER_ERRORS, check_fields, parse_object


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

    def to_dict(self) -> dict[str, Any]:
        """Return the file as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> DataFile:
        """Build it from the result of :meth:`to_dict`; call it within :func:`nightjar.protocol.documents.reading`."""
        file = cls(**document)
        check_fields(file)
        return file

    def counted_rows(self) -> int | None:
        """Return the row count of the statistics; None for invalid statistics."""
        try:
            return int(parse_object(self.stats)["numRecords"])
        except PARSER_ERRORS:
            return None
