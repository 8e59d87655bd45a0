"""``monitoring/experiments``: results of each night's analysis, for BI."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

from nightjar.declaration.experiment import CHAMPION, Experiment, FixedHorizon
from nightjar.declaration.tables import DS, Column, TableSchema
from nightjar.monitoring.experiments.analysis import Analysis, Verdict

EXPERIMENTS_TABLE = TableSchema(
    name="monitoring/experiments",
    comment="Experiments: each challenger against the champion, as of each night.",
    key=("use_case", "variant"),
    partition_by=("ds", "use_case"),
    columns=(
        DS,
        Column("use_case", "string", "Use case.", nullable=False),
        Column("experiment", "string", "Name of the experiment.", nullable=False),
        Column("variant", "string", "Alias of the challenger.", nullable=False),
        Column("metric", "string", "Compared metric: label, brier or cost.", nullable=False),
        Column("design", "string", "fixed_horizon or sequential.", nullable=False),
        Column("nights", "int", "Scored nights that count; nights with a fallback do not.", nullable=False),
        Column("champion_share", "double", "Declared share of the champion among all variants.", nullable=False),
        Column("share", "double", "Declared share of the challenger among all variants.", nullable=False),
        Column("champion_units", "long", "Units of the champion with a label.", nullable=False),
        Column("units", "long", "Units of the challenger with a label.", nullable=False),
        Column("champion_mean", "double", "Mean of the metric over the champion's units; null without comparison."),
        Column("mean", "double", "Mean of the metric over the challenger's units; null without comparison."),
        Column("difference", "double", "Challenger minus champion; null without an interval."),
        Column("low", "double", "Lower end of the difference's confidence interval."),
        Column("high", "double", "Upper end of the difference's confidence interval."),
        Column("lift", "double", "Difference as a share of the champion's mean; null if that is 0."),
        Column("alpha", "double", "Probability of an error over all challengers.", nullable=False),
        Column("mismatch_p", "double", "p-value of the hypothesis that units are split as declared.", nullable=False),
        Column(
            "verdict", "string", "no_data, mismatch, running, undecided, higher or lower than the champion.",
            nullable=False,
        ),
        Column("decided_on", "date", "First scored night whose interval excludes 0; null before."),
        Column("dag_run_id", "string", "Airflow run that analysed the night.", nullable=False),
    ),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ExperimentRow:
    """A row of :data:`EXPERIMENTS_TABLE`."""

    ds: date
    use_case: str
    experiment: str
    variant: str
    metric: str
    design: Literal["fixed_horizon", "sequential"]
    nights: int
    champion_share: float
    share: float
    champion_units: int
    units: int
    champion_mean: float | None
    mean: float | None
    difference: float | None
    low: float | None
    high: float | None
    lift: float | None
    alpha: float
    mismatch_p: float
    verdict: Verdict
    decided_on: date | None
    dag_run_id: str


def experiment_rows(
    analysis: Analysis, experiment: Experiment, *, night: date, use_case: str, run_id: str
) -> list[ExperimentRow]:
    """Return the rows of :data:`EXPERIMENTS_TABLE` for one night, one per challenger."""
    rows = []
    for comparison in analysis.comparisons:
        last = comparison.path[-1] if comparison.path else None
        rows.append(
            ExperimentRow(
                ds=night,
                use_case=use_case,
                experiment=experiment.name,
                variant=comparison.variant,
                metric=experiment.metric,
                design="fixed_horizon" if isinstance(experiment.design, FixedHorizon) else "sequential",
                nights=len(analysis.nights),
                champion_share=experiment.variants[CHAMPION],
                share=experiment.variants[comparison.variant],
                champion_units=comparison.champion.units,
                units=comparison.challenger.units,
                champion_mean=comparison.champion.mean if comparison.champion.units else None,
                mean=comparison.challenger.mean if comparison.challenger.units else None,
                difference=last.difference if last else None,
                low=last.low if last else None,
                high=last.high if last else None,
                lift=comparison.lift,
                alpha=experiment.design.alpha,
                mismatch_p=analysis.mismatch_p,
                verdict=comparison.verdict,
                decided_on=comparison.decided_on,
                dag_run_id=run_id,
            )
        )
    return rows
