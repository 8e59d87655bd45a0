"""Plots and tables of the holdout, by problem type."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nightjar.declaration.forecast import Forecast
from nightjar.declaration.problem import Binary, Multiclass, Problem, Regression, regression_of
from nightjar.declaration.ranking import Ranking
from nightjar.monitoring.holdout import charts
from nightjar.problems.arrays import group_ids, targets
from nightjar.problems.binary.metrics import alarms_and_hits, auc_counts
from nightjar.problems.multiclass.metrics import count_confusion, most_probable
from nightjar.problems.ranking.metrics import measure_groups, ranks_of
from nightjar.problems.regression.metrics import predictions_of

if TYPE_CHECKING:
    from markupsafe import Markup
    from numpy.typing import NDArray

    from nightjar.problems.arrays import Labels, Outputs

    ByModel = Mapping[str, Outputs]
    """Name of the model to its outputs; the trained model is the first."""

GROUPS = 10
_CURVE_POINTS = 200
_LIST_LENGTHS = 20


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A plot with what it shows.

    Attributes:
        title: What it shows.
        hint: How to read it.
        svg: The plot.
    """

    title: str
    hint: str
    svg: Markup


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of numbers.

    Attributes:
        title: What it shows.
        hint: How to read it.
        corner: Header of the lines.
        header: Headers of the columns.
        lines: Name of each line, and its cells.
        largest: Largest value, by which cells are shaded; None for no shade.
    """

    title: str
    hint: str
    corner: str
    header: Sequence[str]
    lines: Sequence[tuple[str, Sequence[float]]]
    largest: float | None = None


Part = Plot | Table


def parts_of(problem: Problem, labels: Labels, outputs: ByModel) -> list[Part]:
    """Return the parts of a problem type.

    Args:
        problem: The problem.
        labels: Encoded labels of the holdout.
        outputs: Outputs of each model for these rows.
    """
    return _PARTS[problem.kind](problem, labels, outputs)


def _of_binary(problem: Binary, labels: Labels, outputs: ByModel) -> list[Part]:
    truth = targets(labels)
    counts = {name: auc_counts(truth, of_model) for name, of_model in outputs.items()}
    first = next(iter(outputs.values()))
    predicted, observed = _calibration(truth, first)
    others = f" Pale: {', '.join(list(outputs)[1:])}." if len(outputs) > 1 else ""
    return [
        Plot(
            title="Receiver operating characteristic",
            hint="Share of the positives that are found, by the share of negatives that are alarms. Random alarms are "
            f"on the dashed line.{others}",
            svg=charts.unit_curves(
                {name: _roc(of_model) for name, of_model in counts.items()},
                "false positive rate", "true positive rate", diagonal=True,
            ),
        ),
        Plot(
            title="Precision and recall",
            hint=f"Share of the alarms that are right, by the share of the positives that are found.{others}",
            svg=charts.unit_curves(
                {name: _precision_recall(of_model) for name, of_model in counts.items()}, "recall", "precision"
            ),
        ),
        Plot(
            title="Calibration",
            hint=f"Share of positives in {GROUPS} groups of equally many rows, by their mean prediction. Right "
            "probabilities are on the dashed line.",
            svg=charts.shares_against(predicted, observed, "predicted", "observed"),
        ),
    ]  # fmt: skip


def _roc(counts: NDArray[np.int64]) -> charts.Curve:
    alarms, hits = (of_thresholds[::-1] for of_thresholds in alarms_and_hits(counts))
    false_alarms = alarms - hits
    return _thinned(false_alarms / false_alarms[-1], hits / hits[-1])


def _precision_recall(counts: NDArray[np.int64]) -> charts.Curve:
    alarms, hits = (of_thresholds[::-1] for of_thresholds in alarms_and_hits(counts))
    has_alarms = alarms > 0
    return _thinned(hits[has_alarms] / hits[-1], hits[has_alarms] / alarms[has_alarms])


def _thinned(xs: NDArray[np.float64], ys: NDArray[np.float64]) -> charts.Curve:
    """Return at most :data:`_CURVE_POINTS` points, evenly along the horizontal axis, with both ends."""
    places = np.unique(np.searchsorted(xs, np.linspace(0, xs[-1], _CURVE_POINTS)).clip(0, len(xs) - 1))
    return xs[places].tolist(), ys[places].tolist()


def _calibration(truth: NDArray[Any], predictions: Outputs) -> tuple[list[float], list[float]]:
    groups = _groups_of(predictions)
    return [float(predictions[g].mean()) for g in groups], [float(truth[g].mean()) for g in groups]


def _groups_of(predictions: Outputs) -> list[NDArray[np.intp]]:
    """Return the positions of rows in groups of equally many, from the lowest predictions to the highest."""
    parts = np.array_split(np.argsort(predictions, kind="stable"), GROUPS)
    return [part for part in parts if len(part)]


def _of_classes(problem: Multiclass, labels: Labels, outputs: ByModel) -> list[Part]:
    first = next(iter(outputs.values()))
    confusion = count_confusion(labels, most_probable(first), len(problem.classes))
    return [
        Table(
            title="Confusion matrix",
            hint="Rows by true class (lines) and most probable class (columns).",
            corner="true",
            header=problem.classes,
            lines=[(name, confusion[place].tolist()) for place, name in enumerate(problem.classes)],
            largest=float(max(1, confusion.max())),
        )
    ]


def _of_number(problem: Regression, labels: Labels, outputs: ByModel) -> list[Part]:
    first = next(iter(outputs.values()))
    truth, predictions = targets(labels).astype(np.float64), predictions_of(first, problem).astype(np.float64)
    errors = truth - predictions
    parts: list[Part] = [
        Plot(
            title="Residuals",
            hint=f"Label minus prediction, in {problem.unit}; right of the dashed line the prediction was too low.",
            svg=charts.histogram(errors, f"label minus prediction, {problem.unit}"),
        ),
        Table(
            title="Residuals by prediction",
            hint=f"Groups of equally many rows by their prediction, in {problem.unit}.",
            corner="group",
            header=("predicted", "observed", "mean error", "mean absolute error"),
            lines=[
                (
                    str(place),
                    [
                        float(predictions[g].mean()), float(truth[g].mean()),
                        float(errors[g].mean()), float(np.abs(errors[g]).mean()),
                    ],
                )
                for place, g in enumerate(_groups_of(predictions), start=1)
            ],
        ),
    ]  # fmt: skip
    return [*parts, _coverage(problem.quantiles, truth, first)] if problem.quantiles else parts


def _coverage(quantiles: Sequence[float], truth: NDArray[np.float64], outputs: Outputs) -> Part:
    observed = [float((truth <= outputs[:, place]).mean()) for place in range(len(quantiles))]
    return Plot(
        title="Coverage of the quantiles",
        hint="Share of the labels at or below each quantile, by its probability; right ones are on the dashed line.",
        svg=charts.shares_against(quantiles, observed, "probability", "observed"),
    )


def _of_forecast(problem: Forecast, labels: Labels, outputs: ByModel) -> list[Part]:
    steps, of_numbers = labels[:, 2], regression_of(problem)
    lines = []
    for step in np.unique(steps):
        at_step = steps == step
        truth = targets(labels)[at_step]
        total = float(np.abs(truth).sum())
        errors = [np.abs(truth - predictions_of(of_model, of_numbers)[at_step]) for of_model in outputs.values()]
        wapes = [float(of_model.sum()) / total if total else float("nan") for of_model in errors]
        lines.append((f"{step:.0f}", wapes))
    by_step = Table(
        title="Error by step",
        hint="Weighted absolute percentage error (WAPE) of each model, by the days from the night to the forecast day.",
        corner="step",
        header=tuple(outputs),
        lines=lines,
    )
    return [by_step, *_of_number(of_numbers, labels, outputs)]


def _of_ranking(problem: Ranking, labels: Labels, outputs: ByModel) -> list[Part]:
    groups, relevance = group_ids(labels), targets(labels).astype(np.float64)
    ranks = {name: ranks_of(groups, of_model) for name, of_model in outputs.items()}
    lengths = sorted({1, 2, 3, 5, problem.k, *(k for k in (10, _LIST_LENGTHS) if k <= 2 * problem.k)})

    def ndcg(of_model: NDArray[np.int64], k: int) -> float:
        return float(measure_groups(relevance, groups, of_model, k).values["ndcg"].mean())

    lines = [(str(k), [ndcg(of_model, k) for of_model in ranks.values()]) for k in lengths]
    return [
        Table(
            title="nDCG by length of the list",
            hint=f"Mean over groups with a relevant item; the use case shows the first {problem.k}.",
            corner="length",
            header=tuple(outputs),
            lines=lines,
        )
    ]


_PARTS: Mapping[str, Callable[[Any, Any, Any], list[Part]]] = {
    Binary.kind: _of_binary,
    Multiclass.kind: _of_classes,
    Regression.kind: _of_number,
    Forecast.kind: _of_forecast,
    Ranking.kind: _of_ranking,
}
