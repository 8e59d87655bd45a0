"""Summaries of scored rows: small, exact, and additive in any order.

All metrics of a night, a slice or a week are computed from a :class:`Summary`, not from rows: each Spark task
summarizes its rows, the driver merges the summaries, and a week is merged from its nights. A summary has two parts.

- Rows by prediction bin and label. :data:`BINS` bins of equal width in log-odds: fine where predictions are
  rare (0.05 % of the probability) and in the middle (1e-4). Rows of one bin count as tied, which moves the AUC by at
  most half the share of (positive, negative) pairs that lie in one bin; ``binary.metrics.tie_error`` computes this
  bound. Sorting all rows of each slice would need a shuffle for each, and would not be additive.
- Sums for metrics that are means of rows (log loss, Brier score, cost, and their expected values from the scores
  alone), with sums of squares for the intervals. They are multiples of 2^-32, so that they are equal to the bit in any
  order of rows; the rounding of a row is at most 1.2e-10.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from nightjar.monitoring.performance.groups import group_by
from nightjar.protocol.documents import parse_object

if TYPE_CHECKING:
    from numpy.typing import NDArray

BINS = 1 << 16
"""Bins of the prediction, of equal width in log-odds from -:data:`REACH` to :data:`REACH`; values beyond are in the
outermost bins."""
REACH = 16.0
SCALE = 1 << 32
"""Value of 1 in the fixed-point sums."""
_EPSILON = 2.220446049250313e-16  # keeps log(0) out; as in nightjar.problems.binary.metrics

NEGATIVE, POSITIVE, UNLABELLED = 0, 1, 2
COUNTS = ("rows", "landed", "alarm_0", "alarm_1", "silent_0", "silent_1", "alarms", "silents")
"""Counts: scored rows, rows whose outcome has landed (with or without a label), labelled rows with a positive (alarm)
and a negative (silent) decision by label, and all rows with each decision."""
SUMS = (
    *(f"{name}_{label}" for label in (0, 1) for name in ("loss", "loss_squares", "error", "error_squares")),
    *("prediction", "entropy", "entropy_spread", "brier", "brier_spread"),
    *(f"{decided}_{name}" for decided in ("alarm", "silent") for name in ("prediction", "spread")),
)
"""Fixed-point sums. By label: log loss (nats) and squared error of the rows, and their squares. Over all scored rows,
expected values for calibrated p: p; the log loss -p ln p - q ln q, with its variance p q ln(p/q)^2; the Brier score
p q, with its variance p q (1 - 2p)^2; and for rows with each decision p and p q."""
TERMS = (*COUNTS, *SUMS)


def bin_of(predictions: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the bin of each prediction; bin 0 has the smallest predictions."""
    places = (_logit(predictions) + REACH) * (BINS / (2 * REACH))
    bins: NDArray[np.int64] = np.clip(places, 0, BINS - 1).astype(np.int64)
    return bins


def probability_of(bins: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the prediction in the middle of each bin."""
    middles = (bins + 0.5) * (2 * REACH / BINS) - REACH
    probabilities: NDArray[np.float64] = 1 / (1 + np.exp(-middles))
    return probabilities


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Summary of the rows of a night, a slice or a week.

    Attributes:
        bins: Non-empty bins, ascending.
        counts: Rows per bin: negatives, positives and rows without a label (3 x bins).
        sums: Sum of each of :data:`TERMS`.
    """

    bins: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64), repr=False)
    counts: NDArray[np.int64] = field(default_factory=lambda: np.empty((3, 0), np.int64), repr=False)
    sums: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(TERMS, 0))

    @property
    def rows(self) -> int:
        """Scored rows."""
        return self.sums["rows"]

    @property
    def landed(self) -> int:
        """Rows whose outcome has landed, with a label or (cancelled, diverted) without."""
        return self.sums["landed"]

    @property
    def negatives(self) -> int:
        """Rows with the label 0."""
        return int(self.counts[NEGATIVE].sum())

    @property
    def positives(self) -> int:
        """Rows with the label 1."""
        return int(self.counts[POSITIVE].sum())

    @property
    def labelled(self) -> int:
        """Rows with a label."""
        return self.negatives + self.positives

    def sum(self, name: str) -> float:
        """Return a sum of :data:`SUMS` in its unit, or a count of :data:`COUNTS`."""
        return self.sums[name] / (1 if name in COUNTS else SCALE)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Summary):
            return NotImplemented
        same = np.array_equal(self.bins, other.bins) and np.array_equal(self.counts, other.counts)
        return same and dict(self.sums) == dict(other.sums)

    def to_json(self) -> str:
        """Return compact JSON; bins are stored as differences."""
        steps = np.diff(self.bins, prepend=0)
        document = {"bins": steps.tolist(), "counts": self.counts.tolist(), "sums": dict(self.sums)}
        return json.dumps(document, separators=(",", ":"), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Summary:
        """Invert :meth:`to_json`."""
        document = parse_object(text)
        bins = np.cumsum(np.array(document["bins"], np.int64))
        return cls(bins=bins, counts=np.array(document["counts"], np.int64).reshape(3, -1), sums=document["sums"])


def reduce(summary: Summary) -> Summary:
    """Return the summary with all rows in one bin: the sums stay."""
    return Summary(bins=np.zeros(1, np.int64), counts=summary.counts.sum(axis=1, keepdims=True), sums=summary.sums)


def merge(summaries: Sequence[Summary]) -> Summary:
    """Merge summaries; exact in any order. Without summaries the result is empty."""
    if not summaries:
        return Summary()
    bins, place = np.unique(np.concatenate([summary.bins for summary in summaries]), return_inverse=True)
    counts = np.zeros((3, len(bins)), np.int64)
    for total, added in zip(counts, np.concatenate([summary.counts for summary in summaries], axis=1), strict=True):
        np.add.at(total, place, added)
    return Summary(bins=bins, counts=counts, sums={t: sum(summary.sums[t] for summary in summaries) for t in TERMS})


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Scored rows, as arrays of one length.

    Attributes:
        predictions: Probabilities in [0, 1].
        labels: 0, 1, or NaN without a label.
        landed: Whether the row's outcome has landed.
        decisions: 1 (alarm), 0 (silent), or NaN without a decision.
    """

    predictions: NDArray[np.float64]
    labels: NDArray[np.float64]
    landed: NDArray[np.bool_]
    decisions: NDArray[np.float64]


def summarize(rows: Rows) -> Summary:
    """Summarize all rows."""
    return summarize_groups(rows, np.zeros(len(rows.predictions), np.int64)).get(0, Summary())


def summarize_groups(rows: Rows, groups: NDArray[np.int64]) -> dict[int, Summary]:
    """Summarize each group of rows in one pass.

    Args:
        rows: At most a few hundred thousand rows, since the sums of one call have 64 bits.
        groups: Group of each row, a whole number of at least 0.
    """
    if not len(groups):
        return {}
    grouping = group_by(groups)
    sums = np.add.reduceat(_terms(rows)[grouping.order], grouping.starts, axis=0)
    histograms = _histograms(rows, grouping.codes, len(grouping.present))
    return {
        int(group): Summary(
            bins=histograms[i][0],
            counts=histograms[i][1],
            sums=dict(zip(TERMS, map(int, sums[i]), strict=True)),
        )
        for i, group in enumerate(grouping.present)
    }


def _histograms(rows: Rows, codes: NDArray[np.int64], groups: int) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Return the non-empty bins and their rows by label, for each group."""
    kind = np.where(np.isnan(rows.labels), UNLABELLED, rows.labels).astype(np.int64)
    places, inverse = np.unique(codes * BINS + bin_of(rows.predictions), return_inverse=True)
    counts = np.bincount(inverse * 3 + kind, minlength=3 * len(places)).reshape(-1, 3).T
    bounds = np.searchsorted(places, np.arange(groups + 1) * BINS)
    return [
        (places[low:high] - group * BINS, np.ascontiguousarray(counts[:, low:high]))
        for group, (low, high) in enumerate(pairwise(bounds))
    ]


def _terms(rows: Rows) -> NDArray[np.int64]:
    """Return each row's contribution to each of :data:`TERMS` (rows x terms)."""
    p = np.clip(rows.predictions, _EPSILON, 1 - _EPSILON)
    q, plain = 1 - p, rows.predictions
    log_p, log_q = np.log(p), np.log1p(-p)
    alarm, silent = rows.decisions == 1, rows.decisions == 0
    is_label = (rows.labels == 0, rows.labels == 1)
    whole = [
        np.ones(len(p), bool), rows.landed, alarm & is_label[0], alarm & is_label[1],
        silent & is_label[0], silent & is_label[1], alarm, silent,
    ]  # fmt: skip
    real = []
    for label, has, log in ((0, is_label[0], log_q), (1, is_label[1], log_p)):
        loss, error = np.where(has, -log, 0.0), np.where(has, (plain - label) ** 2, 0.0)
        real += [loss, loss**2, error, error**2]
    spread = p * q
    real += [plain, -p * log_p - q * log_q, spread * (log_p - log_q) ** 2, spread, spread * (1 - 2 * p) ** 2]
    for decided in (alarm, silent):
        real += [np.where(decided, plain, 0.0), np.where(decided, spread, 0.0)]
    fixed = np.rint(np.stack(real, axis=1) * SCALE).astype(np.int64)
    return np.concatenate([np.stack(whole, axis=1).astype(np.int64), fixed], axis=1)


def _logit(predictions: NDArray[np.float64]) -> NDArray[np.float64]:
    clipped = np.clip(predictions, _EPSILON, 1 - _EPSILON)
    logits: NDArray[np.float64] = np.log(clipped) - np.log1p(-clipped)
    return logits
