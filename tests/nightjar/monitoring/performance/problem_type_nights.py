"""Nights of numbers and of classes whose labels are drawn, for tests of how they are judged and shown."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import numpy as np
from tests.declarations import with_fields
from tests.nightjar.monitoring.performance.performance_nights import FIRST, JUDGED

from nightjar.declaration.monitoring import Retraining
from nightjar.declaration.problem import CostMatrix, Multiclass, Regression
from nightjar.declaration.quantiles import QuantileCost
from nightjar.declaration.use_case import UseCase
from nightjar.monitoring.performance.pages import Pages
from nightjar.monitoring.performance.problem import ScoredRows
from nightjar.monitoring.performance.registry import performance_problem
from nightjar.monitoring.performance.table import (
    ALL,
    ScoredNight,
    count_rows,
    estimate_metrics,
    performance_rows,
)
from nightjar.monitoring.reporting.origin import ReportOrigin

CLASSES = ("early", "late", "cancelled")
COSTS = {"early": {"late": 1.0}, "late": {"early": 5.0, "cancelled": 2.0}, "cancelled": {"early": 20.0, "late": 8.0}}
MATRIX = np.array([[0, 1, 0], [5, 0, 2], [20, 8, 0]], float)
MINUTES = with_fields(
    JUDGED,
    title="Minutes of delay out of New York",
    problem=Regression(unit="min", loss="quantile", quantiles=(0.1, 0.5, 0.9), cost=QuantileCost(under=3, over=1)),
    monitoring={"retraining": Retraining(ceiling=7.0)},
)
KINDS = with_fields(
    JUDGED,
    title="Kinds of delay out of New York",
    problem=Multiclass(classes=CLASSES, cost=CostMatrix(costs=COSTS)),
    monitoring={"retraining": Retraining(floor=0.5)},
)
HOLDOUTS = {
    "regression": {"mae": 4.9, "rmse": 6.1, "pinball": 1.7, "coverage": 0.8},
    "multiclass": {"accuracy": 0.62, "log_loss": 0.84, "macro_f1": 0.5, "recall_late": 0.45},
}
BASELINES = {
    "regression": {"mean": 16.5, "median": 13.5, "q10": 4.0, "q50": 13.5, "q90": 33.0, "decision": 22.0},
    "multiclass": {"early": 0.55, "late": 0.3, "cancelled": 0.15},
}
ORIGINS = ("EWR", "JFK", "LGA")


def numbers(random: np.random.Generator, count: int, *, off: float = 0.0) -> ScoredRows:
    """Numbers whose labels are ``off`` above the predictions, apart from noise."""
    p = random.gamma(2.0, 8.0, count)
    labels = p + off + random.normal(0.0, 6.0, count)
    columns = {"prediction": p, "q10": p - 7.7, "q50": p, "q90": p + 7.7, "decision": p + 4.0}
    return ScoredRows(columns=columns, labels=labels, landed=np.ones(count, bool))


def classes(random: np.random.Generator, count: int, *, off: float = 0.0) -> ScoredRows:
    """Classes drawn from their probabilities; with ``off`` 1 the labels have nothing to do with them."""
    odds = np.exp(random.normal([1.0, 0.2, -0.8], 1.0, (count, 3)))
    p = odds / odds.sum(axis=1, keepdims=True)
    of_labels = (1 - off) * p + off / 3
    labels = (random.random((count, 1)) > of_labels.cumsum(axis=1)[:, :2]).sum(axis=1).astype(float)
    columns = {
        **{f"p_{name}": p[:, i] for i, name in enumerate(CLASSES)},
        "prediction": p.argmax(axis=1).astype(float),
        "decision": (p @ MATRIX).argmin(axis=1).astype(float),
    }
    return ScoredRows(columns=columns, labels=labels, landed=np.ones(count, bool))


def pages_of(use_case: UseCase, *, off: float = 0.0, nights: int = 25, count: int = 900) -> Pages:
    """Nights of which the last eight judged ones are ``off``, and the last three wait for their labels."""
    random, kind = np.random.default_rng(5), use_case.problem.kind
    problem, draw = performance_problem(use_case.problem), {"regression": numbers, "multiclass": classes}[kind]
    rows: list[Any] = []
    counts: list[Any] = []
    for i in range(nights):
        scored, origins = draw(random, count, off=off if i >= nights - 11 else 0.0), random.choice(3, count)
        is_judged = i < nights - 3
        lost = (random.random(count) < 0.02) | np.full(count, not is_judged)
        constants = {name: np.full(count, value) for name, value in BASELINES[kind].items()}
        scored = replace(scored, labels=np.where(lost, np.nan, scored.labels), baseline=constants)
        night = FIRST + timedelta(days=i)
        made = ScoredNight(
            night=night, model_version="3", baseline=BASELINES[kind], holdout=HOLDOUTS[kind],
            summaries={
                ALL: problem.summarize(scored, np.zeros(count, np.int64))[0],
                **{("origin", ORIGINS[code]): summary for code, summary in problem.summarize(scored, origins).items()},
            },
            judged_on=night + timedelta(days=3) if is_judged else None,
        )  # fmt: skip
        made = replace(made, estimates=estimate_metrics(made, use_case))
        rows += performance_rows(made, use_case, run_id="r")
        counts += count_rows(made, use_case, run_id="r")
    versions = {"scores/shop": 61, "labels/shop": 61}
    origin = ReportOrigin(git_commit="0123456789abcdef", run_id="scheduled__2013-06-01", table_versions=versions)
    return Pages(use_case=use_case, rows=rows, counts=counts, origin=origin)


LAST: date = FIRST + timedelta(days=24)
