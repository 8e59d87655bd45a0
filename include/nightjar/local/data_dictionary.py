"""``make data-dictionary``: write docs/data_dictionary.md from the declarations of the tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nightjar.declaration.tables import TableSchema
from nightjar.declaration.use_case import UseCase, load_use_case
from nightjar.declaration.views import latest_scores
from nightjar.lake import ledger
from nightjar.monitoring.tables import MONITORING_TABLES
from nightjar.protocol.errors import ConfigurationError

FILE = Path("docs/data_dictionary.md")
HEAD = """# Data dictionary

Every table of the lake, from its schema. The same comments are in the tables themselves (`DESCRIBE` in Spark,
`DeltaTable(...).schema()` in delta-rs). Written by `make data-dictionary`; a test fails when it is out of date. Times
are UTC.
"""


def write(root: Path) -> Path:
    """Write the file below the checkout's root for all use cases that can be loaded; return its path.

    Raises:
        ConfigurationError: after writing, naming each use case that could not be loaded.
    """
    loaded, broken = [], []
    for name in use_case_names(root):
        try:
            loaded.append(load_use_case(name))
        except Exception as error:  # the declaration is user code and may raise anything
            broken.append(f"{name} ({type(error).__name__}: {error})")
    target = root / FILE
    target.write_text(text(loaded))
    if broken:
        raise ConfigurationError(
            f"the data dictionary is written without {'; '.join(broken)}",
            where=str(root / "include" / "use_cases"),
            how_many=len(broken),
            fix="correct the declarations, then run `make data-dictionary`",
        )
    return target


def use_case_names(root: Path) -> list[str]:
    """Return the names of the checkout's use cases, sorted."""
    return sorted(file.parent.name for file in (root / "include" / "use_cases").glob("*/use_case.py"))


def text(use_cases: Sequence[UseCase]) -> str:
    """Return the whole page: the platform's tables, then those of each use case in the order of a night."""
    parts = [HEAD, "## Every use case", *map(table, (*MONITORING_TABLES, ledger.TABLE))]
    for use_case in use_cases:
        parts += [f"## {use_case.title} (`{use_case.name}`)", *map(table, use_case.tables), view(use_case)]
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def table(schema: TableSchema) -> str:
    """Return the section of a table."""
    key = f"Key: `{'`, `'.join(schema.key)}` within a night. " if schema.key else ""
    rows = [
        f"| `{column.name}` | {column.type} | {'' if column.nullable else 'never'} | {_cell(column.comment)} |"
        for column in schema.columns
    ]
    lines = [
        f"### `{schema.name}`",
        "",
        schema.comment,
        "",
        f"{key}Partitions: `{'`, `'.join(schema.partition_by)}`. Time travel: {schema.retention_days} days.",
        "",
        "| Column | Type | Null | Meaning |",
        "|---|---|---|---|",
        *rows,
    ]
    return "\n".join(lines)


def view(use_case: UseCase) -> str:
    """Return the section of the view of latest scores."""
    latest = latest_scores(use_case)
    name = f"{latest.schema}.{latest.name}"
    return f"### View `{name}`\n\n{latest.comment} Columns are those of `{use_case.score_table.name}`."


def _cell(comment: str) -> str:
    return comment.replace("|", "\\|")
