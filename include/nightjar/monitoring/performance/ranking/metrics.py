"""Metrics of labelled rankings, with confidence intervals over groups."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from nightjar.declaration.ranking import Ranking
from nightjar.monitoring.performance import intervals
from nightjar.monitoring.performance.intervals import Interval
from nightjar.monitoring.performance.problem import NO_LABELS, Baseline, Measured
from nightjar.monitoring.performance.ranking.summary import Summary
from nightjar.problems.ranking.metrics import measure_catalogue, measure_groups

if TYPE_CHECKING:
    from numpy.typing import NDArray

METRICS = ("ndcg", "map", "recall", "hit_rate", "catalogue_coverage", "novelty", "relevant_share")
"""All metrics in display order; see :func:`nightjar.problems.ranking.metrics.measure_groups` and
:func:`nightjar.problems.ranking.metrics.measure_catalogue`."""
NOTHING_RELEVANT = "no item with a label is relevant"


def measure(
    summary: Summary, *, confidence: float, declared: Ranking, baseline: Baseline | None
) -> dict[str, Measured]:
    """Measure every metric.

    Intervals are those of a mean over the groups with a relevant item. Which items are listed is known of all rows,
    with and without a label: the interval is the value.
    """
    if not summary.labelled:
        return dict.fromkeys(METRICS, Measured(reason=NO_LABELS))
    level = Measured(
        interval=intervals.share(summary.counts["relevant"], summary.labelled, confidence),
        baseline=baseline["relevant_share"] if baseline else None,
    )
    of_items = {**_measure_items(summary), "relevant_share": level}
    if not summary.groups:
        return {**dict.fromkeys(METRICS, Measured(reason=NOTHING_RELEVANT)), **of_items}
    of_groups = _measure_groups(summary, declared.k)
    hits = of_groups["hit_rate"]
    return {
        **{metric: _mean(of_groups[metric], confidence) for metric in ("ndcg", "map", "recall")},
        "hit_rate": Measured(interval=intervals.share(int(hits.sum()), len(hits), confidence)),
        **of_items,
    }


def _mean(values: NDArray[np.float64], confidence: float) -> Measured:
    total, squares = math.fsum(values), math.fsum(values**2)
    return Measured(interval=intervals.mean(total, squares, len(values), confidence).within(0.0, 1.0))


def _measure_items(summary: Summary) -> dict[str, Measured]:
    rows, listed = np.array(list(summary.items.values())).T
    values = measure_catalogue(rows, listed)
    return {name: Measured(interval=Interval(value=value, low=value, high=value)) for name, value in values.items()}


def _measure_groups(summary: Summary, k: int) -> dict[str, NDArray[np.float64]]:
    """Return the metrics of each group from its relevant items; the others change none of them."""
    groups, relevances, ranks = [], [], []
    for number, items in enumerate(summary.groups.values()):
        others = Counter(items.relevances)
        others.subtract(items.listed.values())
        unlisted = list(others.elements())
        relevances += [*items.listed.values(), *unlisted]
        ranks += [*items.listed, *[k + 1] * len(unlisted)]
        groups += [number] * (len(items.listed) + len(unlisted))
    return measure_groups(np.array(relevances), np.array(groups), np.array(ranks), k).values
