"""``make data-dictionary``: docs/data_dictionary.md, from the declarations that the tables themselves are made from."""

from __future__ import annotations

from pathlib import Path

from nightjar.contracts.tables import TableSchema
from nightjar.contracts.use_case import UseCase, load_use_case
from nightjar.contracts.views import latest_scores
from nightjar.lake import ledger
from nightjar.monitoring.tables import MONITORING_TABLES

FILE = Path("docs/data_dictionary.md")
HEAD = """# Data dictionary

Every table of the lake, as its schema says it; the same comments are in the tables themselves (`DESCRIBE` in Spark,
`DeltaTable(...).schema()` in delta-rs). Made by `make data-dictionary`; the tests fail where it differs. Times are UTC.
"""


def write(root: Path) -> Path:
    """Write the file below the checkout's root; return where."""
    target = root / FILE
    target.write_text(text(root))
    return target


def use_case_names(root: Path) -> list[str]:
    """Names of the checkout's use cases, sorted."""
    return sorted(file.parent.name for file in (root / "include" / "use_cases").glob("*/use_case.py"))


def text(root: Path) -> str:
    """The whole page: the platform's tables, then each use case's in the order of a night."""
    parts = [HEAD, "## Every use case", *map(table, (*MONITORING_TABLES, ledger.TABLE))]
    for name in use_case_names(root):
        use_case = load_use_case(name)
        parts += [f"## {use_case.title} (`{name}`)", *map(table, use_case.tables), view(use_case)]
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def table(schema: TableSchema) -> str:
    """A table's section."""
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
    """The section of the view on the latest scores."""
    latest = latest_scores(use_case)
    return f"### View `{latest.name}`\n\n{latest.comment} Columns are those of `{use_case.score_table.name}`."


def _cell(comment: str) -> str:
    return comment.replace("|", "\\|")
