"""Findings of monitoring, in one form for alerts, incidents and the retraining policy."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

FindingKind = Literal["contract", "data", "drift", "performance", "skew"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A problem of one night.

    Attributes:
        kind: ``contract`` (an undeclared column, which no program reads), ``data`` (a broken rule or an anomaly),
            ``drift``, ``performance`` or ``skew``.
        subject: Table, column or metric with the problem, e.g. ``raw/flights.arr_delay null_share``. It is the same on
            every night of the problem; kind and subject identify the incident.
        night: Night with the problem.
        what: One sentence with the observed and the expected figure.
        severity: ``warn``, or ``breach`` when it counts for the verdict on the night.
        severity_ratio: Observed figure as a multiple of the tolerated one; above 1.
        link: Where to look: a page or a table of the lake.
        runbook: Page of ``docs/runbooks/`` with what to do.
    """

    kind: FindingKind
    subject: str
    night: date
    what: str
    severity: Literal["warn", "breach"]
    severity_ratio: float
    link: str
    runbook: str
