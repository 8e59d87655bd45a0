"""Views that readers get beside the tables. Standard SQL, the same for every engine; standard library only."""

from __future__ import annotations

from dataclasses import dataclass

from nightjar.contracts.use_case import UseCase


@dataclass(frozen=True, kw_only=True)
class View:
    """A view.

    Attributes:
        name: ``<schema>.<view>``, as readers say it.
        comment: What its rows are.
        sql: Its query, over tables named ``<schema>.<table>``.
    """

    name: str
    comment: str
    sql: str


def latest_scores(use_case: UseCase) -> View:
    """``scores.<use_case>_latest``: of each entity the row of its latest night."""
    table = use_case.score_table.name.replace("/", ".")
    key = ", ".join(use_case.key)
    same = " AND ".join(f"scored.{name} = latest.{name}" for name in (*use_case.key, "ds"))
    return View(
        name=f"{table}_latest",
        comment=f"{use_case.title}: of each entity ({key}) the row of its latest night.",
        sql=(
            f"SELECT scored.* FROM {table} AS scored "  # noqa: S608 - names are checked identifiers
            f"JOIN (SELECT {key}, max(ds) AS ds FROM {table} GROUP BY {key}) AS latest ON {same}"
        ),
    )
