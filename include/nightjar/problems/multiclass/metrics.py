"""Metrics of predicted probabilities of several classes. Numpy only.

Labels are positions of classes, probabilities are rows x classes. Metrics that are means over classes are over the
classes that occur among the labels: a class without a row has neither recall nor an AUC.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nightjar.declaration.problem import Multiclass
from nightjar.problems.binary.metrics import auc
from nightjar.protocol.errors import GateError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nightjar.problems.arrays import Labels, Outputs

_EPSILON = 2.220446049250313e-16
"""Smallest probability in a logarithm; scikit-learn clips float64 in the same way."""
SUM_TOLERANCE = 1e-5
"""Largest distance of a row's summed probabilities from 1; engines compute in 32 bits."""


def positions_of(labels: Labels) -> NDArray[np.int64]:
    """Return labels as positions that numpy can index with."""
    return labels.astype(np.int64)


def likelihoods_of(labels: Labels, probabilities: Outputs) -> NDArray[np.float64]:
    """Return the probability of each row's true class."""
    likelihoods: NDArray[np.float64] = probabilities[np.arange(len(labels)), positions_of(labels)].astype(np.float64)
    return likelihoods


def losses_of_rows(labels: Labels, probabilities: Outputs) -> NDArray[np.float64]:
    """Return the negative log-likelihood of each row, in nats."""
    return -np.log(np.clip(likelihoods_of(labels, probabilities), _EPSILON, 1 - _EPSILON))


def most_probable(probabilities: Outputs) -> NDArray[np.int64]:
    """Return the position of each row's most probable class, the first on ties."""
    positions: NDArray[np.int64] = np.argmax(probabilities, axis=1)
    return positions


def count_confusion(labels: Labels, predicted: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Count rows by true class (lines) and predicted class (columns)."""
    pairs = positions_of(labels) * classes + predicted
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def f1_scores(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return each class's F1 score, 2 TP / (2 TP + FP + FN); NaN for a class neither true nor predicted."""
    hits = np.diag(confusion).astype(np.float64)
    total = (confusion.sum(axis=0) + confusion.sum(axis=1)).astype(np.float64)
    scores: NDArray[np.float64] = np.divide(2 * hits, total, out=np.full(len(hits), np.nan), where=total > 0)
    return scores


def auc_of_class(position: int, labels: Labels, probabilities: Outputs) -> float:
    """Return the area under the ROC curve of a class against all others; both must occur."""
    return auc((labels == position).astype(np.float64), probabilities[:, position].astype(np.float64))


def cost_matrix(declared: Multiclass) -> NDArray[np.float64] | None:
    """Return the cost of each true class (lines) and decided class (columns); None without costs."""
    if declared.cost is None:
        return None
    return np.array([[declared.cost.cost(true, decided) for decided in declared.classes] for true in declared.classes])


def decide(probabilities: Outputs, costs: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the position of each row's class with the lowest expected cost, the first on ties.

    Source: Elkan, 2001, The foundations of cost-sensitive learning, equation 1.

    Args:
        probabilities: Rows x classes.
        costs: Cost of each true class (lines) and decided class (columns).
    """
    # one sum for each row, not a matrix product: a row's sum must not depend on the number of rows
    expected = np.stack([(probabilities * costs_of_decision).sum(axis=1) for costs_of_decision in costs.T], axis=1)
    positions: NDArray[np.int64] = np.argmin(expected, axis=1)
    return positions


def all_metrics(labels: Labels, probabilities: Outputs, declared: Multiclass) -> dict[str, float]:
    """Return the metrics of probabilities, decisions and single classes.

    Returns:
        ``log_loss`` (nats), ``accuracy``, ``macro_f1``, ``weighted_f1`` (by rows of the true class), ``macro_auc``
        (mean of each class against all others), ``expected_cost`` per row if costs are declared, ``auc_<class>`` of
        each class that occurs, ``recall_<class>`` of these, ``precision_<class>`` of each class that is predicted, and
        ``rows``.

    Raises:
        GateError: without rows, with only one class, or with outputs that are not probabilities.
    """
    classes = len(declared.classes)
    _check_labels(labels, classes)
    _check_probabilities(probabilities, classes)
    probabilities = probabilities.astype(np.float64)
    confusion = count_confusion(labels, most_probable(probabilities), classes)
    rows_of_class = confusion.sum(axis=1)
    occurring = np.nonzero(rows_of_class)[0].tolist()
    scores = f1_scores(confusion)[occurring]
    aucs = {declared.classes[position]: auc_of_class(position, labels, probabilities) for position in occurring}
    costs = cost_matrix(declared)
    of_decisions: dict[str, float] = {}
    if costs is not None:
        decided = decide(probabilities, costs)
        of_decisions["expected_cost"] = float(costs[positions_of(labels), decided].mean())
    return {
        "log_loss": float(losses_of_rows(labels, probabilities).mean()),
        "accuracy": float(np.trace(confusion) / len(labels)),
        "macro_f1": float(scores.mean()),
        "weighted_f1": float((scores * rows_of_class[occurring]).sum() / len(labels)),
        "macro_auc": float(np.mean(list(aucs.values()))),
        **of_decisions,
        **{f"auc_{name}": value for name, value in aucs.items()},
        **_by_class("recall", np.diag(confusion), rows_of_class, declared),
        **_by_class("precision", np.diag(confusion), confusion.sum(axis=0), declared),
        "rows": float(len(labels)),
    }


def _by_class(name: str, hits: NDArray[np.int64], rows: NDArray[np.int64], declared: Multiclass) -> dict[str, float]:
    """Return the share of a class's rows that are right, for classes with rows."""
    return {
        f"{name}_{of_class}": float(right / count)
        for of_class, right, count in zip(declared.classes, hits, rows, strict=True)
        if count
    }


def _check_labels(labels: NDArray[Any], classes: int) -> None:
    counts = np.bincount(positions_of(labels), minlength=classes)
    if np.count_nonzero(counts) < 2:
        raise GateError(
            f"metrics need rows of at least two classes: {np.count_nonzero(counts)} of {classes} occur",
            where="holdout",
            how_many=len(labels),
            fix="choose a holdout in which several classes occur",
        )


def _check_probabilities(probabilities: NDArray[Any], classes: int) -> None:
    within = (probabilities >= 0).all(axis=1) & (np.abs(probabilities.sum(axis=1) - 1) <= SUM_TOLERANCE)
    if probabilities.shape[1] != classes or not within.all():
        raise GateError(
            f"predictions are not probabilities of {classes} classes",
            where="holdout",
            how_many=int((~within).sum()) or len(probabilities),
            fix="check the objective",
        )
