"""Metrics of predicted numbers and quantiles. Numpy only.

Outputs are one number for each row or, with quantiles, rows x quantiles, of which that of 0.5 is the prediction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nightjar.declaration.problem import Regression
from nightjar.declaration.quantiles import QuantileCost
from nightjar.protocol.errors import GateError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nightjar.problems.arrays import Labels, Outputs

MIN_MEAN = 1e-16
"""Smallest prediction in a deviance, which is infinite at 0; XGBoost's metrics use the same."""
BY_MEAN = ("mae", "rmse", "pinball", "poisson_deviance", "tweedie_deviance")
"""Metrics that follow from a mean over rows."""


def predictions_of(outputs: Outputs, declared: Regression) -> NDArray[np.float64]:
    """Return the prediction of each row: the output, or the median among the quantiles."""
    if not declared.quantiles:
        return outputs
    median: NDArray[np.float64] = outputs[:, declared.quantiles.index(0.5)]
    return median


def losses_of_rows(metric: str, labels: Labels, outputs: Outputs, declared: Regression) -> NDArray[np.float64]:
    """Return each row's contribution to one of :data:`BY_MEAN`; that of ``rmse`` is its square.

    Deviances are those of Jørgensen, 1997, The theory of dispersion models; predictions in them are above 0.
    """
    exact = labels.astype(np.float64)
    if metric == "pinball":
        return pinball_losses(exact, outputs, np.array(declared.quantiles))
    predictions = predictions_of(outputs, declared).astype(np.float64)
    if metric == "mae":
        return np.abs(exact - predictions)
    if metric == "rmse":
        return (exact - predictions) ** 2
    means = np.maximum(predictions, MIN_MEAN)
    if metric == "poisson_deviance":
        ratio = np.divide(exact, means, out=np.ones_like(means), where=exact > 0)
        return 2 * (exact * np.log(ratio) - exact + means)
    return _tweedie_losses(exact, means, declared.tweedie_power)


def value_of_mean(metric: str, mean: float) -> float:
    """Return one of :data:`BY_MEAN` from the mean of :func:`losses_of_rows`."""
    return float(np.sqrt(mean)) if metric == "rmse" else mean


def pinball_losses(
    labels: NDArray[np.float64], outputs: Outputs, quantiles: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the mean over quantiles of each row's pinball loss (Koenker and Bassett, 1978).

    Args:
        labels: One number for each row.
        outputs: Rows x quantiles.
        quantiles: Their probabilities.
    """
    errors = labels[:, None] - outputs
    losses: NDArray[np.float64] = np.maximum(quantiles * errors, (quantiles - 1) * errors).mean(axis=1)
    return losses


def _tweedie_losses(labels: NDArray[np.float64], means: NDArray[np.float64], power: float) -> NDArray[np.float64]:
    """Return the unit deviance of each row, for a power between 1 and 2."""
    of_labels = labels ** (2 - power) / ((1 - power) * (2 - power))
    losses: NDArray[np.float64] = 2 * (
        of_labels - labels * means ** (1 - power) / (1 - power) + means ** (2 - power) / (2 - power)
    )
    return losses


def coverage(labels: Labels, outputs: Outputs) -> float:
    """Return the share of labels between the outermost quantiles, both included."""
    return float(((outputs[:, 0] <= labels) & (labels <= outputs[:, -1])).mean())


def decide_quantile(outputs: Outputs, quantiles: Sequence[float], cost: QuantileCost) -> NDArray[np.float64]:
    """Return the number with the lowest expected cost: a quantile, by linear interpolation between those predicted.

    Args:
        outputs: Rows x quantiles.
        quantiles: Their probabilities, ascending.
        cost: Says which quantile has the lowest expected cost.
    """
    probabilities = np.array(quantiles)
    if len(probabilities) == 1:
        return outputs[:, 0]
    above = int(np.clip(np.searchsorted(probabilities, cost.quantile), 1, len(probabilities) - 1))
    share = (cost.quantile - probabilities[above - 1]) / (probabilities[above] - probabilities[above - 1])
    decisions: NDArray[np.float64] = outputs[:, above - 1] + share * (outputs[:, above] - outputs[:, above - 1])
    return decisions


def costs_of_decisions(labels: Labels, decisions: NDArray[np.float64], cost: QuantileCost) -> NDArray[np.float64]:
    """Return the cost of each row's decision, in ``cost.unit``."""
    errors = labels.astype(np.float64) - decisions
    return np.where(errors > 0, cost.under * errors, -cost.over * errors)


def all_metrics(labels: Labels, outputs: Outputs, declared: Regression) -> dict[str, float]:
    """Return the metrics of predictions, quantiles and decisions.

    Returns:
        ``mae`` and ``rmse``; the deviance of the losses ``poisson`` and ``tweedie``; with quantiles ``pinball`` (mean
        over quantiles), ``coverage`` of the outermost two and ``coverage_error``, its distance from the difference of
        their probabilities; with costs ``expected_cost`` per row; and ``rows``.

    Raises:
        GateError: without rows, or when outputs are not finite, or negative where a deviance is measured.
    """
    check_outputs(labels, outputs, declared)
    measured = {
        metric: value_of_mean(metric, float(losses_of_rows(metric, labels, outputs, declared).mean()))
        for metric in BY_MEAN
        if metric in declared.metrics
    }
    if declared.quantiles:
        covered = coverage(labels, outputs)
        nominal = declared.quantiles[-1] - declared.quantiles[0]
        measured |= {"coverage": covered, "coverage_error": abs(covered - nominal)}
    if declared.cost:
        decisions = decide_quantile(outputs, declared.quantiles, declared.cost)
        measured["expected_cost"] = float(costs_of_decisions(labels, decisions, declared.cost).mean())
    return {**measured, "rows": float(len(labels))}


def check_outputs(labels: NDArray[Any], outputs: NDArray[Any], declared: Regression) -> None:
    """Check that metrics can be computed.

    Raises:
        GateError: naming what is wrong.
    """
    if not len(labels):
        raise GateError("metrics need rows: there are none", where="holdout", how_many=0, fix="choose another holdout")
    if wrong := int((~np.isfinite(outputs)).sum()):
        raise GateError("predictions are not finite", where="holdout", how_many=wrong, fix="check the objective")
    if declared.has_lower_bound and (wrong := int((outputs < 0).sum())):
        raise GateError(
            f"predictions are negative, which the loss {declared.loss!r} does not allow",
            where="holdout",
            how_many=wrong,
            fix="check the objective",
        )
