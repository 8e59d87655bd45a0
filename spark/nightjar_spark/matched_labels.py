"""Check that enough labels find their features; if not, look for the horizon with which they would."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from nightjar.declaration.use_case import UseCase
from nightjar.protocol.errors import TrainingError
from nightjar.protocol.names import helper
from nightjar.protocol.nights import first_few

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

MAX_HORIZON = 60
"""Longest horizon, in nights, that is tried for labels without features."""
SAMPLE_LABELS = 50_000
"""Approximate number of labels that are compared with the features of each earlier night."""
_BUCKETS = 2**20
_MIN_COMPARED_SHARE = 0.1
_EXAMPLES = 3
_NIGHT, _HORIZON = helper("features_night"), helper("horizon")


@dataclass(frozen=True, kw_only=True)
class Matches:
    """Labels, and how many of them find their features.

    Attributes:
        labels: Number of labels.
        positives: Labels with the value 1.
        matched: Labels with features.
        matched_positives: Labels with the value 1 and with features.
    """

    labels: int
    positives: int
    matched: int
    matched_positives: int

    @property
    def groups(self) -> dict[str, tuple[int, int]]:
        """Number of labels and of matched ones: of all labels, and of each value.

        Labels are rarely lost at random: with a wrong horizon, customers who have left find no features, and those who
        stay do.
        """
        return {
            "labels": (self.labels, self.matched),
            "labels with the value 1": (self.positives, self.matched_positives),
            "labels with the value 0": (self.labels - self.positives, self.matched - self.matched_positives),
        }

    @property
    def share(self) -> float:
        """Smallest matched share of a group; 1 without labels."""
        return min((matched / labels for labels, matched in self.groups.values() if labels), default=1.0)


def check_matched(
    features: DataFrame,
    labels: DataFrame,
    use_case: UseCase,
    days: Mapping[date, Matches],
    *,
    first_night: date,
    where: str,
) -> None:
    """Check that at least ``Target.min_matched_share`` of the labels find their features.

    Args:
        features: Feature table.
        labels: The labels that were counted; nulls are left out.
        use_case: Declares the key, the horizon and the minimum share.
        days: Label day to its counts.
        first_night: First night of the features.
        where: Location for the error.

    Raises:
        TrainingError: with the number, days and first keys of the labels without features, and the horizon with which
            they would match, if there is one.
    """
    total = Matches(
        labels=sum(day.labels for day in days.values()),
        positives=sum(day.positives for day in days.values()),
        matched=sum(day.matched for day in days.values()),
        matched_positives=sum(day.matched_positives for day in days.values()),
    )
    target = use_case.target
    if total.share >= target.min_matched_share:
        return
    group, (count, matched) = next(
        (name, (count, matched))
        for name, (count, matched) in total.groups.items()
        if count and matched / count < target.min_matched_share
    )
    known = labels.where("label IS NOT NULL")
    lost_days = [day for day in sorted(days) if days[day].groups[group][0] > days[day].groups[group][1]]
    horizon = target.label_horizon_nights
    raise TrainingError(
        f"{count - matched} of {count} {group} find no features of their key from {horizon} "
        f"{'night' if horizon == 1 else 'nights'} before they landed: {matched / count:.1%} match, less than the "
        f"min_matched_share of {target.min_matched_share:.1%}",
        where=f"{where}, {len(lost_days)} label days: {first_few(lost_days)}; first keys: "
        + ", ".join(_first_keys(features, known, use_case, group)),
        how_many=count - matched,
        fix=f"{_advice(features, known, use_case, total, first_night)}, build the features of these nights, or lower "
        "min_matched_share in the use case's Target",
    )


def _first_keys(features: DataFrame, labels: DataFrame, use_case: UseCase, group: str) -> list[str]:
    """Return the first keys of a group's labels without features, as text."""
    key = list(use_case.key)
    night = F.date_add("ds", use_case.target.label_horizon_nights)
    value = {"labels with the value 1": "label = 1", "labels with the value 0": "label = 0"}.get(group, "true")
    served = features.select(*key, night.alias("ds"))
    lost = labels.where(value).join(served, on=[*key, "ds"], how="left_anti")
    rows = lost.orderBy("ds", *key).select(*key).limit(_EXAMPLES).collect()
    return [" ".join(f"{name}={row[name]}" for name in key) for row in rows]


def _advice(features: DataFrame, labels: DataFrame, use_case: UseCase, total: Matches, first_night: date) -> str:
    """Return the advice to declare the horizon with which most labels match, or that there is none."""
    shares = _shares_by_horizon(features, labels, use_case, total.labels, first_night)
    best = max(shares, key=lambda horizon: (shares[horizon], -horizon), default=None)
    if best is None or shares[best] < use_case.target.min_matched_share:
        return f"check Target.label_horizon_nights (none up to {MAX_HORIZON} would match enough labels)"
    return f"declare Target(label_horizon_nights={best}), with which {shares[best]:.0%} would match"


def _shares_by_horizon(
    features: DataFrame, labels: DataFrame, use_case: UseCase, count: int, first_night: date
) -> dict[int, float]:
    """Return the matched share of a sample of labels for each horizon, without those with too few labels to tell."""
    key = list(use_case.key)
    in_sample = F.pmod(F.xxhash64(*key), F.lit(_BUCKETS)) < -(-_BUCKETS * SAMPLE_LABELS // max(count, 1))
    tried = (
        labels.where(in_sample)
        .select(*key, "ds", "label", F.explode(F.sequence(F.lit(1), F.lit(MAX_HORIZON))).alias(_HORIZON))
        .withColumn(_NIGHT, F.date_sub("ds", F.col(_HORIZON)))
        .where(F.col(_NIGHT) >= F.lit(first_night))
    )
    served = features.where(in_sample).select(*key, F.col("ds").alias(_NIGHT), F.lit(1.0).alias("found"))
    rows = (
        tried.join(served, on=[*key, _NIGHT], how="left")
        .groupBy(_HORIZON)
        .agg(
            F.count(F.lit(1)).alias("labels"),
            F.sum("label").alias("positives"),
            F.count("found").alias("matched"),
            F.coalesce(F.sum(F.col("found") * F.col("label")), F.lit(0.0)).alias("matched_positives"),
        )
        .collect()
    )
    enough = _MIN_COMPARED_SHARE * max((row["labels"] for row in rows), default=0)
    return {
        row[_HORIZON]: Matches(
            labels=row["labels"],
            positives=int(row["positives"]),
            matched=row["matched"],
            matched_positives=int(row["matched_positives"]),
        ).share
        for row in rows
        if row["labels"] >= enough
    }
