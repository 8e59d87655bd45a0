"""Views beside the tables, in standard SQL for every engine. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass

from nightjar.declaration.sql import Quote
from nightjar.declaration.use_case import UseCase


@dataclass(frozen=True, kw_only=True)
class View:
    """A view of a table.

    Attributes:
        schema: Schema of the view and its table.
        name: Name in the schema.
        comment: What a row is.
        key: Columns that identify an entity.
        table: Name of the table in the schema.
    """

    schema: str
    name: str
    comment: str
    key: tuple[str, ...]
    table: str

    def sql(self, quote: Quote) -> str:
        """Return the query, with names quoted for the engine."""
        table = quote(self.schema, self.table)
        key = ", ".join(map(quote, self.key))
        same = " AND ".join(f"scored.{quote(name)} = latest.{quote(name)}" for name in (*self.key, "ds"))
        return (
            f"SELECT scored.* FROM {table} AS scored "  # noqa: S608 - names are quoted
            f"JOIN (SELECT {key}, max(ds) AS ds FROM {table} GROUP BY {key}) AS latest ON {same}"
        )


def latest_scores(use_case: UseCase) -> View:
    """Return the view ``scores.<use_case>_latest``: each entity's row of its latest night."""
    schema, table = use_case.score_table.name.split("/")
    return View(
        schema=schema,
        name=f"{table}_latest",
        comment=f"{use_case.title}: the latest row of each entity ({', '.join(use_case.key)}).",
        key=use_case.key,
        table=table,
    )
