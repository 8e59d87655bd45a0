"""``monitoring/performance``: what is known of each night's scores, estimated at first, judged when labels are in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from nightjar.declaration.tables import DS, Column, TableSchema
from nightjar.declaration.use_case import UseCase
from nightjar.monitoring.incidents.findings import Finding
from nightjar.monitoring.nightly_rows import read_stored_rows
from nightjar.monitoring.performance.estimate import estimate
from nightjar.monitoring.performance.findings import findings_of
from nightjar.monitoring.performance.intervals import Interval
from nightjar.monitoring.performance.metrics import METRICS, Measured, measure
from nightjar.monitoring.performance.summary import Summary

Place = tuple[str, str]
"""Slice and its value; :data:`ALL` for all rows."""
ALL: Place = ("", "")

PERFORMANCE_TABLE = TableSchema(
    name="monitoring/performance",
    comment="How good each night's scores were, overall and by slice: estimated first, judged when its labels are in.",
    key=("use_case", "slice", "slice_value", "metric"),
    partition_by=("ds", "use_case"),
    columns=(
        DS,
        Column("use_case", "string", "Use case.", nullable=False),
        Column("slice", "string", "Column by whose values rows are judged apart; empty for all rows.", nullable=False),
        Column("slice_value", "string", "Its value; empty for all rows.", nullable=False),
        Column("metric", "string", "auc, pr_auc, log_loss (nats), brier, calibration_error (freed of what chance "
               "gives), expected_cost (a decided row), or label_rate (share of positives).", nullable=False),
        Column("value", "double", "The metric on rows with a label; null before it is judged."),
        Column("low", "double", "Lower end of its confidence interval."),
        Column("high", "double", "Upper end of its confidence interval."),
        Column("estimate", "double", "The metric as estimated from the scores alone on night ds; null for none."),
        Column("estimate_low", "double", "Lower end of what calibrated scores would show."),
        Column("estimate_high", "double", "Upper end of what calibrated scores would show."),
        Column("estimate_error", "double", "value less estimate; null before it is judged."),
        Column("baseline", "double", "The same metric of a constant: the label rate known on night ds."),
        Column("excess", "double", "value less baseline."),
        Column("excess_low", "double", "Lower end of the difference's confidence interval, row by row."),
        Column("excess_high", "double", "Upper end of the difference's confidence interval."),
        Column("holdout", "double", "The metric of this model version on its holdout; null where unknown."),
        Column("rows", "long", "Scored rows.", nullable=False),
        Column("landed_rows", "long", "Those whose outcome has landed, with or without a label.", nullable=False),
        Column("labelled_rows", "long", "Those with a label.", nullable=False),
        Column("verdict", "string", "estimated, judged or not_judged.", nullable=False),
        Column("reason", "string", "Why it is not judged; null where it is or will be."),
        Column("judged_on", "date", "Night whose run has judged it, or tried to; null before."),
        Column("model_version", "string", "Version that scored; several, separated by commas, where they did.",
               nullable=False),
        Column("dag_run_id", "string", "Airflow run that looked.", nullable=False),
    ),
)  # fmt: skip
COUNTS_TABLE = TableSchema(
    name="monitoring/performance_counts",
    comment="Judged nights' rows by bin of the prediction and label, to be added up over nights.",
    key=("use_case", "slice", "slice_value"),
    partition_by=("ds", "use_case"),
    columns=(
        DS,
        Column("use_case", "string", "Use case.", nullable=False),
        Column("slice", "string", "Column by whose values rows are counted apart; empty for all rows.", nullable=False),
        Column("slice_value", "string", "Its value; empty for all rows.", nullable=False),
        Column("judged_on", "date", "Night whose run has judged it.", nullable=False),
        Column("model_version", "string", "Version that scored.", nullable=False),
        Column("summary", "string", "JSON of nightjar.monitoring.performance.summary.Summary.", nullable=False),
        Column("dag_run_id", "string", "Airflow run that looked.", nullable=False),
    ),
)
LOOKED_BACK_NIGHTS = 28
"""Among which the last judged nights are looked for."""
MISSING_SCORES = "no scores of this night are published"
TOO_SMALL = "fewer labelled rows than min_slice_rows"


@dataclass(frozen=True, kw_only=True)
class ScoredNight:
    """What is known of one night's scores.

    Attributes:
        night: The night.
        summaries: Its rows by slice and value; empty where no scores are published.
        judged_on: The night whose run judges it; None for one that is only estimated.
        model_version: Who scored.
        naive: The label rate known on the night; None where none is.
        holdout: The version's figures on its holdout, by metric.
        kept: What was estimated on the night itself, by slice, value and metric.
    """

    night: date
    summaries: Mapping[Place, Summary] = field(repr=False)
    judged_on: date | None = None
    model_version: str = ""
    naive: float | None = None
    holdout: Mapping[str, float] = field(default_factory=dict)
    kept: Mapping[tuple[str, str, str], Interval] = field(default_factory=dict, repr=False)

    @property
    def summary(self) -> Summary:
        """All rows."""
        return self.summaries.get(ALL, Summary())

    def refusal(self, use_case: UseCase) -> str:
        """Why the night cannot be judged; empty where it can."""
        least = use_case.performance.min_label_share
        if not self.summary.rows:
            return MISSING_SCORES
        if self.summary.landed_share < least:
            landed, rows = self.summary.landed, self.summary.rows
            return f"outcomes of {landed} of {rows} scores have landed, fewer than the share of {least:g} asked for"
        return ""


def estimates(night: ScoredNight, use_case: UseCase) -> dict[tuple[str, str, str], Interval]:
    """What to expect of the night, by slice, value and metric; of slices that are large enough."""
    declared = use_case.performance
    return {
        (*place, metric): found
        for place, summary in night.summaries.items()
        if place == ALL or summary.rows >= declared.min_slice_rows
        for metric, found in estimate(summary, confidence=declared.confidence, cost=use_case.cost).items()
    }


def performance_rows(night: ScoredNight, use_case: UseCase, *, run_id: str) -> list[dict[str, Any]]:
    """The night's rows of :data:`PERFORMANCE_TABLE`; judged where it has a ``judged_on`` and can be."""
    refusal = night.refusal(use_case) if night.judged_on else ""
    places = {ALL, *night.summaries, *((name, value) for name, value, _ in night.kept)}
    rows = []
    for place in sorted(places):
        summary = night.summaries.get(place, Summary())
        for metric, measured in _measured(night, place, summary, refusal, use_case).items():
            rows.append(_row(night, place, metric, summary, measured, use_case.name, run_id))
    return rows


def _measured(
    night: ScoredNight, place: Place, summary: Summary, refusal: str, use_case: UseCase
) -> Mapping[str, Measured]:
    """What is said of each metric of a slice: figures, or why there are none; nothing of one that is not estimated."""
    declared = use_case.performance
    metrics = [metric for metric in METRICS if use_case.cost or metric != "expected_cost"]
    if night.judged_on is None:
        return {metric: Measured() for metric in metrics if (*place, metric) in night.kept}
    too_small = place != ALL and summary.labelled < declared.min_slice_rows
    if reason := refusal or (TOO_SMALL if too_small else ""):
        return {metric: Measured(reason=reason) for metric in metrics}
    return measure(summary, confidence=declared.confidence, cost=use_case.cost, naive=night.naive)


def _row(
    night: ScoredNight, place: Place, metric: str, summary: Summary, measured: Measured, use_case: str, run_id: str
) -> dict[str, Any]:
    found, excess, expected = measured.found, measured.excess, night.kept.get((*place, metric))
    error = found.value - expected.value if found and expected else None
    verdict = "estimated" if night.judged_on is None else "judged" if found else "not_judged"
    return {
        "ds": night.night,
        "use_case": use_case,
        "slice": place[0],
        "slice_value": place[1],
        "metric": metric,
        **_ends(("value", "low", "high"), found),
        **_ends(("estimate", "estimate_low", "estimate_high"), expected),
        "estimate_error": error,
        "baseline": measured.baseline,
        **_ends(("excess", "excess_low", "excess_high"), excess),
        "holdout": night.holdout.get(metric) if place == ALL else None,
        "rows": summary.rows,
        "landed_rows": summary.landed,
        "labelled_rows": summary.labelled,
        "verdict": verdict,
        "reason": measured.reason or None,
        "judged_on": night.judged_on,
        "model_version": night.model_version,
        "dag_run_id": run_id,
    }


def _ends(names: Sequence[str], interval: Interval | None) -> dict[str, float | None]:
    values = (None,) * 3 if interval is None else (interval.value, interval.low, interval.high)
    return dict(zip(names, values, strict=True))


def count_rows(night: ScoredNight, use_case: UseCase, *, run_id: str) -> list[dict[str, Any]]:
    """The night's rows of :data:`COUNTS_TABLE`; none where it was not judged."""
    if night.judged_on is None or night.refusal(use_case):
        return []
    return [
        {
            "ds": night.night,
            "use_case": use_case.name,
            "slice": name,
            "slice_value": value,
            "judged_on": night.judged_on,
            "model_version": night.model_version,
            "summary": summary.to_json(),
            "dag_run_id": run_id,
        }
        for (name, value), summary in sorted(night.summaries.items())
    ]


def read_rows(lake: str, table: TableSchema, use_case: str, nights: Iterable[date]) -> list[dict[str, Any]]:
    """The use case's rows of ``nights``, by night; none where nobody has looked yet."""
    return sorted(
        read_stored_rows(lake, table, use_case, nights), key=lambda row: (row["ds"], *(row[name] for name in table.key))
    )


def kept_estimates(rows: Iterable[Mapping[str, Any]]) -> dict[date, dict[tuple[str, str, str], Interval]]:
    """What was estimated on each night, from its rows."""
    kept: dict[date, dict[tuple[str, str, str], Interval]] = {}
    for row in rows:
        if row["estimate"] is not None:
            place = (row["slice"], row["slice_value"], row["metric"])
            kept.setdefault(row["ds"], {})[place] = Interval(
                value=row["estimate"], low=row["estimate_low"], high=row["estimate_high"]
            )
    return kept


def performance_findings(lake: str, use_case: UseCase, night: date) -> list[Finding]:
    """What is wrong with the night that ``night`` has judged; nothing where none was judged."""
    judged = night - timedelta(days=use_case.performance.matured_after_nights)
    window = [judged - timedelta(days=i) for i in range(LOOKED_BACK_NIGHTS)]
    nights = judged_nights(read_rows(lake, PERFORMANCE_TABLE, use_case.name, window), night)
    if judged not in nights or nights[judged]["label_rate"]["judged_on"] != night:
        return []
    link = f"{lake}/reports/{use_case.name}/{night}/performance.html"
    return findings_of(list(nights.values()), use_case, night=night, link=link)


def judged_nights(rows: Iterable[Mapping[str, Any]], night: date) -> dict[date, dict[str, Mapping[str, Any]]]:
    """Metric to row, of all rows, of each night that was judged by ``night``, oldest first."""
    found: dict[date, dict[str, Mapping[str, Any]]] = {}
    for row in rows:
        if not row["slice"] and row["judged_on"] is not None and row["judged_on"] <= night:
            found.setdefault(row["ds"], {})[row["metric"]] = row
    return {ds: found[ds] for ds in sorted(found) if found[ds]["label_rate"]["verdict"] == "judged"}
