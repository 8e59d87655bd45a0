"""Report the experiment: compare each challenger with the champion on nights with labels.

Spark counts one row per night and variant. :mod:`nightjar.monitoring.experiments.analysis` analyses them; the results
are stored in ``monitoring/experiments`` and shown on one page per night.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from nightjar.declaration.experiment import Experiment
from nightjar.declaration.problem import cost_of_binary
from nightjar.declaration.use_case import UseCase, load_use_case
from nightjar.lake import files
from nightjar.lake.active_files import active_files
from nightjar.lake.lake import Lake
from nightjar.monitoring.experiments.analysis import Moments, Night, analyse, find_stalled_nights
from nightjar.monitoring.experiments.report import ExperimentReport, render
from nightjar.monitoring.experiments.table import EXPERIMENTS_TABLE, experiment_rows
from nightjar.monitoring.reporting.origin import ReportOrigin
from nightjar.protocol.errors import ConfigurationError, ContractError
from nightjar.protocol.job import JobSpec
from nightjar.protocol.results import ReportExperimentResult
from nightjar.settings.environment import Settings
from nightjar_spark.io import read_table
from nightjar_spark.main import main

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

log = logging.getLogger(__name__)


def run(spark: SparkSession, spec: JobSpec) -> ReportExperimentResult:
    """Analyse the use case's experiment as of the spec's last night, on its nights with labels.

    Raises:
        ConfigurationError: when the use case declares no experiment.
        ContractError: when units are in several variants because the split was changed without a new name.
        LakeError: when the table of scores or of labels does not exist.
    """
    return report_experiment(spark, spec, load_use_case(spec.use_case))


def report_experiment(spark: SparkSession, spec: JobSpec, use_case: UseCase) -> ReportExperimentResult:
    """:func:`run` for a given use case."""
    lake = Lake(spec.lake)
    began = time.monotonic()
    experiment = use_case.scoring.experiment
    if experiment is None:
        raise ConfigurationError(
            "no experiment is declared", where=f"use case {use_case.name}", fix="declare `Scoring.experiment`"
        )
    scores, labels = use_case.score_table.name, use_case.label_table.name
    inputs = {name: int(lake.open_table(name).version()) for name in (scores, labels)}
    matured = _matured(spec, use_case, experiment, inputs)
    split = read_table(spark, lake, scores, nights=matured, version=inputs[scores]).where(
        F.col("experiment") == experiment.name
    )
    scored_by = _scoring_versions(split)
    excluded = sorted({night for night, _, _, is_fallback in scored_by if is_fallback})
    nights_of_labels = [night + _horizon(use_case) for night in matured]
    outcomes = read_table(spark, lake, labels, nights=nights_of_labels, version=inputs[labels])
    added = _count(split.where(~F.col("ds").isin(excluded)), outcomes, use_case, experiment)
    analysis = analyse(experiment, added)
    running = any(comparison.verdict == "running" for comparison in analysis.comparisons)
    stalled = find_stalled_nights(added, [day for day in matured if day not in excluded]) if running else ()
    counted = time.monotonic()
    night = spec.last_night
    rows = experiment_rows(analysis, experiment, night=night, use_case=use_case.name, run_id=spec.run_id)
    version = lake.table(EXPERIMENTS_TABLE).replace(rows, [night], use_case=use_case.name, run_id=spec.run_id)
    report = ExperimentReport(
        title=use_case.title,
        night=night,
        experiment=experiment,
        analysis=analysis,
        stalled=stalled,
        excluded=excluded,
        versions={
            variant: sorted(
                {version for day, name, version, _ in scored_by if name == variant and day not in excluded}, key=int
            )
            for variant in experiment.variants
        },
        cost=cost_of_binary(use_case.problem),
        origin=ReportOrigin(
            git_commit=Settings.from_environment().git_commit, run_id=spec.run_id, table_versions=inputs
        ),
    )
    uri = lake.report_uri(use_case.name, night, "experiment")
    files.write_text(uri, render(report))
    for comparison in analysis.comparisons:
        level = logging.WARNING if comparison.verdict == "mismatch" else logging.INFO
        log.log(level, "%s, %s against champion: %s, %s", experiment.name, comparison.variant, comparison.verdict, uri)
    if stalled:
        log.warning("%s: %d nights without new units, from %s on, %s", experiment.name, len(stalled), stalled[0], uri)
    return ReportExperimentResult(
        rows_in=len(rows),
        rows_out=len(rows),
        inputs=inputs,
        outputs={EXPERIMENTS_TABLE.name: version},
        metrics={"units": float(sum(analysis.units.values())), "mismatch_p": analysis.mismatch_p},
        verdicts={comparison.variant: comparison.verdict for comparison in analysis.comparisons},
        nights_without_new_units=tuple(stalled),
        report=uri,
        links={"experiment": uri},
        seconds={"count": counted - began, "write": time.monotonic() - counted},
    )


def _matured(spec: JobSpec, use_case: UseCase, experiment: Experiment, inputs: Mapping[str, int]) -> list[date]:
    """Return the scored nights of the experiment whose labels have landed by the spec's last night."""
    lake = Lake(spec.lake)
    scored, labelled = (
        {date.fromisoformat(file.partition["ds"]) for file in active_files(lake.open_table(name, inputs[name]), {})}
        for name in (use_case.score_table.name, use_case.label_table.name)
    )
    horizon = _horizon(use_case)
    return sorted(
        night
        for night in scored
        if experiment.first_night <= night <= spec.last_night - horizon and night + horizon in labelled
    )


def _horizon(use_case: UseCase) -> timedelta:
    """Return the time from a scored night to the night on which its labels land."""
    return timedelta(days=use_case.target.label_horizon_nights)


def _scoring_versions(split: DataFrame) -> list[tuple[date, str, str, bool]]:
    """Return night, variant, model version, and whether the version was a fallback.

    A night with a fallback does not show the difference between the variants.
    """
    groups = split.groupBy("ds", "variant", "model_version", F.col("fallback_reason").isNotNull().alias("is_fallback"))
    return [(row["ds"], row["variant"], row["model_version"], row["is_fallback"]) for row in groups.count().collect()]


def _count(split: DataFrame, outcomes: DataFrame, use_case: UseCase, experiment: Experiment) -> list[Night]:
    """Count the new units of each night: those first scored on it that have a value.

    Raises:
        ContractError: when a unit is in several variants.
    """
    key = list(use_case.key)
    labels = outcomes.select(*key, F.date_sub("ds", use_case.target.label_horizon_nights).alias("ds"), "label")
    values = split.join(labels, on=[*key, "ds"], how="left").withColumn("_value", _value(use_case, experiment))
    units = values.groupBy(*(experiment.unit or key)).agg(
        F.min_by(F.struct("ds", "variant", "_value"), F.struct("ds", *key)).alias("_first"),
        (F.min("variant") != F.max("variant")).cast("long").alias("_moved"),
    )
    counted = (
        units.groupBy("_first.ds", "_first.variant")
        .agg(
            F.count("_first._value").alias("units"),
            F.avg("_first._value").alias("mean"),
            F.var_pop("_first._value").alias("variance"),
            F.sum("_moved").alias("_moved"),
        )
        .collect()
    )
    moved = sum(row["_moved"] for row in counted)
    if moved:
        raise ContractError(
            f"units are in several variants of the experiment {experiment.name}",
            where=use_case.score_table.name,
            how_many=moved,
            fix="the shares or the unit were changed: give the changed experiment a new name",
        )
    nights: dict[date, dict[str, Moments]] = defaultdict(dict)
    for row in counted:
        if row["units"]:
            squares = row["variance"] * row["units"]
            nights[row["ds"]][row["variant"]] = Moments(units=row["units"], mean=row["mean"], squares=squares)
    return [Night(night=night, moments=nights[night]) for night in sorted(nights)]


def _value(use_case: UseCase, experiment: Experiment) -> Column:
    """Return the compared value of a row; null without a label or a decision."""
    label = F.col("label")
    if experiment.metric == "label":
        return label
    if experiment.metric == "brier":
        return F.pow(F.col("prediction") - label, F.lit(2.0))
    cost = cost_of_binary(use_case.problem)
    if cost is None:
        raise ConfigurationError("no cost is declared", where=f"use case {use_case.name}", fix="declare `cost`")
    alarm = F.when(label == 0, cost.false_alarm).otherwise(0.0)
    silent = F.when(label == 1, cost.missed).otherwise(0.0)
    decided = F.when(F.col("decision"), alarm).when(~F.col("decision"), silent)
    return F.when(label.isNotNull(), decided)


if __name__ == "__main__":
    main(run)
