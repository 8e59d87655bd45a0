"""What is wrong with a judged night: pure, from the rows of the last judged nights to findings."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from scipy.special import stdtrit

from nightjar.declaration.use_case import UseCase
from nightjar.monitoring.incidents.findings import Finding
from nightjar.monitoring.performance.intervals import Interval

Row = Mapping[str, Any]
Night = Mapping[str, Row]
"""Metric to its row of ``monitoring/performance``, of all rows of a night."""
NIGHTS, LEAST_NIGHTS = 7, 4
"""Warnings look at so many judged nights, of which at least so many must have a figure. Rows of one night share its
weather: of the flights' nights, AUCs differ by twice what intervals by rows allow, so that every tenth would be warned
of by its own interval (``benchmarks/performance_nights.py``)."""
CLEAR_AUC = 0.03
"""An AUC is clearly below the holdout's when its interval over nights lies below it by more than this: the holdout is
but a week itself."""
AGAINST_BASELINE = {"log_loss": "log loss", "brier": "Brier score", "expected_cost": "cost a row"}
"""Metrics, with their names, by which a constant may be better. Their level moves with the night's label rate, so they
are compared with the constant on the same rows, and not with the holdout's figures."""
RUNBOOK = "docs/runbooks/performance.md"


def findings_of(
    nights: Sequence[Night], use_case: UseCase, *, night: date, link: str, judged: Night | None = None
) -> list[Finding]:
    """The findings, breaches first.

    Below the floor (``breach``): the whole interval of the judged AUC is, by its rows, as declared. Below the holdout,
    or above what a constant would have got (``warn``): so is the whole interval over the last :data:`NIGHTS` nights
    that the same version has scored, and the last of them.

    Args:
        nights: The last judged nights, oldest first; the last is the one that was judged now.
        use_case: Says the floor, where it declares one, and the confidence.
        night: The night whose run has judged.
        link: The page that shows it.
        judged: What is judged by the floor; the last of ``nights`` unless several are judged together.
    """
    if not nights:
        return []
    last = nights[-1]
    version = last["auc"]["model_version"]
    recent = [one for one in nights if one["auc"]["model_version"] == version][-NIGHTS:]
    confidence = use_case.performance.confidence
    wrong = [
        *_below_the_floor(last if judged is None else judged, use_case),
        *_below_the_holdout(recent, confidence),
        *_above_the_baseline(recent, confidence),
    ]
    return [
        Finding(
            kind="performance",
            subject=f"{use_case.name} {one.subject}",
            night=night,
            what=f"scores of {last['auc']['ds']}: {one.what}",
            severity=one.severity,
            severity_ratio=one.severity_ratio,
            link=link,
            runbook=RUNBOOK,
        )
        for one in wrong
    ]


@dataclass(frozen=True)
class _Wrong:
    """A finding before it says of which use case and night."""

    subject: str
    what: str
    severity: Literal["warn", "breach"]
    severity_ratio: float


def _below_the_floor(judged: Night, use_case: UseCase) -> Iterator[_Wrong]:
    floor, auc = use_case.retraining.min_auc if use_case.retraining else None, judged["auc"]
    if floor is not None and auc["high"] is not None and auc["high"] < floor:
        what = f"the AUC is {auc['value']:.3f} ({auc['low']:.3f} to {auc['high']:.3f}), below the floor of {floor:g}"
        yield _Wrong("auc below the floor", what, "breach", (1 - auc["value"]) / (1 - floor))


def _below_the_holdout(recent: Sequence[Night], confidence: float) -> Iterator[_Wrong]:
    last = recent[-1]["auc"]
    holdout, over = last["holdout"], over_nights(recent, "auc", "value", confidence)
    if over and holdout is not None and over.high < holdout - CLEAR_AUC and (last["high"] or 1.0) < holdout:
        of = f"the AUC is {over.value:.3f} ({over.low:.3f} to {over.high:.3f})"
        what = f"over the last {len(recent)} judged nights {of}, clearly below the {holdout:.3f} of the holdout"
        yield _Wrong("auc below the holdout", what, "warn", (1 - over.value) / (1 - holdout + CLEAR_AUC))


def _above_the_baseline(recent: Sequence[Night], confidence: float) -> Iterator[_Wrong]:
    for metric, name in AGAINST_BASELINE.items():
        rows = [night[metric] for night in recent if metric in night and night[metric]["excess"] is not None]
        excess = over_nights(recent, metric, "excess", confidence)
        if excess and excess.low > 0 and rows[-1]["ds"] == recent[-1]["auc"]["ds"] and rows[-1]["excess"] > 0:
            constant = math.fsum(row["baseline"] for row in rows) / len(rows)
            what = (
                f"over the last {len(recent)} judged nights the {name} is "
                f"{constant + excess.value:.3g}; a constant prediction would have got {constant:.3g}"
            )
            yield _Wrong(f"{metric} above the baseline", what, "warn", 1 + excess.value / constant)


def over_nights(nights: Sequence[Night], metric: str, column: str, confidence: float) -> Interval | None:
    """The mean of nights' figures with Student's interval, nights being what is independent; None of too few."""
    rows = [night[metric] for night in nights if metric in night and night[metric][column] is not None]
    if len(rows) < LEAST_NIGHTS:
        return None
    values = [row[column] for row in rows]
    mean = math.fsum(values) / len(values)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))
    half = float(stdtrit(len(values) - 1, (1 + confidence) / 2)) * deviation / math.sqrt(len(values))
    return Interval(value=mean, low=mean - half, high=mean + half)
