"""Freeze the training set: table versions, rows and splits. No rows are copied.

A label of day D + ``label_horizon_nights`` belongs to the features of night D. The last days are the holdout, the days
before are validation, the rest is for training. Vocabularies and the reference profile for drift come from the training
days only.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from nightjar.declaration.use_case import UseCase, load_use_case
from nightjar.evaluation.verdict import FULL
from nightjar.lake import files
from nightjar.lake.active_files import active_files
from nightjar.lake.lake import Lake
from nightjar.lake.results import finished_result
from nightjar.monitoring.profiles.labels import profile_counts
from nightjar.monitoring.profiles.profile import Profile, ProfiledColumn, merge_all
from nightjar.monitoring.profiles.reference import LABEL
from nightjar.monitoring.profiles.variation import with_variation
from nightjar.problems.problem_type import ProblemType
from nightjar.problems.registry import problem_type
from nightjar.protocol.documents import dump_json
from nightjar.protocol.errors import ContractError, ModelError, RowCountError
from nightjar.protocol.job import JobSpec
from nightjar.protocol.names import helper
from nightjar.protocol.results import FreezeTrainingSetResult
from nightjar.registry import models
from nightjar.training.data.shards import listed
from nightjar.training.data.splits import split_days
from nightjar.training.data.training_set import (
    PROFILE_FILE,
    DayCount,
    Split,
    TrainingSet,
    night_of,
    training_set_uri,
)
from nightjar.training.recipe import Base, Recipe
from nightjar.training.warm_start import check_holdout_is_unseen
from nightjar_spark.io import read_table
from nightjar_spark.main import main
from nightjar_spark.matched_labels import Matches, check_matched, count_matches
from nightjar_spark.profiling import fix_bins, profile_nights, profile_reference

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row, SparkSession

log = logging.getLogger(__name__)

FROZEN_FILE = "frozen.json"
"""Copy of the result; it outlives ``result.json``, so that a cleared task freezes the same set."""
_DAY = helper("label_day")
_MATCHED = helper("has_features")


@dataclass(frozen=True, kw_only=True)
class _Day:
    """Counts of one label day: labels and those that find features, the rows to train on, and their categories."""

    matches: Matches
    count: DayCount
    categories: dict[str, list[str]]


def run(spark: SparkSession, spec: JobSpec) -> FreezeTrainingSetResult:
    """Write ``training_set.json`` and ``profile.json`` to ``spec.output``.

    Uses the given interval, and only what was known on its last night. Without an interval, as in scheduled runs, uses
    all nights. A rerun keeps the frozen set unless forced.

    Returns:
        ``rows_in``: labelled rows; ``rows_rejected``: those without features. ``metrics``: rows of each split, and the
        share of each group of labels.

    Raises:
        TrainingError: when there are no labels, too few of them find features, a split is too small, or has labels that
            cannot be trained on.
        ContractError: when a label is not allowed for the problem type.
        RowCountError: when keys are not unique.
    """
    return freeze(spark, spec, load_use_case(spec.use_case))


def freeze(spark: SparkSession, spec: JobSpec, use_case: UseCase) -> FreezeTrainingSetResult:
    """Run :func:`run` for a given use case."""
    lake = Lake(spec.lake)
    started = time.monotonic()
    if earlier := finished_result(spec, FreezeTrainingSetResult, FROZEN_FILE):
        log.info("this run has a frozen training set already, at %s", dict(earlier.inputs))
        return earlier
    versions = {
        table.name: int(lake.table(table).open().version()) for table in (use_case.feature_table, use_case.label_table)
    }
    features = read_table(spark, lake, use_case.feature_table.name, version=versions[use_case.feature_table.name])
    labels = read_table(spark, lake, use_case.label_table.name, version=versions[use_case.label_table.name])
    horizon = use_case.target.label_horizon_nights
    first_night = _first_night(lake, use_case, versions[use_case.feature_table.name], spec)
    landed = _within(labels, spec, first_night + timedelta(days=horizon))
    days = _count(features, landed, use_case)
    _check_unique(lake, use_case, versions[use_case.label_table.name], days)
    place = f"labels/{use_case.name} of {_interval(spec)}"
    matches = {day.count.day: day.matches for day in days}
    check_matched(features, landed, use_case, matches, first_night=first_night, where=place)
    counted = time.monotonic()
    splits = split_days(
        [day.count for day in days],
        use_case,
        where=place,
    )
    training_days = set(splits["train"].days)
    base, of_base = _base(lake, use_case, splits["holdout"])
    training_set = TrainingSet(
        use_case=use_case.name,
        tables=versions,
        key=use_case.key,
        features=use_case.features.columns,
        categories=_vocabularies([day for day in days if day.count.day in training_days], use_case, of_base),
        recipe=Recipe.of(use_case, base),
        label_horizon_nights=horizon,
        **splits,
    )
    nights = [night_of(day, horizon) for day in splits["train"].days]
    columns = [ProfiledColumn(feature.name, feature.kind) for feature in use_case.features.columns]
    table = use_case.feature_table.name
    watched = [feature.name for feature in use_case.features.columns if feature.drift]
    profile = profile_reference(
        spark, lake, table, columns, nights, use_case.key, watched=watched, version=versions[table]
    )
    of_training = [day.count for day in days if day.count.day in training_days]
    labels_of = _profile_labels(spark, lake, use_case, of_training, versions[use_case.label_table.name])
    profile = profile.with_column(LABEL, labels_of.columns[LABEL], labels_of.variation.get(LABEL))
    files.write_text(f"{spec.output}/{PROFILE_FILE}", profile.to_json())
    files.write_text(training_set_uri(spec), dump_json(training_set))
    labelled = sum(day.matches.labels for day in days)
    rows = sum(day.count.rows for day in days)
    for name, split in splits.items():
        log.info("%s: %s to %s, %d rows, %s", name, split.first, split.last, split.rows, listed(split.labels))
    result = FreezeTrainingSetResult(
        program=spec.program,
        spec_fingerprint=spec.fingerprint,
        rows_in=labelled,
        rows_out=rows,
        rows_rejected=labelled - rows,
        inputs=versions,
        metrics={f"{name}_rows": float(split.rows) for name, split in splits.items()}
        | {
            f"{name}_{group}_share": count / split.rows
            for name, split in splits.items()
            for group, count in split.labels.items()
        },
        training_set=training_set_uri(spec),
        seconds={"count": round(counted - started, 3), "profile": round(time.monotonic() - counted, 3)},
    )
    files.write_text(f"{spec.output}/{FROZEN_FILE}", dump_json(result))
    return result


def _profile_labels(
    spark: SparkSession, lake: Lake, use_case: UseCase, days: Sequence[DayCount], version: int
) -> Profile:
    """Return the profile of these days' labels, with their variation between days."""
    counted = [(day.rows, profile_counts(use_case.problem, day.rows, day.labels)) for day in days]
    profiles = [Profile(rows=rows, columns={LABEL: column}) for rows, column in counted if column]
    if not profiles:
        frame = read_table(spark, lake, use_case.label_table.name, nights=[day.day for day in days], version=version)
        labels, columns = frame.where("label IS NOT NULL"), [ProfiledColumn(LABEL, "numeric")]
        profiles = list(profile_nights(labels, columns, fix_bins(labels, columns)).values())
    return with_variation(merge_all(profiles), profiles)


def _interval(spec: JobSpec) -> str:
    return f"nights {spec.first_night} to {spec.last_night}" if spec.params.get("interval_given") else "all nights"


def _first_night(lake: Lake, use_case: UseCase, version: int, spec: JobSpec) -> date:
    """Return the first night with features, from the first night of the interval on."""
    table = lake.table(use_case.feature_table).open(version)
    nights = [date.fromisoformat(file.partition["ds"]) for file in active_files(table, {})]
    first = min(nights, default=spec.last_night)
    return max(first, spec.first_night) if spec.params.get("interval_given") else first


def _within(labels: DataFrame, spec: JobSpec, first: date) -> DataFrame:
    """Return the labels that landed from ``first``, before which no features are, to the last night of the interval."""
    landed = labels.where(F.col("ds") >= F.lit(first))
    return landed.where(F.col("ds") <= F.lit(spec.last_night)) if spec.params.get("interval_given") else landed


def _count(features: DataFrame, labels: DataFrame, use_case: UseCase) -> list[_Day]:
    """Count each label day, in one pass over both tables."""
    key, problem = list(use_case.key), problem_type(use_case.problem)
    categorical = [feature.name for feature in use_case.features.columns if feature.kind == "categorical"]
    inputs = features.select(
        *key,
        *(F.col(name).alias(helper(f"category_{name}")) for name in categorical),
        F.date_add("ds", use_case.target.label_horizon_nights).alias(_DAY),
        F.lit(1).alias(_MATCHED),
    )
    known = labels.where("label IS NOT NULL").select(*key, F.col("ds").alias(_DAY), "label")
    counted = (
        known.join(inputs, on=[*key, _DAY], how="left")
        .groupBy(_DAY)
        .agg(
            F.count(_MATCHED).alias("rows"),
            *count_matches(problem, F.col(_MATCHED).isNotNull()),
            F.count_if(~F.expr(problem.valid_label)).alias("invalid"),
            *(F.collect_set(helper(f"category_{name}")).alias(helper(f"category_{name}")) for name in categorical),
        )
        .orderBy(_DAY)
    )
    rows = counted.collect()
    _check_labels(rows, use_case)
    return [_day(row, problem, categorical) for row in rows]


def _day(row: Row, problem: ProblemType, categorical: Sequence[str]) -> _Day:
    matches = Matches.of(row, problem)
    return _Day(
        matches=matches,
        count=DayCount(day=row[_DAY], rows=row["rows"], labels=matches.count_labels(problem)),
        categories={name: row[helper(f"category_{name}")] for name in categorical},
    )


def _check_labels(rows: Sequence[Any], use_case: UseCase) -> None:
    invalid = {row[_DAY]: row["invalid"] for row in rows if row["invalid"]}
    if invalid:
        raise ContractError(
            f"labels are not allowed for a {use_case.problem.kind} problem: they must be null, or "
            f"{problem_type(use_case.problem).valid_label}",
            where=f"labels/{use_case.name}, first on {min(invalid)}",
            how_many=sum(invalid.values()),
            fix="correct the label's definition and build the features of those nights again",
        )


def _check_unique(lake: Lake, use_case: UseCase, version: int, days: Sequence[_Day]) -> None:
    """Check that keys are unique: the left join with the features must keep the number of labelled rows."""
    labels = lake.table(use_case.label_table).read_nights([day.count.day for day in days], ["label"], version)["label"]
    labelled, joined = len(labels) - labels.null_count, sum(day.matches.labels for day in days)
    if joined != labelled:
        raise RowCountError(
            f"{labelled} labelled rows became {joined} when joined with their features",
            where=f"features/{use_case.name}",
            how_many=joined - labelled,
            fix="find the duplicate keys and build the features of those nights again",
        )


def _base(lake: Lake, use_case: UseCase, holdout: Split) -> tuple[Base | None, Mapping[str, Sequence[str]]]:
    """Return the base of a warm start, copied to the lake, and its vocabularies; None and empty without one."""
    declared = use_case.training.warm_start
    if declared is None:
        return None, {}
    version = models.resolve(use_case.name, declared.version) if declared.version else models.champion(use_case.name)
    if version is None:
        log.warning("WARNING %s has no champion for a warm start: this training starts without a base", use_case.name)
        return None, {}
    version = full_model(version)
    model, uri = models.ship(version, lake)
    if not model.card.seen:
        log.warning(
            "WARNING the training days of version %s are not known; they may include the holdout", version.version
        )
    check_holdout_is_unseen(
        model.card.seen,
        holdout,
        label_horizon_nights=use_case.target.label_horizon_nights,
        version=version.version,
        use_case=use_case.name,
    )
    log.info("warm start from version %s, at %s", version.version, uri)
    base = Base(version=version.version, sha256=version.sha256, frozen_layers=declared.frozen_layers)
    return base, model.card.categories


def full_model(version: models.ModelVersion) -> models.ModelVersion:
    """Return the version, or the full model of its training if it is a compressed model.

    Raises:
        ModelError: when the full model is not registered.
    """
    variant = version.tags.get(models.VARIANT_TAG, FULL)
    if variant == FULL:
        return version
    training_tags = {tag: version.tags.get(tag, "") for tag in (models.RUN_TAG, models.FINGERPRINT_TAG)}
    full = models.find(version.name, {**training_tags, models.VARIANT_TAG: FULL})
    if full is None:
        raise ModelError(
            f"version {version.version} of {version.name} is compressed ({variant}), and the full model of its "
            "training is not registered",
            where="training.warm_start of the use case",
            fix="name a version of a full model (WarmStart.version), or leave training.warm_start out",
        )
    log.info("version %s is the full model of version %s (%s)", full.version, version.version, variant)
    return full


def _vocabularies(
    days: Sequence[_Day], use_case: UseCase, of_base: Mapping[str, Sequence[str]]
) -> dict[str, tuple[str, ...]]:
    """Return the sorted values of each category; values of the base come first, in its order."""
    vocabularies = {}
    for feature in use_case.features.columns:
        if feature.kind == "categorical":
            known = of_base.get(feature.name, ())
            new = {value for day in days for value in day.categories[feature.name]}.difference(known)
            vocabularies[feature.name] = (*known, *sorted(new))
    return vocabularies


if __name__ == "__main__":
    main(run)
