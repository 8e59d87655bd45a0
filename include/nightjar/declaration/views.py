"""Views that readers get beside the tables. Standard SQL, the same for every engine; standard library only."""

from __future__ import annotations

from dataclasses import dataclass

from nightjar.declaration.sql import Quote
from nightjar.declaration.use_case import UseCase


@dataclass(frozen=True, kw_only=True)
class View:
    """A view.

    Attributes:
        schema: Its schema, that of its table.
        name: Its name in the schema.
        comment: What its rows are.
        key: Columns that identify an entity.
        table: Name of its table in the schema.
    """

    schema: str
    name: str
    comment: str
    key: tuple[str, ...]
    table: str

    def sql(self, quote: Quote) -> str:
        """Return its query, with names quoted as the engine has them."""
        table = quote(self.schema, self.table)
        key = ", ".join(map(quote, self.key))
        same = " AND ".join(f"scored.{quote(name)} = latest.{quote(name)}" for name in (*self.key, "ds"))
        return (
            f"SELECT scored.* FROM {table} AS scored "  # noqa: S608 - names are quoted
            f"JOIN (SELECT {key}, max(ds) AS ds FROM {table} GROUP BY {key}) AS latest ON {same}"
        )


def latest_scores(use_case: UseCase) -> View:
    """Return ``scores.<use_case>_latest``: for each entity the row of its latest night."""
    schema, table = use_case.score_table.name.split("/")
    return View(
        schema=schema,
        name=f"{table}_latest",
        comment=f"{use_case.title}: for each entity ({', '.join(use_case.key)}) the row of its latest night.",
        key=use_case.key,
        table=table,
    )
