"""Metrics of labelled rankings, with confidence intervals over groups."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nightjar.declaration.ranking import Ranking
from nightjar.monitoring.performance import intervals
from nightjar.monitoring.performance.problem import NO_LABELS, Baseline, Measured
from nightjar.monitoring.performance.ranking.summary import GroupItems, Summary

METRICS = ("ndcg", "map", "recall", "hit_rate", "relevant_share")
"""All metrics in display order; see :func:`nightjar.problems.ranking.metrics.measure_groups`."""
NOTHING_RELEVANT = "no item with a label is relevant"


def measure(
    summary: Summary, *, confidence: float, declared: Ranking, baseline: Baseline | None
) -> dict[str, Measured]:
    """Measure every metric. Intervals are those of a mean over the groups with a relevant item."""
    if not summary.labelled:
        return dict.fromkeys(METRICS, Measured(reason=NO_LABELS))
    level = Measured(
        interval=intervals.share(summary.counts["relevant"], summary.labelled, confidence),
        baseline=baseline["relevant_share"] if baseline else None,
    )
    if not summary.groups:
        return {**dict.fromkeys(METRICS, Measured(reason=NOTHING_RELEVANT)), "relevant_share": level}
    of_groups = [_of_group(items, declared.k) for items in summary.groups.values()]
    ndcg, precision, recall, hits = zip(*of_groups, strict=True)
    return {
        "ndcg": _mean(ndcg, confidence),
        "map": _mean(precision, confidence),
        "recall": _mean(recall, confidence),
        "hit_rate": Measured(interval=intervals.share(sum(hits), len(hits), confidence)),
        "relevant_share": level,
    }


def _mean(values: Sequence[float], confidence: float) -> Measured:
    total, squares = math.fsum(values), math.fsum(value**2 for value in values)
    return Measured(interval=intervals.mean(total, squares, len(values), confidence).within(0.0, 1.0))


def _of_group(items: GroupItems, k: int) -> tuple[float, float, float, bool]:
    """Return nDCG, average precision, recall and hit of one group."""
    descending = [
        r for relevance in sorted(items.relevances, reverse=True) for r in [relevance] * items.relevances[relevance]
    ]
    best = math.fsum(
        (2**relevance - 1) / math.log2(place + 1) for place, relevance in enumerate(descending[:k], start=1)
    )
    gained = math.fsum((2**relevance - 1) / math.log2(place + 1) for place, relevance in items.listed.items())
    precisions = math.fsum(hits / place for hits, place in enumerate(sorted(items.listed), start=1))
    relevant = len(descending)
    return gained / best, precisions / min(relevant, k), len(items.listed) / relevant, bool(items.listed)
