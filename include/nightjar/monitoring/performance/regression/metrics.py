"""Metrics of labelled numbers, with confidence intervals and against a baseline."""

from __future__ import annotations

import math

from nightjar.declaration.problem import Regression
from nightjar.monitoring.performance import intervals
from nightjar.monitoring.performance.comparisons import bounded
from nightjar.monitoring.performance.exact_sums import SCALE
from nightjar.monitoring.performance.intervals import Interval
from nightjar.monitoring.performance.problem import NO_DECISION, NO_LABELS, Measured, Ratio
from nightjar.monitoring.performance.regression.summary import Summary

LOSS_OF = {"mae": "absolute", "rmse": "squared", "pinball": "pinball", "expected_cost": "cost"}
"""Metric to the loss whose mean it is; ``rmse`` is the root of that mean."""
METRICS = ("mae", "rmse", "bias", "pinball", "coverage", "expected_cost", "label_mean")
"""All metrics in display order. ``bias`` is the mean of prediction minus label; ``coverage`` is the share of labels
between the outermost quantiles."""
_TINY = 1e-300  # keeps a division by 0 out


def metrics_of(declared: Regression) -> tuple[str, ...]:
    """Return the metrics of a problem: those of quantiles and of costs only if they are declared."""
    left_out = set()
    if not declared.quantiles:
        left_out |= {"pinball", "coverage"}
    if len(declared.quantiles) == 1:
        left_out |= {"coverage"}
    if not declared.cost:
        left_out |= {"expected_cost"}
    return tuple(metric for metric in METRICS if metric not in left_out)


def measure(summary: Summary, *, confidence: float, declared: Regression) -> dict[str, Measured]:
    """Measure every metric of :func:`metrics_of`.

    Baselines are the constants that suit each metric best: the median of earlier labels for ``mae``, their mean for
    ``rmse`` and ``bias``, their quantiles for ``pinball``, ``coverage`` and the decision.
    """
    wanted = metrics_of(declared)
    rows = summary.labelled
    if not rows:
        return dict.fromkeys(wanted, Measured(reason=NO_LABELS))
    squares = {"bias": summary.sum("squared"), "label_mean": summary.sum("label_squares")}
    level = summary.sum("baseline_mean") / rows if summary.has_baseline else None
    label_mean = summary.sum("label") / rows
    measured = {
        "mae": _mean_loss(summary, "absolute", rows, confidence),
        "rmse": _root(_mean_loss(summary, "squared", rows, confidence)),
        "bias": Measured(
            interval=intervals.mean(summary.sum("error"), squares["bias"], rows, confidence),
            baseline=None if level is None else level - label_mean,
        ),
        "pinball": _mean_loss(summary, "pinball", rows, confidence),
        "coverage": Measured(
            interval=intervals.share(summary.sums["covered"], rows, confidence),
            baseline=summary.sums["baseline_covered"] / rows if summary.has_baseline else None,
        ),
        "expected_cost": _mean_loss(summary, "cost", summary.sums["decided"], confidence),
        "label_mean": Measured(
            interval=intervals.mean(summary.sum("label"), squares["label_mean"], rows, confidence), baseline=level
        ),
    }
    return {
        metric: bounded(measured[metric], 0.0, math.inf) if metric in LOSS_OF else measured[metric] for metric in wanted
    }


def ratios(summary: Summary, declared: Regression) -> dict[str, Ratio]:
    """Return the metrics of :func:`metrics_of`, which are all ratios of sums over rows."""
    rows, found = summary.labelled, {}
    for metric in metrics_of(declared):
        loss = LOSS_OF.get(metric)
        size = summary.sums["decided"] if loss == "cost" else rows
        if not size:
            continue
        if loss:
            less = (summary.sums[loss] - summary.sums[f"{loss}_baseline"]) / SCALE if summary.has_baseline else None
            found[metric] = Ratio(total=summary.sum(loss), size=size, excess=less, is_root=metric == "rmse")
        elif metric == "coverage":
            found[metric] = Ratio(total=summary.sums["covered"], size=size, high=1.0)
        else:
            total = summary.sum("error" if metric == "bias" else "label")
            found[metric] = Ratio(total=total, size=size, low=-math.inf)
    return found


def _mean_loss(summary: Summary, loss: str, rows: int, confidence: float) -> Measured:
    """Measure the mean of a loss, and its difference from the baseline's, row by row."""
    if not rows:
        return Measured(reason=NO_DECISION)
    total = summary.sum(loss)
    found = intervals.mean(total, summary.sum(f"{loss}_squares"), rows, confidence)
    if not summary.has_baseline:
        return Measured(interval=found)
    less = (summary.sums[loss] - summary.sums[f"{loss}_baseline"]) / SCALE
    return Measured(
        interval=found,
        baseline=summary.sum(f"{loss}_baseline") / rows,
        excess=intervals.mean(less, summary.sum(f"{loss}_excess_squares"), rows, confidence),
    )


def _root(measured: Measured) -> Measured:
    """Return the root of a mean of squares; differences of roots follow from those of the means.

    sqrt(a) - sqrt(b) = (a - b) / (sqrt(a) + sqrt(b)): the ends of the difference are divided by the measured sum of the
    roots.
    """
    found, excess = measured.interval, measured.excess
    if found is None:
        return measured
    value = math.sqrt(found.value)
    roots = Interval(value=value, low=math.sqrt(max(found.low, 0.0)), high=math.sqrt(found.high))
    if excess is None or measured.baseline is None:
        return Measured(interval=roots)
    baseline = math.sqrt(measured.baseline)
    both = max(value + baseline, _TINY)
    return Measured(
        interval=roots,
        baseline=baseline,
        excess=Interval(value=value - baseline, low=excess.low / both, high=excess.high / both),
    )
