"""From a model's answers to probabilities that mean what they say.

Fitted to counts of rows by answer (:func:`nightjar.evaluation.metrics.auc_counts`), which add up over ranks: every rank
finds the same map, and the memory needed does not grow with the rows. In a bin, the answer is the bin's middle.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from nightjar.declaration.training import Calibration
from nightjar.evaluation.metrics import AUC_BINS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Method = Literal["none", "platt", "isotonic"]
METHODS: tuple[Method, ...] = ("none", "platt", "isotonic")
GROUPS = 128
"""Groups of about as many rows each, among which ``isotonic`` looks for steps; it has at most two knots more."""
WORTH = 1e-3
"""Nats a row that a calibration must gain on later days: between neighbouring weeks, less is chance."""
LEAST_SLOPE = 1e-3
"""Of ``platt``: answers that tell nothing, or the contrary, still keep their order."""
_LEAST_ANSWER = 1e-12  # keeps the logit finite
_SLANT = 1e-3  # of the lines at the ends: what lies beyond the outermost knots keeps its order
_MAX_STEPS = 100
_ENOUGH = 1e-10


@dataclass(frozen=True, kw_only=True)
class Calibrator:
    """A map from answers in [0, 1] to probabilities that never changes their order.

    Attributes:
        method: ``none`` gives back what it gets. ``platt``: the logistic function of ``slope`` times the answer's logit
            plus ``intercept``. ``isotonic``: straight lines between ``answers`` and ``probabilities``.
        slope: Above 0.
        intercept: In logits.
        answers: Knots, rising from 0 to 1.
        probabilities: At each knot, rising, above 0 and below 1.
    """

    method: Method = "none"
    slope: float = 1.0
    intercept: float = 0.0
    answers: tuple[float, ...] = ()
    probabilities: tuple[float, ...] = ()

    def apply(self, answers: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probabilities of ``answers``, one a row; each by its own answer alone. No number stays no number."""
        if self.method == "platt":
            return _logistic(self.slope * _logit(answers) + self.intercept)
        if self.method == "isotonic":
            return self._between_knots(answers)
        return answers

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Calibrator:
        """From what ``asdict`` gave and JSON kept."""
        knots = {name: tuple(document.get(name, ())) for name in ("answers", "probabilities")}
        return cls(**{**document, **knots})

    def _between_knots(self, answers: NDArray[np.float64]) -> NDArray[np.float64]:
        """As ``numpy.interp``, which may leave a line by a rounding, and so change the order of two rows."""
        import numpy as np

        x, y = np.array(self.answers), np.array(self.probabilities)
        left = np.clip(np.searchsorted(x, answers, side="right") - 1, 0, len(x) - 2)
        share = (answers - x[left]) / (x[left + 1] - x[left])
        between: NDArray[np.float64] = np.minimum(y[left] + share * (y[left + 1] - y[left]), y[left + 1])
        return between


def fit(
    wanted: Calibration, earlier: NDArray[np.int64], later: NDArray[np.int64]
) -> tuple[Calibrator, dict[Method, float]]:
    """The map that was asked for, fitted to all counts.

    ``best`` fits each method to the earlier days and takes the one of least log loss on the later ones; ``none`` stays
    unless that gains :data:`WORTH`. Where either has no rows there is nothing to judge by, and it is ``platt``, whose
    two figures few rows suffice for.

    Args:
        wanted: The method, or ``best``.
        earlier: Rows by answer, negatives and positives (2 x bins), of the earlier validation days.
        later: Of the later ones.

    Returns:
        The map, and each method's mean log loss (nats) on the later days; empty where none was judged.
    """
    losses: dict[Method, float] = {}
    if wanted == "best" and earlier.sum() and later.sum():
        losses = {method: log_loss(fit_method(method, earlier), later) for method in METHODS}
    return fit_method(_chosen(wanted, losses), earlier + later), losses


def _chosen(wanted: Calibration, losses: Mapping[Method, float]) -> Method:
    if wanted != "best":
        return wanted
    if not losses:
        return "platt"
    method = min(losses, key=losses.__getitem__)
    return method if losses["none"] - losses[method] >= WORTH else "none"


def fit_method(method: Method, counts: NDArray[np.int64]) -> Calibrator:
    """The map of one method that fits ``counts`` (2 x bins: negatives and positives by answer) best."""
    if method == "platt":
        return _platt(counts)
    return _isotonic(counts) if method == "isotonic" else Calibrator()


def log_loss(calibrator: Calibrator, counts: NDArray[np.int64]) -> float:
    """Mean log loss (nats) of the calibrated answers of ``counts`` (2 x bins: negatives and positives by answer)."""
    import numpy as np

    answers, negatives, positives = _occupied(counts)
    probabilities = calibrator.apply(answers)
    return float(-(negatives * np.log1p(-probabilities) + positives * np.log(probabilities)).sum() / counts.sum())


def _platt(counts: NDArray[np.int64]) -> Calibrator:
    """Logistic regression on the answers' logit, with targets drawn in from 0 and 1 (Platt, 1999).

    Newton's method with halved steps (Lin, Lin and Weng, 2007, A note on Platt's probabilistic outputs).
    """
    import numpy as np

    answers, negatives, positives = _occupied(counts)
    logits, rows = _logit(answers), negatives + positives
    high, low = (positives.sum() + 1) / (positives.sum() + 2), 1 / (negatives.sum() + 2)
    targets = (positives * high + negatives * low) / rows
    columns = np.stack([logits, np.ones(len(logits))])

    def loss(weights: NDArray[np.float64]) -> float:
        score = weights[0] * logits + weights[1]
        return float((rows * (np.logaddexp(0, score) - targets * score)).sum())

    weights = np.array([1.0, 0.0])
    for _ in range(_MAX_STEPS):
        probabilities = _logistic(weights[0] * logits + weights[1])
        # plain sums: a matrix product's depend on the number of threads
        gradient = (columns * (rows * (probabilities - targets))).sum(axis=1)
        curvature = (columns[:, None] * columns * (rows * probabilities * (1 - probabilities))).sum(axis=2)
        # a whisper of a ridge: answers that are all alike do not say which slope
        step = np.linalg.solve(curvature + 1e-9 * rows.sum() * np.eye(2), gradient)
        while loss(weights - step) > loss(weights) and np.abs(step).max() > _ENOUGH:
            step /= 2
        weights = weights - step
        if np.abs(step).max() <= _ENOUGH:
            break
    slope = max(float(weights[0]), LEAST_SLOPE)
    return Calibrator(method="platt", slope=slope, intercept=_intercept(slope * logits, rows, targets))


def _intercept(scores: NDArray[np.float64], rows: NDArray[np.int64], targets: NDArray[np.float64]) -> float:
    """What is to be added to ``scores`` for their mean probability to be the targets' mean; by bisection."""
    wanted = (rows * targets).sum()
    low, high = -100.0, 100.0
    for _ in range(_MAX_STEPS):
        middle = (low + high) / 2
        if (rows * _logistic(scores + middle)).sum() < wanted:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _isotonic(counts: NDArray[np.int64]) -> Calibrator:
    """Isotonic regression, its steps made lines from one step's mean answer to the next's; all but flat at the ends.

    Steps of no positives, or positives only, are half a row off 0 and 1.
    """
    import numpy as np

    answers, negatives, positives = _occupied(counts)
    rows = negatives + positives
    group = (np.cumsum(rows) - rows) * GROUPS // rows.sum()
    total, hits, weighted = (np.bincount(group, values) for values in (rows, positives, rows * answers))
    there = total > 0
    steps = pool_adjacent_violators(np.stack([total[there], hits[there], weighted[there]]))
    half_a_row = 0.5 / rows.sum()
    values = np.clip(steps[1] / steps[0], half_a_row, 1 - half_a_row)
    return Calibrator(
        method="isotonic",
        answers=(0.0, *(steps[2] / steps[0]).tolist(), 1.0),
        probabilities=(
            float(values[0]) * (1 - _SLANT),
            *values.tolist(),
            1 - (1 - float(values[-1])) * (1 - _SLANT),
        ),
    )


def pool_adjacent_violators(groups: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum neighbouring groups until the share of positives rises from each to the next.

    The isotonic regression of least squares, and of greatest likelihood (Barlow, Bartholomew, Bremner and Brunk, 1972).

    Args:
        groups: A column for each group, by rising answer: its rows, its positives, and whatever else is to be summed.

    Returns:
        The sums, a column for each step.
    """
    import numpy as np

    steps: list[NDArray[np.float64]] = []
    for column in groups.T:
        step = column
        while steps and steps[-1][1] * step[0] >= step[1] * steps[-1][0]:
            step = steps.pop() + step
        steps.append(step)
    return np.stack(steps, axis=1)


def _occupied(counts: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Middle, negatives and positives of the bins that hold rows."""
    import numpy as np

    (bins,) = np.nonzero(counts.sum(axis=0))
    return (bins + 0.5) / AUC_BINS, counts[0, bins], counts[1, bins]


def _logit(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    clipped = np.clip(probabilities, _LEAST_ANSWER, 1 - _LEAST_ANSWER)
    logits: NDArray[np.float64] = np.log(clipped) - np.log1p(-clipped)
    return logits


def _logistic(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logistic function; scores beyond 36, which doubles cannot tell from 1, stay below it."""
    import numpy as np

    probabilities: NDArray[np.float64] = 1 / (1 + np.exp(-np.clip(scores, -36.0, 36.0)))
    return probabilities
