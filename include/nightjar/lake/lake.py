"""Handle of the lake: locations of its tables and small files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from nightjar.declaration.tables import TableSchema
from nightjar.lake import delta
from nightjar.lake.table import Table
from nightjar.protocol.names import check_location

if TYPE_CHECKING:
    from deltalake import DeltaTable


@dataclass(frozen=True)
class Lake:
    """Root of all tables and small files, a folder or a URI.

    Attributes:
        uri: The lake's root.

    Raises:
        ConfigurationError: when the root has a name that some library would misread.
    """

    uri: str

    def __post_init__(self) -> None:
        check_location(self.uri, field="lake")

    def __str__(self) -> str:
        return self.uri

    def table(self, schema: TableSchema) -> Table:
        """Return the handle of a declared table."""
        return Table(uri=self.table_uri(schema.name), schema=schema)

    def table_uri(self, name: str) -> str:
        """Return the folder of the table ``name``."""
        return f"{self.uri}/{name}"

    def has_table(self, name: str) -> bool:
        """Return whether the table ``name`` has been written at least once."""
        return delta.table_exists(self.table_uri(name))

    def open_table(self, name: str, version: int | None = None) -> DeltaTable:
        """Open the table ``name`` at ``version``, or at its latest; raises like :meth:`Table.open`."""
        return delta.open_table(self.table_uri(name), name, version)

    def report_uri(self, use_case: str, night: date, page: str) -> str:
        """Return the address of a night's report, e.g. of the page ``drift``."""
        return f"{self.uri}/reports/{use_case}/{night}/{page}.html"
