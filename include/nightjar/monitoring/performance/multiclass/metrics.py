"""Metrics of labelled rows with a probability for each class, with confidence intervals and against a baseline.

Per class there are ``recall_<class>``, ``precision_<class>`` and ``share_<class>``, its share of the labels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from nightjar.declaration.problem import Multiclass
from nightjar.monitoring.performance import intervals
from nightjar.monitoring.performance.comparisons import against_kinds, bounded, mean_of_groups, mean_of_kinds
from nightjar.monitoring.performance.intervals import Interval
from nightjar.monitoring.performance.multiclass.summary import Summary
from nightjar.monitoring.performance.problem import NO_DECISION, NO_LABELS, Baseline, Measured, Ratio
from nightjar.problems.multiclass.metrics import cost_matrix

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MIN_PROBABILITY = 1e-12  # of the baseline


def metrics_of(declared: Multiclass) -> tuple[str, ...]:
    """Return the metrics in display order; the cost only if costs are declared."""
    of_decisions = ("expected_cost",) if declared.cost else ()
    of_classes = (f"{name}_{label}" for name in ("recall", "precision", "share") for label in declared.classes)
    return ("accuracy", "log_loss", "macro_f1", *of_decisions, *of_classes)


def measure(
    summary: Summary, *, confidence: float, declared: Multiclass, baseline: Baseline | None
) -> dict[str, Measured]:
    """Measure every metric of :func:`metrics_of`.

    Args:
        summary: Summary of the rows.
        confidence: Confidence level of the intervals.
        declared: The problem.
        baseline: Share of each class among the labels known when the rows were scored, which the baseline predicts for
            every row.
    """
    wanted = metrics_of(declared)
    if not summary.labelled:
        return dict.fromkeys(wanted, Measured(reason=NO_LABELS))
    shares = None if baseline is None else [baseline[name] for name in declared.classes]
    measured = {
        "accuracy": _accuracy(summary, confidence, shares),
        "log_loss": bounded(_log_loss(summary, confidence, shares), 0.0, math.inf),
        "macro_f1": _macro_f1(summary, confidence, shares),
        **dict(_by_class(summary, confidence, declared, shares)),
    }
    costs = cost_matrix(declared)
    if costs is not None:
        measured["expected_cost"] = bounded(_cost(summary, confidence, costs, shares), 0.0, float(costs.max()))
    return {metric: measured[metric] for metric in wanted}


def ratios(summary: Summary, declared: Multiclass, baseline: Baseline | None) -> dict[str, Ratio]:
    """Return the metrics that are ratios of sums over rows: all except the F1 score."""
    rows, confusion = summary.labelled, summary.confusion
    found: dict[str, Ratio] = {}
    if not rows:
        return found
    shares = None if baseline is None else [baseline[name] for name in declared.classes]
    hits, total = int(np.trace(confusion)), sum(summary.class_sums("loss"))
    right = wrong = None
    if shares is not None:
        right = hits - int(confusion[int(np.argmax(shares))].sum())
        wrong = total - sum(n * c for n, c in zip(confusion.sum(axis=1), _losses(shares), strict=True))
    found["accuracy"] = Ratio(total=hits, size=rows, excess=right, high=1.0)
    found["log_loss"] = Ratio(total=total, size=rows, excess=wrong)
    true, predicted = confusion.sum(axis=1).tolist(), confusion.sum(axis=0).tolist()
    for place, name in enumerate(declared.classes):
        found[f"share_{name}"] = Ratio(total=true[place], size=rows, high=1.0)
        for metric, size in (("recall", true[place]), ("precision", predicted[place])):
            if size:
                found[f"{metric}_{name}"] = Ratio(total=int(confusion[place, place]), size=size, high=1.0)
    costs = cost_matrix(declared)
    if costs is not None and (decided := int(summary.decisions.sum())):
        cost = float((costs * summary.decisions).sum())
        excess = None
        if shares is not None:
            usual = int(np.argmin(np.array(shares) @ costs))
            excess = cost - float((costs[:, usual] * summary.decisions.sum(axis=1)).sum())
        found["expected_cost"] = Ratio(total=cost, size=decided, excess=excess, high=float(costs.max()))
    return found


def _losses(shares: list[float]) -> list[float]:
    """Return the log loss of a row of each class when the shares are predicted."""
    return [-math.log(min(max(share, _MIN_PROBABILITY), 1 - _MIN_PROBABILITY)) for share in shares]


def _accuracy(summary: Summary, confidence: float, shares: list[float] | None) -> Measured:
    """Measure the share of right predictions; the baseline predicts the most frequent class."""
    confusion, rows = summary.confusion, summary.labelled
    found = intervals.share(int(np.trace(confusion)), rows, confidence)
    if shares is None:
        return Measured(interval=found)
    usual = int(np.argmax(shares))
    both = int(confusion[usual, usual])
    gained, lost = int(np.trace(confusion)) - both, int(confusion[usual].sum()) - both
    excess = mean_of_kinds((gained, lost, rows - gained - lost), (1.0, -1.0, 0.0), confidence)
    measured = Measured(interval=found, baseline=int(confusion[usual].sum()) / rows, excess=excess)
    return bounded(measured, 0.0, 1.0)


def _log_loss(summary: Summary, confidence: float, shares: list[float] | None) -> Measured:
    constants = None if shares is None else _losses(shares)
    rows = summary.confusion.sum(axis=1).tolist()
    totals, squares = summary.class_sums("loss"), summary.class_sums("loss_squares")
    return mean_of_groups(rows, totals, squares, constants, confidence)


def _macro_f1(summary: Summary, confidence: float, shares: list[float] | None) -> Measured:
    """Measure the mean F1 score over the classes that occur among the labels; the baseline predicts the most frequent.

    The interval is by the delta method for the counts of true and predicted class: the sum of squared influences of the
    rows (as :func:`nightjar.monitoring.performance.intervals.jackknife`).
    """
    confusion = summary.confusion
    of_classes = confusion.sum(axis=1)
    occurring = np.flatnonzero(of_classes)
    value, influences = _mean_f1(confusion, occurring)
    spread = float((confusion * influences**2).sum())
    found = intervals.within_unit(value, math.sqrt(spread), confidence)
    if shares is None:
        return Measured(interval=found)
    constant = np.zeros_like(confusion)
    constant[:, int(np.argmax(shares))] = of_classes
    baseline, _ = _mean_f1(constant, occurring)
    return Measured(interval=found, baseline=baseline, excess=found.shifted(baseline))


def _mean_f1(confusion: NDArray[np.int64], classes: NDArray[np.int64]) -> tuple[float, NDArray[np.float64]]:
    """Return the mean F1 score, 2 TP / (2 TP + FP + FN), and its derivative by each count of the confusion."""
    hits = np.diag(confusion).astype(np.float64)
    total = (confusion.sum(axis=0) + confusion.sum(axis=1)).astype(np.float64)
    influences = np.zeros(confusion.shape)
    for place in classes:
        # a row of true or predicted class adds 1 to the total, a hit 2 to both
        slope = -2 * hits[place] / total[place] ** 2
        influences[place, :] += slope
        influences[:, place] += slope
        influences[place, place] += 2 / total[place]
    return float((2 * hits[classes] / total[classes]).mean()), influences / len(classes)


def _by_class(
    summary: Summary, confidence: float, declared: Multiclass, shares: list[float] | None
) -> Iterator[tuple[str, Measured]]:
    """Yield recall, precision and share of each class."""
    confusion = summary.confusion
    true, predicted = confusion.sum(axis=1).tolist(), confusion.sum(axis=0).tolist()
    for place, name in enumerate(declared.classes):
        hits = int(confusion[place, place])
        yield f"recall_{name}", _share(hits, true[place], confidence, f"no label is {name}")
        yield f"precision_{name}", _share(hits, predicted[place], confidence, f"no prediction is {name}")
        yield (
            f"share_{name}",
            Measured(
                interval=intervals.share(true[place], summary.labelled, confidence),
                baseline=None if shares is None else shares[place],
            ),
        )


def _share(hits: int, rows: int, confidence: float, reason: str) -> Measured:
    return Measured(interval=intervals.share(hits, rows, confidence)) if rows else Measured(reason=reason)


def _cost(summary: Summary, confidence: float, costs: NDArray[np.float64], shares: list[float] | None) -> Measured:
    """Measure the cost per decided row; the baseline decides for the class with the lowest expected cost."""
    rows = summary.decisions.ravel().tolist()
    if not sum(rows):
        return Measured(reason=NO_DECISION)
    values = costs.ravel().tolist()
    if shares is None:
        return Measured(interval=mean_of_kinds(rows, values, confidence))
    decided = int(np.argmin(np.array(shares) @ costs))
    constant = np.repeat(costs[:, decided], len(costs)).tolist()
    return against_kinds(rows, values, constant, confidence)


def estimate(summary: Summary, *, confidence: float, declared: Multiclass) -> dict[str, Interval]:
    """Estimate accuracy, log loss, cost and shares of all scored rows, if the probabilities are calibrated.

    A row counts as each class with its probability, with independent labels, as for yes/no questions.
    """
    rows = summary.rows
    if not rows:
        return {}
    probabilities = zip(
        declared.classes,
        summary.class_sums("probability"),
        summary.class_sums("probability_spread"),
        strict=True,
    )
    log_loss = _mean(summary.sum("entropy"), summary.sum("entropy_spread"), rows, confidence)
    estimated = {
        "accuracy": _mean(summary.sum("right"), summary.sum("right_spread"), rows, confidence).within(0.0, 1.0),
        "log_loss": log_loss.within(0.0, math.inf),
        **{f"share_{name}": _mean(p, spread, rows, confidence).within(0.0, 1.0) for name, p, spread in probabilities},
    }
    costs, decided = cost_matrix(declared), summary.sums["decided"]
    if costs is not None and decided:
        expected = _mean(summary.sum("cost"), summary.sum("cost_spread"), decided, confidence)
        estimated["expected_cost"] = expected.within(0.0, float(costs.max()))
    return {metric: estimated[metric] for metric in metrics_of(declared) if metric in estimated}


def _mean(total: float, spread: float, rows: int, confidence: float) -> Interval:
    """Return the mean of rows with the sum of expectations ``total`` and the sum of variances ``spread``."""
    half = intervals.quantile(confidence) * math.sqrt(max(spread, 0.0)) / rows
    return Interval(value=total / rows, low=total / rows - half, high=total / rows + half)
