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
from nightjar.monitoring.performance.monitored import Monitored
from nightjar.monitoring.performance.problem import PerformanceProblem
from nightjar.monitoring.performance.registry import performance_problem
from nightjar.monitoring.performance.rows import PerformanceRow

Night = Mapping[str, PerformanceRow]
"""Rows of ``monitoring/performance`` by metric, for one night without slices."""
NIGHTS, MIN_NIGHTS = 7, 4
"""Judged nights that a warning is based on, and the minimum of them with a value. Rows of one night share its weather:
AUCs of the flights' nights differ by twice what intervals over rows allow, so that a warning by a single night's
interval would be raised every tenth night (``benchmarks/performance_nights.py``)."""
RUNBOOK = "docs/runbooks/performance.md"


def find_problems(
    nights: Sequence[Night], use_case: UseCase, *, night: date, link: str, judged: Night | None = None
) -> list[Finding]:
    """Return the findings of the last judged night, breaches first.

    ``breach``: the whole interval of the monitored metric, over its rows, is worse than the declared bound. ``warn``:
    the whole interval over the last :data:`NIGHTS` nights of the same version, and the last night, are worse than the
    holdout or the baseline.

    Args:
        nights: The last judged nights, oldest first; the last one was judged by this run.
        use_case: The use case, with the bound (if any) and the confidence level.
        night: Night whose run judges.
        link: Address of the page.
        judged: Rows to compare with the bound; defaults to the last of ``nights``, and overrides it for pooled nights.
    """
    if not nights:
        return []
    problem_type = performance_problem(use_case.problem)
    monitored = problem_type.monitored
    last = nights[-1][monitored.name]
    recent = [rows for rows in nights if rows[monitored.name].model_version == last.model_version][-NIGHTS:]
    confidence = use_case.monitoring.performance.confidence
    bound = monitored.bound(use_case.monitoring.retraining)
    problems = [
        *_beyond_the_bound((nights[-1] if judged is None else judged)[monitored.name], monitored, bound),
        *_worse_than_the_holdout(recent, monitored, confidence),
        *_worse_than_the_baseline(recent, problem_type, confidence),
    ]
    return [
        Finding(
            kind="performance",
            subject=f"{use_case.name} {problem.subject}",
            night=night,
            what=f"scores of {last.ds}: {problem.what}",
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


def _beyond_the_bound(row: PerformanceRow, monitored: Monitored, bound: float | None) -> Iterator[_Problem]:
    value = row.interval
    if bound is not None and value is not None and monitored.is_all_worse(value, bound):
        subject = f"{monitored.worse_side} the {monitored.bound_name}"
        figures = monitored.words.plain_interval(value)
        what = f"the {monitored.words.phrase} is {figures}, {subject} of {bound:g}"
        yield _Problem(f"{monitored.name} {subject}", what, "breach", monitored.severity(value.value, bound))


def _worse_than_the_holdout(recent: Sequence[Night], monitored: Monitored, confidence: float) -> Iterator[_Problem]:
    last = recent[-1][monitored.name]
    value, holdout, words = last.interval, last.holdout, monitored.words
    if holdout is None or value is None or not monitored.is_all_worse(value, holdout):
        return
    over = over_nights(recent, monitored.name, "value", confidence)
    if over and monitored.is_clearly_worse(over, holdout):
        of = f"the {words.phrase} is {words.plain_interval(over)}"
        side = monitored.worse_side
        what = (
            f"over the last {len(recent)} judged nights {of}, clearly {side} the {words.plain(holdout)} of the holdout"
        )
        severity = monitored.severity(over.value, holdout, monitored.margin(holdout))
        yield _Problem(f"{monitored.name} {side} the holdout", what, "warn", severity)


def _worse_than_the_baseline(
    recent: Sequence[Night], problem_type: PerformanceProblem, confidence: float
) -> Iterator[_Problem]:
    last = recent[-1][problem_type.monitored.name].ds
    for metric, quality in problem_type.compared.items():
        rows = [night[metric] for night in recent if metric in night and night[metric].excess is not None]
        if not rows or rows[-1].ds != last or quality.worse_by(rows[-1].excess or 0.0, 0.0) <= 0:
            continue
        excess = over_nights(recent, metric, "excess", confidence)
        if excess and quality.worse_by(excess.low if quality.lower_is_better else excess.high, 0.0) > 0:
            baseline = math.fsum(row.baseline or 0.0 for row in rows) / len(rows)
            what = (
                f"over the last {len(recent)} judged nights the {problem_type.words[metric].phrase} is "
                f"{baseline + excess.value:.3g}; the baseline has {baseline:.3g}"
            )
            side = "above" if quality.lower_is_better else "below"
            worse = quality.worse_by(excess.value, 0.0)
            yield _Problem(f"{metric} {side} the baseline", what, "warn", 1 + worse / (baseline or worse))


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
