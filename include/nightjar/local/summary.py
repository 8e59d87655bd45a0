"""The closing message of ``make run``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from nightjar.local.results import NightOutcome, TrainingOutcome
from nightjar.protocol.results import TableMaintenance

_SNIPPET = """\
.venv/bin/python - <<'EOF'
import duckdb
from deltalake import DeltaTable
scores = DeltaTable("{table}").to_pyarrow_dataset()
print(duckdb.sql("SELECT ds, count(*) AS rows, round(avg(prediction), 4) AS mean FROM scores GROUP BY ds ORDER BY ds"))
EOF"""


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """Format a small table for a terminal: numbers right-aligned, text left-aligned."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(len(line[i]) for line in [list(columns), *cells]) for i in range(len(columns))]
    numeric = [all(isinstance(row[i], (int, float)) for row in rows) for i in range(len(columns))]

    def line(values: Sequence[str]) -> str:
        aligned = (v.rjust(w) if n else v.ljust(w) for v, w, n in zip(values, widths, numeric, strict=True))
        return "  ".join(aligned).rstrip()

    return [line(columns), line(["-" * width for width in widths]), *(line(row) for row in cells)]


def nights_table(nights: Sequence[NightOutcome]) -> str:
    """Return rows scored and rejected, and the drift verdict, one line per night."""
    rows = [(str(n.night), n.scored, n.rejected, n.rejected_raw, n.verdict) for n in nights]
    return "\n".join(table(["night", "scored", "not scored", "raw rows rejected", "drift verdict"], rows))


def maintenance_table(done: Mapping[str, TableMaintenance]) -> str:
    """Return the maintenance of each table, one line per table."""
    rows = [(name, table.version, table.files, table.compacted, table.removed) for name, table in done.items()]
    return "\n".join(table(["table", "version", "files", "compacted", "removed"], rows))


def render(
    *,
    nights: Sequence[NightOutcome],
    training: TrainingOutcome,
    riskiest: tuple[Sequence[str], Sequence[Sequence[Any]]],
    airflow_url: str,
    mlflow_url: str,
    login: tuple[str, str],
    lake: Path,
    score_table: str,
    seconds: float,
) -> str:
    """Return the closing message: what ``make run`` made, where it is, and how to read it.

    Args:
        nights: Outcomes of the nights, in order.
        training: Outcome of the champion's training.
        riskiest: Columns and rows of the highest predictions of the last night.
        airflow_url: Address of Airflow.
        mlflow_url: Address of MLflow.
        login: User and password of Airflow.
        lake: Root of the lake.
        score_table: Name of the score table.
        seconds: Wall-clock seconds of the command.
    """
    report = Path(nights[-1].report)
    parts = [
        "",
        "Nights",
        nights_table(nights),
        "",
        f"Model   version {training.version}: {training.line()}",
        "",
        f"The {len(riskiest[1])} highest predictions of the last night (times in UTC)",
        *table(*riskiest),
        "",
        f"Report  {report}",
        f"        {airflow_url}/nightjar/files/{report.relative_to(lake)}",
        f"Airflow {airflow_url}   user {login[0]}, password {login[1]}",
        f"MLflow  {mlflow_url}",
        "",
        "Read the scores with DuckDB (paste it here; `make query` opens all tables):",
        _SNIPPET.format(table=lake / score_table),
        "",
        f"Done in {seconds:.0f} s",
    ]
    return "\n".join(parts)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    return "" if value is None else str(value)
