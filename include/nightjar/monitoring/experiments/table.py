"""``monitoring/experiments``: what a night's look at an experiment leaves for BI."""

from __future__ import annotations

from datetime import date
from typing import Any

from nightjar.declaration.experiment import CHAMPION, Experiment, FixedHorizon
from nightjar.declaration.tables import DS, Column, TableSchema
from nightjar.monitoring.experiments.analysis import Analysis

EXPERIMENTS_TABLE = TableSchema(
    name="monitoring/experiments",
    comment="Experiments: each challenger against the champion, as each night saw it.",
    key=("use_case", "variant"),
    partition_by=("ds", "use_case"),
    columns=(
        DS,
        Column("use_case", "string", "Use case.", nullable=False),
        Column("experiment", "string", "Name of the experiment.", nullable=False),
        Column("variant", "string", "The challenger's alias.", nullable=False),
        Column("metric", "string", "What is compared: label, brier or cost.", nullable=False),
        Column("design", "string", "fixed_horizon or sequential.", nullable=False),
        Column("nights", "int", "Scored nights that count; those on which a version stood in do not.", nullable=False),
        Column("champion_share", "double", "Declared share of the champion among all variants.", nullable=False),
        Column("share", "double", "Declared share of the challenger among all variants.", nullable=False),
        Column("champion_units", "long", "Units of the champion with a label.", nullable=False),
        Column("units", "long", "Units of the challenger with a label.", nullable=False),
        Column("champion_mean", "double", "Mean of the metric over the champion's units; null without one."),
        Column("mean", "double", "Mean of the metric over the challenger's units; null without one."),
        Column("difference", "double", "Challenger less champion; null before there is an interval."),
        Column("low", "double", "Lower end of the difference's confidence interval."),
        Column("high", "double", "Upper end of the difference's confidence interval."),
        Column("lift", "double", "Difference as a share of the champion's mean; null where that is 0."),
        Column("alpha", "double", "Probability of an error over all challengers.", nullable=False),
        Column("mismatch_p", "double", "P value of the units being split as declared.", nullable=False),
        Column(
            "verdict", "string", "no_data, mismatch, running, undecided, higher or lower than the champion.",
            nullable=False,
        ),
        Column("decided_on", "date", "First scored night whose interval excludes 0; null before."),
        Column("dag_run_id", "string", "Airflow run that looked.", nullable=False),
    ),
)  # fmt: skip


def experiment_rows(
    analysis: Analysis, experiment: Experiment, *, night: date, use_case: str, run_id: str
) -> list[dict[str, Any]]:
    """The rows of :data:`EXPERIMENTS_TABLE` for one night, one a challenger."""
    rows = []
    for one in analysis.comparisons:
        last = one.path[-1] if one.path else None
        rows.append(
            {
                "ds": night,
                "use_case": use_case,
                "experiment": experiment.name,
                "variant": one.variant,
                "metric": experiment.metric,
                "design": "fixed_horizon" if isinstance(experiment.design, FixedHorizon) else "sequential",
                "nights": len(analysis.nights),
                "champion_share": experiment.variants[CHAMPION],
                "share": experiment.variants[one.variant],
                "champion_units": one.champion.units,
                "units": one.challenger.units,
                "champion_mean": one.champion.mean if one.champion.units else None,
                "mean": one.challenger.mean if one.challenger.units else None,
                "difference": last.difference if last else None,
                "low": last.low if last else None,
                "high": last.high if last else None,
                "lift": one.lift,
                "alpha": experiment.design.alpha,
                "mismatch_p": analysis.mismatch_p,
                "verdict": one.verdict,
                "decided_on": one.decided_on,
                "dag_run_id": run_id,
            }
        )
    return rows
