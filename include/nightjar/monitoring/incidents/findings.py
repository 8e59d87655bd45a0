"""What monitoring has found wrong with a night, in one form for alerts, incidents and the retraining policy."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

FindingKind = Literal["contract", "data", "drift", "performance", "skew"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong with one night.

    Attributes:
        kind: ``contract`` (an undeclared column, which nothing reads), ``data`` (a broken rule or an
            anomaly), ``drift``, ``performance`` or ``skew``.
        subject: What it is about; the same on every night on which the same thing is wrong, so that nights of one
            incident find each other, e.g. ``raw/flights.arr_delay null_share``.
        night: The night that it is wrong with.
        what: One sentence for a person: what, with the figure and what was expected.
        severity: ``warn``, or ``breach`` when it counts for the verdict on the night.
        badness: Observed, as a multiple of what is tolerated; above 1.
        link: Where to look: a page or a table of the lake.
        runbook: Page of ``docs/runbooks/`` that says what to do.
    """

    kind: FindingKind
    subject: str
    night: date
    what: str
    severity: Literal["warn", "breach"]
    badness: float
    link: str
    runbook: str
