"""Summaries of scored rows with a probability for each class: small, exact, and additive in any order.

All metrics of a night, a slice or a week are computed from a :class:`Summary`: counts of rows by true and predicted
class and by true and decided class, and sums that are exact in any order
(:mod:`nightjar.monitoring.performance.exact_sums`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nightjar.declaration.problem import Multiclass
from nightjar.monitoring.performance.exact_sums import SCALE, sums_of_groups
from nightjar.monitoring.performance.groups import group_by
from nightjar.monitoring.performance.problem import ScoredRows
from nightjar.protocol.documents import parse_object

if TYPE_CHECKING:
    from numpy.typing import NDArray

_EPSILON = 2.220446049250313e-16  # keeps log(0) out; as in nightjar.problems.multiclass.metrics

COUNTS = ("rows", "landed", "decided")
"""Counts: scored rows, rows whose outcome has landed, rows with a decision, with a label or without."""
SUMS = ("entropy", "entropy_spread", "right", "right_spread", "cost", "cost_spread")
"""Expected values over all scored rows for calibrated probabilities, each with its variance: the log loss -sum p ln p,
whether the prediction is right, and, over rows with a decision, the cost."""
BY_CLASS = ("loss", "loss_squares", "probability", "probability_spread")
"""Sums for each class: the log loss of its labelled rows (nats) and its square; over all scored rows the class's
probability p, and p (1 - p)."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Summary of the rows of a night, a slice or a week.

    Attributes:
        confusion: Labelled rows by true class (lines) and predicted class.
        decisions: Labelled rows with a decision, by true class (lines) and decided class.
        sums: Sum of each of :data:`COUNTS` and :data:`SUMS`.
        by_class: Sum of each of :data:`BY_CLASS`, for each class.
    """

    confusion: NDArray[np.int64]
    decisions: NDArray[np.int64]
    sums: Mapping[str, int]
    by_class: Mapping[str, Sequence[int]]

    @property
    def rows(self) -> int:
        """Scored rows."""
        return self.sums["rows"]

    @property
    def landed(self) -> int:
        """Rows whose outcome has landed, with a label or without."""
        return self.sums["landed"]

    @property
    def labelled(self) -> int:
        """Rows with a label."""
        return int(self.confusion.sum())

    def sum(self, name: str) -> float:
        """Return a sum of :data:`SUMS`."""
        return self.sums[name] / SCALE

    def class_sums(self, name: str) -> list[float]:
        """Return a sum of :data:`BY_CLASS` for each class."""
        return [total / SCALE for total in self.by_class[name]]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Summary) and self.to_json() == other.to_json()

    def to_json(self) -> str:
        """Return compact JSON."""
        document = {
            "confusion": self.confusion.tolist(),
            "decisions": self.decisions.tolist(),
            "sums": dict(self.sums),
            "by_class": {name: list(totals) for name, totals in self.by_class.items()},
        }
        return json.dumps(document, separators=(",", ":"), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Summary:
        """Invert :meth:`to_json`."""
        document = parse_object(text)
        return cls(
            confusion=np.array(document["confusion"], np.int64),
            decisions=np.array(document["decisions"], np.int64),
            sums=document["sums"],
            by_class=document["by_class"],
        )


def empty(classes: int) -> Summary:
    """Return the summary of no rows."""
    return Summary(
        confusion=np.zeros((classes, classes), np.int64),
        decisions=np.zeros((classes, classes), np.int64),
        sums=dict.fromkeys((*COUNTS, *SUMS), 0),
        by_class=dict.fromkeys(BY_CLASS, (0,) * classes),
    )


def merge(summaries: Sequence[Summary], classes: int) -> Summary:
    """Merge summaries; exact in any order. Without summaries the result is empty."""
    every = [empty(classes), *summaries]
    return Summary(
        confusion=np.sum([summary.confusion for summary in every], axis=0),
        decisions=np.sum([summary.decisions for summary in every], axis=0),
        sums={name: sum(summary.sums[name] for summary in every) for name in (*COUNTS, *SUMS)},
        by_class={
            name: tuple(map(sum, zip(*(summary.by_class[name] for summary in every), strict=True))) for name in BY_CLASS
        },
    )


def summarize_groups(
    rows: ScoredRows, groups: NDArray[np.int64], declared: Multiclass, costs: NDArray[np.float64] | None
) -> dict[int, Summary]:
    """Summarize each group of rows in one pass.

    Args:
        rows: At most a few million rows.
        groups: Group of each row, a whole number of at least 0.
        declared: The problem.
        costs: Cost of each true class (lines) and decided class; None without costs.
    """
    if not len(groups):
        return {}
    grouping = group_by(groups)
    probabilities = np.stack([rows.columns[name] for name in declared.probability_columns], axis=1)
    decided = rows.columns["decision"]
    confusion = _count_pairs(
        grouping.codes, len(grouping.present), rows.labels, rows.columns["prediction"], len(declared.classes)
    )
    decisions = _count_pairs(grouping.codes, len(grouping.present), rows.labels, decided, len(declared.classes))
    whole = np.stack([np.ones(len(grouping.codes), bool), rows.landed, ~np.isnan(decided)], axis=1)
    counts = np.add.reduceat(whole[grouping.order].astype(np.int64), grouping.starts, axis=0).tolist()
    terms = [*_terms(rows, probabilities, costs), *_terms_by_class(rows.labels, probabilities)]
    totals = sums_of_groups(np.concatenate(terms, axis=1)[grouping.order], grouping.starts)
    made = {}
    for i, group in enumerate(grouping.present):
        sums, of_classes = totals[i][: len(SUMS)], totals[i][len(SUMS) :]
        size = len(declared.classes)
        made[int(group)] = Summary(
            confusion=confusion[i],
            decisions=decisions[i],
            sums=dict(zip((*COUNTS, *SUMS), (*counts[i], *sums), strict=True)),
            by_class={name: tuple(of_classes[j * size : (j + 1) * size]) for j, name in enumerate(BY_CLASS)},
        )
    return made


def _count_pairs(
    codes: NDArray[np.int64],
    groups: int,
    labels: NDArray[np.float64],
    chosen: NDArray[np.float64],
    classes: int,
) -> NDArray[np.int64]:
    """Count rows with both classes, by group, true class and chosen class."""
    both = ~np.isnan(labels) & ~np.isnan(chosen)
    places = (codes[both] * classes + labels[both].astype(np.int64)) * classes + chosen[both].astype(np.int64)
    return np.bincount(places, minlength=groups * classes**2).reshape(groups, classes, classes)


def _terms(
    rows: ScoredRows, probabilities: NDArray[np.float64], costs: NDArray[np.float64] | None
) -> list[NDArray[np.float64]]:
    """Return each row's contribution to each of :data:`SUMS`, as columns."""
    logs = np.log(np.clip(probabilities, _EPSILON, 1 - _EPSILON))
    entropy = -(probabilities * logs).sum(axis=1)
    right = _of_class(probabilities, rows.columns["prediction"])
    terms = [entropy, (probabilities * logs**2).sum(axis=1) - entropy**2, right, right * (1 - right)]
    decided = rows.columns["decision"]
    cost = cost_squares = np.zeros(len(decided))
    if costs is not None:
        is_decided = ~np.isnan(decided)
        of_decision = costs.T[np.where(is_decided, decided, 0).astype(np.int64)]
        cost = np.where(is_decided, (probabilities * of_decision).sum(axis=1), 0.0)
        cost_squares = np.where(is_decided, (probabilities * of_decision**2).sum(axis=1), 0.0)
    return [term[:, None] for term in (*terms, cost, cost_squares - cost**2)]


def _terms_by_class(labels: NDArray[np.float64], probabilities: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Return each row's contribution to each of :data:`BY_CLASS` (rows x classes)."""
    is_class = labels[:, None] == np.arange(probabilities.shape[1])
    losses = np.where(is_class, -np.log(np.clip(probabilities, _EPSILON, 1 - _EPSILON)), 0.0)
    return [losses, losses**2, probabilities, probabilities * (1 - probabilities)]


def _of_class(probabilities: NDArray[np.float64], classes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probability of each row's class; 0 without one."""
    positions = np.where(np.isnan(classes), 0, classes).astype(np.int64)
    return np.where(np.isnan(classes), 0.0, probabilities[np.arange(len(positions)), positions])
