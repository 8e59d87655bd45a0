"""Findings of a judged night, from the rows of the last judged nights. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from nightjar.declaration.use_case import UseCase
from nightjar.monitoring.incidents.findings import Finding
from nightjar.monitoring.performance.intervals import Interval
from nightjar.monitoring.performance.rows import PerformanceRow

Night = Mapping[str, PerformanceRow]
"""Rows of ``monitoring/performance`` by metric, for one night without slices."""
NIGHTS, MIN_NIGHTS = 7, 4
"""Judged nights that a warning is based on, and the minimum of them with a value. Rows of one night share its weather:
AUCs of the flights' nights differ by twice what intervals over rows allow, so that a warning by a single night's
interval would be raised every tenth night (``benchmarks/performance_nights.py``)."""
CLEAR_AUC = 0.03
"""Margin by which the AUC's interval over nights must lie below the holdout's AUC; the holdout has only a week."""
AGAINST_BASELINE = {"log_loss": "log loss", "brier": "Brier score", "expected_cost": "cost per row"}
"""Names of the metrics that are compared with the baseline on the same rows. Their level depends on the night's label
rate, so they are not compared with the holdout."""
RUNBOOK = "docs/runbooks/performance.md"


def find_problems(
    nights: Sequence[Night], use_case: UseCase, *, night: date, link: str, judged: Night | None = None
) -> list[Finding]:
    """Return the findings of the last judged night, breaches first.

    ``breach``: the whole interval of the judged AUC, over its rows, lies below the declared floor. ``warn``: the whole
    interval over the last :data:`NIGHTS` nights of the same version, and the last night, are worse than the holdout or
    the baseline.

    Args:
        nights: The last judged nights, oldest first; the last one was judged by this run.
        use_case: The use case, with the floor (if any) and the confidence level.
        night: Night whose run judges.
        link: Address of the page.
        judged: Rows to compare with the floor; defaults to the last of ``nights``, and overrides it for pooled nights.
    """
    if not nights:
        return []
    last = nights[-1]
    version = last["auc"].model_version
    recent = [rows for rows in nights if rows["auc"].model_version == version][-NIGHTS:]
    confidence = use_case.monitoring.performance.confidence
    problems = [
        *_below_the_floor(last if judged is None else judged, use_case),
        *_below_the_holdout(recent, confidence),
        *_above_the_baseline(recent, confidence),
    ]
    return [
        Finding(
            kind="performance",
            subject=f"{use_case.name} {problem.subject}",
            night=night,
            what=f"scores of {last['auc'].ds}: {problem.what}",
            severity=problem.severity,
            severity_ratio=problem.severity_ratio,
            link=link,
            runbook=RUNBOOK,
        )
        for problem in problems
    ]


@dataclass(frozen=True)
class _Problem:
    """A finding without use case and night."""

    subject: str
    what: str
    severity: Literal["warn", "breach"]
    severity_ratio: float


def _below_the_floor(judged: Night, use_case: UseCase) -> Iterator[_Problem]:
    floor = use_case.monitoring.retraining.floor if use_case.monitoring.retraining else None
    auc = judged["auc"].interval
    if floor is not None and auc is not None and auc.high < floor:
        what = f"the AUC is {auc.value:.3f} ({auc.low:.3f} to {auc.high:.3f}), below the floor of {floor:g}"
        yield _Problem("auc below the floor", what, "breach", (1 - auc.value) / (1 - floor))


def _below_the_holdout(recent: Sequence[Night], confidence: float) -> Iterator[_Problem]:
    last = recent[-1]["auc"]
    holdout = last.holdout
    if holdout is None or (last.high or 1.0) >= holdout:
        return
    over = over_nights(recent, "auc", "value", confidence)
    if over and over.high < holdout - CLEAR_AUC:
        of = f"the AUC is {over.value:.3f} ({over.low:.3f} to {over.high:.3f})"
        what = f"over the last {len(recent)} judged nights {of}, clearly below the {holdout:.3f} of the holdout"
        yield _Problem("auc below the holdout", what, "warn", (1 - over.value) / (1 - holdout + CLEAR_AUC))


def _above_the_baseline(recent: Sequence[Night], confidence: float) -> Iterator[_Problem]:
    for metric, name in AGAINST_BASELINE.items():
        rows = [night[metric] for night in recent if metric in night and night[metric].excess is not None]
        if not rows or rows[-1].ds != recent[-1]["auc"].ds or (rows[-1].excess or 0.0) <= 0:
            continue
        excess = over_nights(recent, metric, "excess", confidence)
        if excess and excess.low > 0:
            baseline = math.fsum(row.baseline or 0.0 for row in rows) / len(rows)
            what = (
                f"over the last {len(recent)} judged nights the {name} is "
                f"{baseline + excess.value:.3g}; the baseline has {baseline:.3g}"
            )
            yield _Problem(f"{metric} above the baseline", what, "warn", 1 + excess.value / baseline)


def over_nights(
    nights: Sequence[Night], metric: str, column: Literal["value", "excess"], confidence: float
) -> Interval | None:
    """Return the mean over nights with Student's interval, nights being independent units; None with too few."""
    from scipy.special import stdtrit  # takes 0.15 s, and most importers only read findings

    rows = [night[metric] for night in nights if metric in night]
    known = [row.value if column == "value" else row.excess for row in rows]
    values = [value for value in known if value is not None]
    if len(values) < MIN_NIGHTS:
        return None
    mean = math.fsum(values) / len(values)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))
    half = float(stdtrit(len(values) - 1, (1 + confidence) / 2)) * deviation / math.sqrt(len(values))
    return Interval(value=mean, low=mean - half, high=mean + half)
