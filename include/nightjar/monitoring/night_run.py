"""A monitored night of one Airflow run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, kw_only=True)
class NightRun:
    """One night of a use case and the run that checks it; its rows of monitoring tables name all three.

    Attributes:
        night: The night.
        use_case: Name of the use case.
        run_id: Airflow run.
    """

    night: date
    use_case: str
    run_id: str
