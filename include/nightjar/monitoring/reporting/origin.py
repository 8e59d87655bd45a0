"""Where a report comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ReportOrigin:
    """Code, run and tables of a report, shown at the end of its page.

    Attributes:
        git_commit: Commit of the code that ran.
        run_id: Airflow run.
        table_versions: Delta version of each table that was read.
    """

    git_commit: str
    run_id: str
    table_versions: Mapping[str, int]
