"""Summaries of scored numbers: small, exact, and additive in any order.

As for yes/no questions, all metrics of a night, a slice or a week are computed from a :class:`Summary`. It has two
parts:

- Counts, and sums of the rows' errors and losses with their squares, which are exact in any order
  (:mod:`nightjar.monitoring.performance.exact_sums`). The baseline's losses are summed too: its prediction differs
  by night, and a week compares each night with its own.
- Labelled rows by bin of the prediction, with the sums of prediction and label: 64 bins for each power of 2, so that a
  bin is at most 1.6 % wide.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from nightjar.declaration.problem import Regression
from nightjar.declaration.quantiles import QuantileCost
from nightjar.monitoring.performance.exact_sums import SCALE, sums_of_groups
from nightjar.monitoring.performance.groups import group_by
from nightjar.monitoring.performance.problem import ScoredRows
from nightjar.protocol.documents import parse_object

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Values = NDArray[np.float64]

BINS_OF_OCTAVE = 64
_LOWEST_EXPONENT = 1100  # makes the bins of all positive doubles positive
MEAN, MEDIAN, DECISION = "mean", "median", "decision"
"""Names of the baseline's predictions; those of quantiles are the names of their columns."""
LOSSES = ("absolute", "squared", "pinball", "cost")
COUNTS = ("rows", "landed", "labelled", "decided", "covered", "with_baseline", "baseline_covered")
"""Counts: scored rows; rows whose outcome has landed; rows with a label, with label and decision, with a label between
the outermost quantiles, with label and baseline, and with a label between the baseline's outermost quantiles."""
SUMS = (
    *("error", "label", "label_squares", "baseline_mean", "size", "size_absolute", "size_pinball"),
    *(f"{loss}{part}" for loss in LOSSES for part in ("", "_squares", "_baseline", "_excess_squares")),
)
"""Sums over labelled rows: prediction minus label; label and its square; the baseline's mean; the label's size, and
its products with two losses; and for each loss its value, its square, the baseline's loss, and the square of the
difference. ``pinball`` is the mean over the quantiles; ``cost`` is over rows with a decision."""
TERMS = (*COUNTS, *SUMS)
Bin = tuple[int, int, int, int]
"""Labelled rows, and the sums of prediction, label and squared label."""


def bin_of(predictions: Values) -> NDArray[np.int64]:
    """Return the bin of each prediction: 0 for 0, and ascending with the prediction."""
    mantissas, exponents = np.frexp(np.abs(predictions))
    within = ((mantissas - 0.5) * (2 * BINS_OF_OCTAVE)).astype(np.int64)
    bins = (exponents.astype(np.int64) + _LOWEST_EXPONENT) * BINS_OF_OCTAVE + within
    return np.where(predictions == 0, 0, np.where(predictions < 0, -bins, bins))


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Summary of the rows of a night, a slice or a week.

    Attributes:
        bins: Bin of the prediction to its labelled rows, ascending.
        sums: Sum of each of :data:`TERMS`.
    """

    bins: Mapping[int, Bin] = field(default_factory=dict, repr=False)
    sums: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(TERMS, 0))

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
        return self.sums["labelled"]

    @property
    def has_baseline(self) -> bool:
        """Whether a baseline was known for every labelled row."""
        return self.sums["with_baseline"] == self.labelled

    def sum(self, name: str) -> float:
        """Return a sum of :data:`SUMS` in its unit."""
        return self.sums[name] / SCALE

    def to_json(self) -> str:
        """Return compact JSON."""
        document = {"bins": [[place, *values] for place, values in self.bins.items()], "sums": dict(self.sums)}
        return json.dumps(document, separators=(",", ":"), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Summary:
        """Invert :meth:`to_json`."""
        document = parse_object(text)
        bins = {place: (rows, p, label, squares) for place, rows, p, label, squares in document["bins"]}
        return cls(bins=bins, sums=document["sums"])


def merge(summaries: Sequence[Summary]) -> Summary:
    """Merge summaries; exact in any order. Without summaries the result is empty."""
    bins: dict[int, Bin] = {}
    for summary in summaries:
        for place, (rows, prediction, label, squares) in summary.bins.items():
            held = bins.get(place, (0, 0, 0, 0))
            bins[place] = (held[0] + rows, held[1] + prediction, held[2] + label, held[3] + squares)
    sums = Counter(dict.fromkeys(TERMS, 0))
    for summary in summaries:
        sums.update(summary.sums)
    return Summary(bins=dict(sorted(bins.items())), sums={term: sums[term] for term in TERMS})


def summarize_groups(rows: ScoredRows, groups: NDArray[np.int64], declared: Regression) -> dict[int, Summary]:
    """Summarize each group of rows in one pass.

    Args:
        rows: At most a few million rows.
        groups: Group of each row, a whole number of at least 0.
        declared: The problem, with quantiles and costs.
    """
    if not len(groups):
        return {}
    grouping = group_by(groups)
    counts = np.add.reduceat(_counts(rows, declared)[grouping.order].astype(np.int64), grouping.starts, axis=0).tolist()
    sums = sums_of_groups(_terms(rows, declared)[grouping.order], grouping.starts)
    bins = _bins(rows, grouping.codes, len(grouping.present))
    return {
        int(group): Summary(bins=bins[i], sums=dict(zip(TERMS, (*counts[i], *sums[i]), strict=True)))
        for i, group in enumerate(grouping.present)
    }


def _bins(rows: ScoredRows, codes: NDArray[np.int64], groups: int) -> list[dict[int, Bin]]:
    """Return the labelled rows by bin, for each group."""
    is_labelled = ~np.isnan(rows.labels)
    predictions, labels = rows.columns["prediction"][is_labelled], rows.labels[is_labelled]
    made: list[dict[int, Bin]] = [{} for _ in range(groups)]
    if not len(labels):
        return made
    places, of_rows = bin_of(predictions), codes[is_labelled]
    order = np.lexsort((places, of_rows))
    places, of_rows = places[order], of_rows[order]
    is_start = np.append(True, (np.diff(places) != 0) | (np.diff(of_rows) != 0))
    starts = np.flatnonzero(is_start)
    sums = sums_of_groups(np.stack([predictions, labels, labels**2], axis=1)[order], starts)
    counts = np.diff(np.append(starts, len(places)))
    for start, count, (prediction, label, squares) in zip(starts, counts, sums, strict=True):
        made[of_rows[start]][int(places[start])] = (int(count), prediction, label, squares)
    return made


def _counts(rows: ScoredRows, declared: Regression) -> NDArray[np.bool_]:
    """Return each row's contribution to each of :data:`COUNTS` (rows x counts)."""
    is_labelled, has_baseline = _masks(rows)
    everything = np.ones(len(rows.labels), bool)
    covered = baseline_covered = ~everything
    if declared.quantiles:
        outermost = (declared.quantile_columns[0], declared.quantile_columns[-1])
        covered = is_labelled & _lies_between(rows.labels, [rows.columns[name] for name in outermost])
        baseline_covered = has_baseline & _lies_between(rows.labels, [_baseline(rows, name) for name in outermost])
    is_decided = is_labelled & ~np.isnan(rows.columns["decision"])
    counts = [everything, rows.landed, is_labelled, is_decided, covered, has_baseline, baseline_covered]
    return np.stack(counts, axis=1)


def _terms(rows: ScoredRows, declared: Regression) -> Values:
    """Return each row's contribution to each of :data:`SUMS` (rows x sums)."""
    is_labelled, has_baseline = _masks(rows)
    labels, predictions = np.where(is_labelled, rows.labels, 0.0), rows.columns["prediction"]
    nothing = np.zeros(len(labels))
    of_scores = [np.abs(predictions - labels), (predictions - labels) ** 2, nothing, nothing]
    of_baseline = [
        np.abs(_baseline(rows, MEDIAN) - labels),
        (_baseline(rows, MEAN) - labels) ** 2,
        nothing,
        nothing,
    ]
    if declared.quantiles:
        columns = declared.quantile_columns
        of_scores[2] = _pinball(labels, [rows.columns[name] for name in columns], declared.quantiles)
        of_baseline[2] = _pinball(labels, [_baseline(rows, name) for name in columns], declared.quantiles)
    if declared.cost:
        of_scores[3] = _cost(labels, rows.columns["decision"], declared.cost)
        of_baseline[3] = _cost(labels, _baseline(rows, DECISION), declared.cost)
    is_decided = is_labelled & ~np.isnan(rows.columns["decision"])
    terms = [
        np.where(is_labelled, predictions - labels, 0.0),
        labels,
        labels**2,
        np.where(has_baseline, _baseline(rows, MEAN), 0.0),
        np.abs(labels),
        *(
            np.where(is_labelled, np.abs(labels) * of_scores[LOSSES.index(loss)], 0.0)
            for loss in ("absolute", "pinball")
        ),
    ]
    for loss, own, other in zip(LOSSES, of_scores, of_baseline, strict=True):
        counts = is_decided if loss == "cost" else is_labelled
        compares = counts & has_baseline
        terms += [
            np.where(counts, own, 0.0),
            np.where(counts, own**2, 0.0),
            np.where(compares, other, 0.0),
            np.where(compares, (own - other) ** 2, 0.0),
        ]
    return np.stack(terms, axis=1)


def _masks(rows: ScoredRows) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which rows have a label, and which a baseline besides."""
    is_labelled = ~np.isnan(rows.labels)
    return is_labelled, is_labelled & ~np.isnan(_baseline(rows, MEAN))


def _baseline(rows: ScoredRows, name: str) -> Values:
    return rows.baseline[name] if name in rows.baseline else np.full(len(rows.labels), np.nan)


def _lies_between(labels: Values, ends: Sequence[Values]) -> NDArray[np.bool_]:
    low, high = ends
    within: NDArray[np.bool_] = (low <= labels) & (labels <= high)
    return within


def _pinball(labels: Values, predicted: Sequence[Values], quantiles: Sequence[float]) -> Values:
    """Return the mean over quantiles of each row's pinball loss (Koenker and Bassett, 1978)."""
    losses = [
        np.maximum(quantile * (labels - values), (quantile - 1) * (labels - values))
        for quantile, values in zip(quantiles, predicted, strict=True)
    ]
    mean: Values = np.mean(losses, axis=0)
    return mean


def _cost(labels: Values, decisions: Values, cost: QuantileCost) -> Values:
    """Return the cost of each row's decision."""
    return np.where(labels > decisions, cost.under * (labels - decisions), cost.over * (decisions - labels))
