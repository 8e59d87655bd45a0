"""Nights of scores whose labels are drawn, for tests of how they are judged and shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

import numpy as np
from tests.declarations import with_fields
from tests.nightjar_spark.test_report_drift import SHOP

from nightjar.declaration.monitoring import Monitoring, Performance, Retraining
from nightjar.declaration.problem import Cost
from nightjar.declaration.tables import Column
from nightjar.declaration.use_case import UseCase
from nightjar.monitoring.performance.binary.summary import Rows, Summary, summarize, summarize_groups
from nightjar.monitoring.performance.pages import Pages
from nightjar.monitoring.performance.table import (
    ALL,
    Place,
    ScoredNight,
    count_rows,
    estimate_metrics,
    performance_rows,
)
from nightjar.monitoring.reporting.origin import ReportOrigin

FIRST = date(2013, 4, 1)
COST = Cost(missed=200, false_alarm=80)
JUDGED = with_fields(
    SHOP,
    title="Flight delays out of New York",
    entity={"carried": (Column("origin", "string", "Origin."), Column("carrier", "string", "Carrier."))},
    problem={"cost": COST},
    monitoring=Monitoring(performance=Performance(slices=("origin", "carrier")), retraining=Retraining(floor=0.6)),
)
HOLDOUT = {
    "auc": 0.722, "pr_auc": 0.44, "log_loss": 0.46, "brier": 0.148, "calibration_error": 0.012, "expected_cost": 35.1,
    "label_rate": 0.21,
}  # fmt: skip
ORIGINS = ("EWR", "JFK", "LGA")
CARRIERS = ("UA", "B6", "EV", "DL", "AA", "MQ", "US", "9E", "WN", "VX", "FL", "AS", "F9", "YV", "HA", "OO")
SHARES = np.array([59, 55, 54, 48, 33, 26, 21, 18, 12, 5, 3.2, 0.7, 0.7, 0.6, 0.3, 0.1])


def rows_of(predictions: Sequence[float], labels: Sequence[float], threshold: float = COST.threshold) -> Rows:
    """Rows that have all landed, decided by the threshold."""
    values = np.asarray(predictions, float)
    return Rows(
        predictions=values,
        labels=np.asarray(labels, float),
        landed=np.ones(len(values), bool),
        decisions=(values >= threshold).astype(float),
    )


def draw(random: np.random.Generator, count: int, *, shift: float = 0.0, skill: float = 1.0) -> Rows:
    """Rows whose log-odds lie around -1.3; with ``skill`` 1 and no ``shift`` the predictions are calibrated."""
    odds = random.normal(-1.3, 0.9, count)
    truth = 1 / (1 + np.exp(-(-1.3 + (odds + 1.3) * skill + shift)))
    return rows_of(1 / (1 + np.exp(-odds)), (random.random(count) < truth).astype(float))


@dataclass
class Nights:
    """Nights in a row, judged three nights later as the program would; ``rows`` and ``counts`` are its tables."""

    use_case: UseCase = JUDGED
    rows: list[dict[str, Any]] = field(default_factory=list)
    counts: list[dict[str, Any]] = field(default_factory=list)

    def add(self, night: date, summaries: dict[Place, Summary], *, judged: bool = True, **changed: Any) -> None:
        scored = ScoredNight(
            night=night, summaries=summaries, model_version="3", baseline={"rate": 0.22}, holdout=HOLDOUT,
            judged_on=night + timedelta(days=3) if judged else None,
        )  # fmt: skip
        scored = replace(scored, estimates=estimate_metrics(scored, self.use_case))
        scored = replace(scored, **changed)
        self.rows += performance_rows(scored, self.use_case, run_id="r")
        self.counts += count_rows(scored, self.use_case, run_id="r")

    def pages(self) -> Pages:
        origin = ReportOrigin(
            git_commit="0123456789abcdef",
            run_id="scheduled__2013-06-01",
            table_versions={"scores/shop": 61, "labels/shop": 61},
        )
        return Pages(use_case=self.use_case, rows=self.rows, counts=self.counts, origin=origin)


def summaries(
    random: np.random.Generator, count: int, *, shift: float = 0.0, skill: float = 1.0, bad: str = ""
) -> dict[Place, Summary]:
    """A night's summaries by origin and carrier; at the origin ``bad`` labels are random."""
    rows = draw(random, count, shift=shift, skill=skill)
    origins = random.choice(3, count)
    carriers = random.choice(len(CARRIERS), count, p=SHARES / SHARES.sum())
    if bad:
        labels = np.where(origins == ORIGINS.index(bad), (random.random(count) < 0.3).astype(float), rows.labels)
        rows = replace(rows, labels=labels)
    lost = random.random(count) < 0.02
    rows = replace(rows, labels=np.where(lost, np.nan, rows.labels))
    by_place: dict[Place, Summary] = {ALL: summarize(rows)}
    for name, values, codes in (("origin", ORIGINS, origins), ("carrier", CARRIERS, carriers)):
        by_place |= {(name, values[code]): summary for code, summary in summarize_groups(rows, codes).items()}
    return by_place
