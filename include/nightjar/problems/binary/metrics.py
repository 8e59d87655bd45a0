"""Metrics of predicted probabilities against labels of 0 and 1. Numpy only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nightjar.declaration.problem import Cost
from nightjar.protocol.errors import GateError

if TYPE_CHECKING:
    from numpy.typing import NDArray

AUC_BINS = 1 << 16
"""Bins of :func:`auc_counts`; predictions in one bin count as ties, which changes the AUC by less than 1e-4."""

_ERROR_BINS = 10

# Avoids log(0); scikit-learn clips float64 in the same way.
_EPSILON = 2.220446049250313e-16


def auc(labels: NDArray[np.float64], predictions: NDArray[np.float64]) -> float:
    """Return the area under the ROC curve: share of (positive, negative) pairs in the right order, ties counting half.

    By ranks: Mann and Whitney (1947), U / (n1 n0); tied predictions share their mean rank.
    """
    _, inverse, counts = np.unique(predictions, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(counts) - (counts - 1) / 2
    positives = float(labels.sum())
    negatives = len(labels) - positives
    u = float(mean_rank[inverse][labels == 1].sum()) - positives * (positives + 1) / 2
    return u / (positives * negatives)


def auc_counts(labels: NDArray[np.floating], predictions: NDArray[np.floating]) -> NDArray[np.int64]:
    """Count rows by bin of the prediction: 2 (negatives, positives) x :data:`AUC_BINS`. Counts of ranks add up."""
    bins = np.minimum((predictions.astype(np.float64) * AUC_BINS).astype(np.int64), AUC_BINS - 1)
    positive = labels == 1
    return np.stack([np.bincount(bins[~positive], minlength=AUC_BINS), np.bincount(bins[positive], minlength=AUC_BINS)])


def auc_of_counts(counts: NDArray[np.int64]) -> float:
    """Return the AUC of the counts of :func:`auc_counts`, by trapezoids over the bins: ties of a bin count half."""
    negatives, positives = counts.astype(np.float64)
    below = np.cumsum(negatives) - negatives
    return float((positives * (below + negatives / 2)).sum() / (positives.sum() * negatives.sum()))


def average_precision_of_counts(counts: NDArray[np.int64]) -> float:
    """Return the average precision of the counts of :func:`auc_counts`; rows of a bin share a threshold."""
    negatives, positives = counts[:, ::-1].astype(np.float64)
    hits, rows = np.cumsum(positives), np.cumsum(positives + negatives)
    precision = np.divide(hits, rows, out=np.zeros_like(hits), where=rows > 0)
    return float((positives * precision).sum() / hits[-1])


def average_precision(labels: NDArray[np.float64], predictions: NDArray[np.float64]) -> float:
    """Return the average precision: sum over thresholds of precision x gain in recall."""
    order = np.argsort(-predictions, kind="stable")
    ranked, hits = predictions[order], np.cumsum(labels[order])
    # one threshold after each group of equal predictions
    last_of_ties = np.append(np.nonzero(np.diff(ranked))[0], len(ranked) - 1)
    precision = hits[last_of_ties] / (last_of_ties + 1)
    recall = hits[last_of_ties] / hits[-1]
    return float((np.diff(recall, prepend=0.0) * precision).sum())


def log_loss(labels: NDArray[np.float64], predictions: NDArray[np.float64]) -> float:
    """Return the mean negative log-likelihood, in nats."""
    return float(losses_of_rows("log_loss", labels, predictions).mean())


def losses_of_rows(metric: str, labels: NDArray[np.floating], predictions: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return each row's contribution to a metric that is a mean of rows: ``log_loss`` (nats) or ``brier``."""
    labels, predictions = labels.astype(np.float64), predictions.astype(np.float64)
    if metric == "brier":
        squares: NDArray[np.float64] = (predictions - labels) ** 2
        return squares
    clipped = np.clip(predictions, _EPSILON, 1 - _EPSILON)
    losses: NDArray[np.float64] = -(labels * np.log(clipped) + (1 - labels) * np.log1p(-clipped))
    return losses


def brier(labels: NDArray[np.float64], predictions: NDArray[np.float64]) -> float:
    """Return the mean squared error of the probabilities (Brier, 1950, halved form)."""
    return float(losses_of_rows("brier", labels, predictions).mean())


def calibration_error(labels: NDArray[np.float64], predictions: NDArray[np.float64]) -> float:
    """Return the mean distance of predicted and observed share over ten bins of equal size; ties share a bin.

    The expected calibration error (Naeini, Cooper and Hauskrecht, 2015), with bins of equal counts.
    """
    edges = np.quantile(predictions, np.arange(1, _ERROR_BINS) / _ERROR_BINS)
    bins = np.searchsorted(edges, predictions, side="right")
    return float(np.abs(np.bincount(bins, predictions - labels)).sum() / len(labels))


def decision_metrics(labels: NDArray[np.floating], alarm: NDArray[np.bool_], cost: Cost | None) -> dict[str, float]:
    """Return recall and precision of the alarms and, with costs, their cost.

    Args:
        labels: 0 or 1 for each row.
        alarm: Whether the row is an alarm.
        cost: Costs of errors.

    Returns:
        With costs ``expected_cost``, ``never_cost`` (no alarms) and ``always_cost`` (an alarm for each row), per row in
        ``cost.unit``; ``recall`` and ``precision`` of the alarms; precision is 0 without alarms.
    """
    event = labels == 1
    rows, alarms, events = len(labels), int(alarm.sum()), int(event.sum())
    hits = int((alarm & event).sum())
    costs = (
        {}
        if cost is None
        else {
            "expected_cost": (cost.missed * (events - hits) + cost.false_alarm * (alarms - hits)) / rows,
            "never_cost": cost.missed * events / rows,
            "always_cost": cost.false_alarm * (rows - events) / rows,
        }
    )
    return {**costs, "recall": hits / events, "precision": hits / alarms if alarms else 0.0}


def threshold_of_precision(counts: NDArray[np.int64], at_least: float) -> tuple[float | None, float]:
    """Return the lowest threshold at which the alarms have a precision, and the highest precision of any threshold.

    Args:
        counts: Counts of :func:`auc_counts`.
        at_least: The precision.

    Returns:
        The threshold, None if no threshold reaches the precision; and the highest precision.
    """
    alarms, hits = alarms_and_hits(counts)
    precision = np.divide(hits, alarms, out=np.zeros_like(hits), where=alarms > 0)
    (reached,) = np.nonzero((precision >= at_least) & (alarms > 0))
    return (float(reached[0] / AUC_BINS) if len(reached) else None), float(precision.max())


def threshold_of_recall(counts: NDArray[np.int64], at_least: float) -> float:
    """Return the highest threshold at which the alarms hold a share of the positives.

    Args:
        counts: Counts of :func:`auc_counts`, with positives.
        at_least: The recall.
    """
    _, hits = alarms_and_hits(counts)
    return float(np.nonzero(hits >= at_least * hits[0])[0][-1] / AUC_BINS)


def alarms_and_hits(counts: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return alarms and hits for each threshold: rows and positives at and above each bin of :func:`auc_counts`."""
    negatives, positives = (np.cumsum(of_label[::-1])[::-1].astype(np.float64) for of_label in counts)
    return negatives + positives, positives


def highest_of_groups(predictions: NDArray[np.floating], groups: NDArray[np.int64], rows: int) -> NDArray[np.bool_]:
    """Return which rows are among the highest predictions of their group; of equal ones, the first rows are.

    Args:
        predictions: One number for each row.
        groups: Group of each row, from 0, ascending.
        rows: Number of rows of a group.
    """
    order = np.lexsort((-predictions, groups))
    sizes = np.bincount(groups)
    starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
    highest = np.zeros(len(predictions), np.bool_)
    highest[order] = np.arange(len(predictions)) - starts < rows
    return highest


def all_metrics(labels: NDArray[np.floating], predictions: NDArray[np.floating]) -> dict[str, float]:
    """Return ``auc``, ``pr_auc``, ``log_loss``, ``brier``, ``calibration_error``, ``rows`` and ``positives``.

    Raises:
        GateError: without rows, with only one class, or with predictions outside [0, 1].
    """
    return _all_metrics(np.asarray(labels, dtype=np.float64), np.asarray(predictions, dtype=np.float64))


def _all_metrics(labels: NDArray[np.float64], predictions: NDArray[np.float64]) -> dict[str, float]:
    positives = int(labels.sum())
    if positives in (0, len(labels)):
        raise GateError(
            f"metrics need both classes: {positives} of {len(labels)} rows are positive",
            where="holdout",
            how_many=len(labels),
            fix="choose a holdout with both classes",
        )
    wrong = int((~((predictions >= 0) & (predictions <= 1))).sum())
    if wrong:
        raise GateError("predictions are not probabilities", where="holdout", how_many=wrong, fix="check the objective")
    return {
        "auc": auc(labels, predictions),
        "pr_auc": average_precision(labels, predictions),
        "log_loss": log_loss(labels, predictions),
        "brier": brier(labels, predictions),
        "calibration_error": calibration_error(labels, predictions),
        "rows": float(len(labels)),
        "positives": float(positives),
    }
