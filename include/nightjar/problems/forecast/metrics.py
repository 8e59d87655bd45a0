"""Metrics of forecasts, from sums over rows. Numpy only.

Labels are encoded as rows x numbers: the label and, in this order, the position of each of :class:`Position`; then the
group of each level of the hierarchy below the total. Outputs are rows x quantiles.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

from nightjar.declaration.forecast import Forecast
from nightjar.problems.regression.metrics import costs_of_decisions, decide_quantile, pinball_losses

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nightjar.problems.arrays import Labels, Outputs

BY_SUMS = ("wql", "wape", "mase")
"""Metrics that are the ratio of two sums over rows."""


class Position(IntEnum):
    """Columns of encoded labels."""

    LABEL = 0
    SCALE = 1
    """Mean absolute difference of values one season apart in the history of the row's series."""
    STEP = 2
    DAY = 3
    """Day that is forecast, as a number."""
    LEVELS = 4
    """The first of the groups by level; a group is a number within its night."""


def predictions_of(outputs: Outputs, declared: Forecast) -> NDArray[np.float64]:
    """Return the prediction of each row: the median."""
    median: NDArray[np.float64] = outputs[:, declared.quantiles.index(0.5)]
    return median


def ratio_sums(metric: str, labels: Labels, outputs: Outputs, declared: Forecast) -> NDArray[np.float64]:
    """Return numerator and denominator of one of :data:`BY_SUMS`; both add up over rows.

    Args:
        metric: ``wql``: twice the pinball loss, mean over quantiles, relative to the absolute labels (the weighted
            quantile loss of Salinas et al., 2020, DeepAR). ``wape``: absolute errors relative to the absolute labels.
            ``mase``: mean over rows of the absolute error in units of the series' scale (Hyndman and Koehler, 2006);
            rows whose scale is 0 or unknown are left out.
        labels: Encoded labels.
        outputs: Quantiles of the same rows.
        declared: The problem.
    """
    exact = labels.astype(np.float64)
    label = exact[:, Position.LABEL]
    if metric == "wql":
        losses = pinball_losses(label, outputs, np.array(declared.quantiles))
        return np.array([2 * losses.sum(), np.abs(label).sum()])
    errors = np.abs(label - predictions_of(outputs, declared))
    if metric == "wape":
        return np.array([errors.sum(), np.abs(label).sum()])
    scale = exact[:, Position.SCALE]
    is_scaled = scale > 0
    return np.array([(errors[is_scaled] / scale[is_scaled]).sum(), np.count_nonzero(is_scaled)])


def ratio(sums: NDArray[np.float64]) -> float:
    """Return the ratio of two sums; of 0 and 0 it is 0, of an error and 0 it is infinite."""
    above, below = map(float, sums)
    return above / below if below else (0.0 if above == 0 else np.inf)


def all_metrics(labels: Labels, outputs: Outputs, declared: Forecast) -> dict[str, float]:
    """Return the metrics of all rows, of each step and of each level of the hierarchy.

    Returns:
        :data:`BY_SUMS`; ``coverage`` of the outermost quantiles and ``coverage_error``, its distance from the
        difference of their probabilities; ``signed_bias``, the sum of predictions minus labels relative to the absolute
        labels, and ``bias``, its size; with costs ``expected_cost`` per row; ``wql_step_<n>`` of each step;
        ``wape_level_<level>`` of the sums of each night and step by level; and ``rows``.
    """
    exact = labels.astype(np.float64)
    label, prediction = exact[:, Position.LABEL], predictions_of(outputs, declared)
    measured = {metric: ratio(ratio_sums(metric, labels, outputs, declared)) for metric in BY_SUMS}
    covered = float(((outputs[:, 0] <= label) & (label <= outputs[:, -1])).mean())
    signed = ratio(np.array([(prediction - label).sum(), np.abs(label).sum()]))
    measured |= {
        "coverage": covered,
        "coverage_error": abs(covered - (declared.quantiles[-1] - declared.quantiles[0])),
        "bias": abs(signed),
        "signed_bias": signed,
    }
    if declared.cost:
        decisions = decide_quantile(outputs, declared.quantiles, declared.cost)
        measured["expected_cost"] = float(costs_of_decisions(label, decisions, declared.cost).mean())
    steps = exact[:, Position.STEP]
    for step in np.unique(steps):
        of_step = steps == step
        measured[f"wql_step_{int(step)}"] = ratio(ratio_sums("wql", labels[of_step], outputs[of_step], declared))
    for position, level in enumerate(declared.levels):
        sums = sums_of_level(exact, prediction, position)
        measured[f"wape_level_{level}"] = ratio(np.array([np.abs(sums[1] - sums[0]).sum(), np.abs(sums[0]).sum()]))
    return {**measured, "rows": float(len(labels))}


def sums_of_level(
    labels: NDArray[np.float64], predictions: NDArray[np.float64], level: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the sums of labels and of predictions by night, step and group of a level.

    Args:
        labels: Encoded labels.
        predictions: Prediction of each row.
        level: Position in :attr:`Forecast.levels`; 0 for the total.
    """
    columns = [labels[:, Position.DAY], labels[:, Position.STEP]]
    if level:
        columns.append(labels[:, Position.LEVELS + level - 1])
    _, groups = np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)
    groups = groups.reshape(-1)
    count = int(groups.max()) + 1
    of_labels: NDArray[np.float64] = np.bincount(groups, labels[:, Position.LABEL], count).astype(np.float64)
    of_predictions: NDArray[np.float64] = np.bincount(groups, predictions, count).astype(np.float64)
    return of_labels, of_predictions
