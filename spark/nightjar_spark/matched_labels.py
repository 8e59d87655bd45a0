"""Check that enough labels find their features; if not, look for the horizon with which they would."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from nightjar.declaration.use_case import UseCase
from nightjar.problems.problem_type import ProblemType
from nightjar.problems.registry import problem_type
from nightjar.protocol.errors import TrainingError
from nightjar.protocol.names import helper
from nightjar.protocol.nights import first_few

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, Row

MAX_HORIZON = 60
"""Longest horizon, in nights, that is tried for labels without features."""
SAMPLE_LABELS = 50_000
"""Approximate number of labels that are compared with the features of each earlier night."""
_BUCKETS = 2**20
_MIN_COMPARED_SHARE = 0.1
_EXAMPLES = 3
_NIGHT, _HORIZON, _FOUND = helper("features_night"), helper("horizon"), helper("found")


ALL_LABELS = "labels"
MIN_GROUP_LABELS = 20
"""Minimum number of labels of a group that is looked at by itself; fewer are without features by chance."""


def groups_of(problem: ProblemType) -> dict[str, str]:
    """Return groups of labels, each with its SQL condition: all labels, each group that is counted, and the others.

    Labels are rarely lost at random: with a wrong horizon, customers who have left find no features, and those who stay
    do.
    """
    counted = list(problem.label_counts.values())
    return {
        ALL_LABELS: "true",
        **{f"labels with {condition}": condition for condition in counted},
        "other labels": " AND ".join(f"NOT ({condition})" for condition in counted),
    }


def count_matches(problem: ProblemType, is_matched: Column) -> list[Column]:
    """Return columns that count the labels of each group, and those for which ``is_matched`` holds."""
    conditions = [F.expr(condition) for condition in groups_of(problem).values()]
    return [
        *(F.count_if(condition).alias(_landed(i)) for i, condition in enumerate(conditions)),
        *(F.count_if(condition & is_matched).alias(_matched(i)) for i, condition in enumerate(conditions)),
    ]


@dataclass(frozen=True, kw_only=True)
class Matches:
    """Labels of each group of :func:`groups_of`, and how many of them find their features.

    Attributes:
        landed: Number of labels.
        matched: Number of labels with features.
    """

    landed: Mapping[str, int]
    matched: Mapping[str, int]

    @classmethod
    def of(cls, row: Row, problem: ProblemType) -> Matches:
        """Return the counts of a row with the columns of :func:`count_matches`."""
        groups = groups_of(problem)
        return cls(
            landed={group: row[_landed(i)] for i, group in enumerate(groups)},
            matched={group: row[_matched(i)] for i, group in enumerate(groups)},
        )

    @classmethod
    def add_up(cls, parts: Collection[Matches]) -> Matches:
        """Add the counts of several parts."""
        landed: Counter[str] = Counter({ALL_LABELS: 0})
        matched: Counter[str] = Counter({ALL_LABELS: 0})
        for part in parts:
            landed.update(part.landed)
            matched.update(part.matched)
        return cls(landed=landed, matched=matched)

    @property
    def labels(self) -> int:
        """Number of all labels."""
        return self.landed[ALL_LABELS]

    @property
    def shares(self) -> dict[str, float]:
        """Matched share of all labels, and of each group that has enough labels."""
        return {
            group: self.matched[group] / labels
            for group, labels in self.landed.items()
            if labels and (group == ALL_LABELS or labels >= MIN_GROUP_LABELS)
        }

    @property
    def share(self) -> float:
        """Smallest matched share of a group; 1 without labels."""
        return min(self.shares.values(), default=1.0)

    def count_labels(self, problem: ProblemType) -> dict[str, int]:
        """Return the matched labels of each group that the problem counts, by its name."""
        return {name: self.matched[f"labels with {condition}"] for name, condition in problem.label_counts.items()}


def _landed(group: int) -> str:
    return helper(f"landed_{group}")


def _matched(group: int) -> str:
    return helper(f"matched_{group}")


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
    total, target = Matches.add_up(days.values()), use_case.target
    if total.share >= target.min_matched_share:
        return
    group = next(group for group, share in total.shares.items() if share < target.min_matched_share)
    count, matched = total.landed[group], total.matched[group]
    known = labels.where("label IS NOT NULL")
    lost_days = [day for day in sorted(days) if days[day].landed[group] > days[day].matched[group]]
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
    condition = groups_of(problem_type(use_case.problem))[group]
    served = features.select(*key, night.alias("ds"))
    lost = labels.where(condition).join(served, on=[*key, "ds"], how="left_anti")
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
    key, problem = list(use_case.key), problem_type(use_case.problem)
    in_sample = F.pmod(F.xxhash64(*key), F.lit(_BUCKETS)) < -(-_BUCKETS * SAMPLE_LABELS // max(count, 1))
    tried = (
        labels.where(in_sample)
        .select(*key, "ds", "label", F.explode(F.sequence(F.lit(1), F.lit(MAX_HORIZON))).alias(_HORIZON))
        .withColumn(_NIGHT, F.date_sub("ds", F.col(_HORIZON)))
        .where(F.col(_NIGHT) >= F.lit(first_night))
    )
    served = features.where(in_sample).select(*key, F.col("ds").alias(_NIGHT), F.lit(1).alias(_FOUND))
    rows = (
        tried.join(served, on=[*key, _NIGHT], how="left")
        .groupBy(_HORIZON)
        .agg(*count_matches(problem, F.col(_FOUND).isNotNull()))
        .collect()
    )
    by_horizon = {row[_HORIZON]: Matches.of(row, problem) for row in rows}
    enough = _MIN_COMPARED_SHARE * max((matches.labels for matches in by_horizon.values()), default=0)
    return {horizon: matches.share for horizon, matches in by_horizon.items() if matches.labels >= enough}
