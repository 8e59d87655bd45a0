"""Profiles of a night for `report_drift`: features, predictions and landed labels in the reference's bins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from nightjar.declaration.experiment import CHAMPION
from nightjar.declaration.use_case import UseCase
from nightjar.lake.lake import Lake
from nightjar.monitoring.profiles.profile import Profile, ProfiledColumn
from nightjar.monitoring.profiles.reference import LABEL, PREDICTION
from nightjar.monitoring.profiles.sample import NIGHT_ROWS, Sample
from nightjar.monitoring.profiles.summarize import count_categories
from nightjar.protocol.errors import GateError
from nightjar_spark.io import read_table
from nightjar_spark.profiling import profile_and_sample, profile_nights, profile_table

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_IDENTITY = ("model_name", "model_version", "model_sha256")


@dataclass(frozen=True, kw_only=True)
class Counted:
    """A night's profile and scoring model.

    Attributes:
        profile: Its features, and its predictions and labels if the reference has them.
        sample: A sample of its rows; None when the reference has none to compare with.
        model_name: Registered name of the scoring model.
        model_version: Its version.
        model_sha256: SHA-256 of its files.
    """

    profile: Profile
    sample: Sample | None
    model_name: str
    model_version: str
    model_sha256: str


def count_nights(
    spark: SparkSession,
    lake: Lake,
    use_case: UseCase,
    nights: Sequence[date],
    versions: Mapping[str, int],
    reference: Profile,
) -> dict[date, Counted]:
    """Profile each night, in one pass over each table.

    Args:
        spark: The session.
        lake: The lake.
        use_case: The use case.
        nights: The nights.
        versions: Table to the version to read; labels only if they are named.
        reference: Profile that gives the bins.

    Raises:
        GateError: when a night has no features or no scores, or scores of several models.
    """
    scored = _scored(spark, lake, use_case, nights, versions, reference)
    features, samples = _features(spark, lake, use_case, nights, versions, reference)
    labels = _labels(spark, lake, use_case, nights, versions, reference)
    counted = {}
    for night in nights:
        profile = features[night]
        for name, source in ((PREDICTION, scored[night]), (LABEL, labels.get(night))):
            if source and name in source.columns:
                profile = profile.with_column(name, source.columns[name])
        identity = {name: scored[night].columns[name].unlisted[0] for name in _IDENTITY}
        counted[night] = Counted(profile=profile, sample=samples.get(night), **identity)
    return counted


def _scored(
    spark: SparkSession,
    lake: Lake,
    use_case: UseCase,
    nights: Sequence[date],
    versions: Mapping[str, int],
    reference: Profile,
) -> Mapping[date, Profile]:
    """Return the scoring model of each night and its predictions in the reference's bins."""
    table = use_case.score_table.name
    columns = [ProfiledColumn(name, "categorical") for name in _IDENTITY]
    bins = Profile(rows=0, columns={name: count_categories({}, ()) for name in _IDENTITY})
    if PREDICTION in reference.columns:
        columns.append(ProfiledColumn(PREDICTION, reference.columns[PREDICTION].kind))
        bins = bins.with_column(PREDICTION, reference.columns[PREDICTION])
    if use_case.scoring.experiment:
        frame = read_table(spark, lake, table, nights=nights, version=versions[table])
        frame = frame.where(F.coalesce("variant", F.lit(CHAMPION)) == CHAMPION)
        profiles = profile_nights(frame, columns, bins)
    else:
        profiles = profile_table(spark, lake, table, columns, bins, nights=nights, version=versions[table])
    invalid = [
        str(night)
        for night in nights
        if night not in profiles or any(len(profiles[night].columns[name].unlisted) != 1 for name in _IDENTITY)
    ]
    if invalid:
        raise GateError(
            "no published scores, or scores of several models",
            where=f"{table}, {', '.join(invalid)}",
            how_many=len(invalid),
            fix="clear the tasks score to publish_scores of these nights",
        )
    return profiles


def _features(
    spark: SparkSession,
    lake: Lake,
    use_case: UseCase,
    nights: Sequence[date],
    versions: Mapping[str, int],
    reference: Profile,
) -> tuple[Mapping[date, Profile], Mapping[date, Sample]]:
    """Return each night's features in the reference's bins and a sample of its rows."""
    table = use_case.feature_table.name
    columns = [ProfiledColumn(feature.name, feature.kind) for feature in use_case.features.columns]
    rows = dict.fromkeys(nights, NIGHT_ROWS if reference.sample else 0)
    profiles, samples = profile_and_sample(
        spark, lake, table, columns, reference, rows, use_case.key, version=versions[table]
    )
    if empty := [str(night) for night in nights if night not in profiles]:
        raise GateError(
            "nights have no feature rows",
            where=f"{table}, {', '.join(empty)}",
            how_many=len(empty),
            fix="clear the task build_features of these nights",
        )
    return profiles, samples


def _labels(
    spark: SparkSession,
    lake: Lake,
    use_case: UseCase,
    nights: Sequence[date],
    versions: Mapping[str, int],
    reference: Profile,
) -> Mapping[date, Profile]:
    """Return the labels that landed with each night, without nulls, as in training."""
    table = use_case.label_table.name
    if table not in versions or LABEL not in reference.columns:
        return {}
    columns, landed = [ProfiledColumn(LABEL, reference.columns[LABEL].kind)], {}
    profiles = profile_table(spark, lake, table, columns, reference, nights=nights, version=versions[table])
    for night, profile in profiles.items():
        column = profile.columns[LABEL]
        if column.values:
            known = replace(column, rows=column.values, nulls=0)
            landed[night] = Profile(rows=known.rows, columns={LABEL: known})
    return landed
