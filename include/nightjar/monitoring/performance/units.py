"""Confidence intervals for rows that are not independent: those of one unit, e.g. a customer, belong together.

Units are hashed into :data:`BUCKETS` buckets, which are independent as units are, and small enough to be stored and
added up over nights: a unit is in the same bucket every night. The variance of a ratio of sums is that between the
buckets (Cameron and Miller, 2015, A practitioner's guide to cluster-robust inference, section II; buckets of clusters
are the random groups of Wolter, 2007, Introduction to variance estimation, chapter 2).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from nightjar.monitoring.performance.intervals import Interval
from nightjar.monitoring.performance.problem import Baseline, Measured, PerformanceProblem, Ratio, Summary
from nightjar.protocol.documents import parse_object

BUCKETS = 50
"""Buckets of units; fewer units have at most one bucket each."""

_NOTHING = Ratio(total=0.0, size=0.0)

Units = Mapping[int, Summary]
"""Bucket to the reduced summary of its rows."""


def merge_units(problem: PerformanceProblem, parts: Sequence[Units]) -> Units:
    """Merge the summaries of each bucket; exact in any order."""
    buckets = sorted({bucket for part in parts for bucket in part})
    return {bucket: problem.merge([part[bucket] for part in parts if bucket in part]) for bucket in buckets}


def dump_units(units: Units) -> str:
    """Return JSON: bucket to the JSON of its summary."""
    return json.dumps({str(bucket): units[bucket].to_json() for bucket in sorted(units)})


def read_units(problem: PerformanceProblem, text: str) -> Units:
    """Invert :func:`dump_units`."""
    return {int(bucket): problem.read_summary(summary) for bucket, summary in parse_object(text).items()}


def measure_clustered(
    problem: PerformanceProblem, summary: Summary, units: Units, *, confidence: float, baseline: Baseline | None
) -> dict[str, Measured]:
    """Measure every metric; those that are ratios of sums have intervals clustered by unit.

    Args:
        problem: The problem type.
        summary: All rows.
        units: The same rows by bucket.
        confidence: Confidence level of the intervals.
        baseline: The baseline's prediction; None when unknown.
    """
    measured = problem.measure(summary, confidence=confidence, baseline=baseline)
    whole = problem.ratios(summary, baseline)
    of_buckets = [problem.ratios(of_bucket, baseline) for of_bucket in units.values() if of_bucket.labelled]
    for metric, ratio in whole.items():
        found = measured[metric]
        if found.interval is None:
            continue
        parts = [of_bucket.get(metric, _NOTHING) for of_bucket in of_buckets]
        interval = _interval(ratio, parts, confidence)
        excess = _excess(ratio, parts, confidence, found) or found.excess
        measured[metric] = replace(found, interval=interval, excess=excess)
    return measured


def _interval(ratio: Ratio, parts: Sequence[Ratio], confidence: float) -> Interval:
    value = ratio.total / ratio.size
    half = _half_width([(part.total, part.size) for part in parts], value, ratio.size, confidence)
    low, high = max(value - half, ratio.low), min(value + half, ratio.high)
    return Interval(value=ratio.shown(value), low=ratio.shown(low), high=ratio.shown(high))


def _excess(ratio: Ratio, parts: Sequence[Ratio], confidence: float, found: Measured) -> Interval | None:
    """Return the interval of the difference from the baseline, row by row; that of roots by their sum.

    None without a baseline.
    """
    if ratio.excess is None or found.excess is None:
        return None
    value = ratio.excess / ratio.size
    pairs = [(part.excess or 0.0, part.size) for part in parts]
    half = _half_width(pairs, value, ratio.size, confidence)
    factor = found.excess.value / value if value else 1.0  # 1, or 1 / (root + root of the baseline)
    middle = found.excess.value
    return Interval(value=middle, low=middle - half * abs(factor), high=middle + half * abs(factor))


def _half_width(parts: Sequence[tuple[float, float]], value: float, size: float, confidence: float) -> float:
    """Return half the interval's width of a ratio of sums; infinite for a single bucket.

    Cameron and Miller (2015), equation 11 for a mean, with G / (G - 1) and the quantile of Student's t with G - 1
    degrees of freedom, which is wide for few buckets.
    """
    from scipy.stats import t

    groups = len(parts)
    if groups < 2:
        return math.inf
    squares = sum((total - value * of_part) ** 2 for total, of_part in parts)
    spread = math.sqrt(groups / (groups - 1) * squares) / abs(size)
    return float(t.ppf((1 + confidence) / 2, groups - 1)) * spread


def describe_clusters(problem: PerformanceProblem, unit: str) -> str:
    """Describe which intervals are clustered."""
    names = [words.phrase for metric, words in problem.words.items() if metric in problem.without_ratio]
    rest = f" Those of {' and '.join(names)} are by rows, and may be too narrow." if names else ""
    return f"Intervals are clustered by {unit}, whose rows are not independent.{rest}"
