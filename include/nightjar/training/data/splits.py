"""Split label days into training, validation and holdout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta

from nightjar.declaration.rows import Rows
from nightjar.declaration.use_case import UseCase
from nightjar.problems.registry import problem_type
from nightjar.protocol.errors import TrainingError
from nightjar.training.data.training_set import DayCount, Split, night_of


def split_days(counts: Sequence[DayCount], use_case: UseCase, *, where: str) -> dict[str, Split]:
    """Split label days in time order into train, validation and holdout, with gaps between them.

    No label of a part may land after the first features of the next part, as a model that scored them could not have
    known it. With a horizon of H nights, the features of a part that begins on label day V are those of night V - H. So
    the part before it ends on label day V - H, and the H - 1 days between them belong to no part. With H = 1 parts are
    adjacent.

    Args:
        counts: Labelled rows by label day.
        use_case: Declares the days of validation and holdout, the minimum number of holdout rows, the label horizon and
            the problem.
        where: Location for the error.

    Raises:
        TrainingError: without labels, or when a part is empty or has labels that cannot be trained on.
    """
    training, label_horizon_nights = use_case.training, use_case.target.label_horizon_nights
    counts = sorted((count for count in counts if count.rows), key=lambda count: count.day)
    if not counts:
        raise TrainingError(
            "there are no labelled rows",
            where=where,
            how_many=0,
            fix=f"load more nights first (the labels of a night land {_later(label_horizon_nights)}), or widen the "
            "interval",
        )
    first, last = counts[0].day, counts[-1].day
    holdout = last - timedelta(days=training.holdout_days - 1)
    validated_until = night_of(holdout, label_horizon_nights)
    validation = validated_until - timedelta(days=training.validation_days - 1)
    trained_until = night_of(validation, label_horizon_nights)
    bounds = {
        "train": (max(first, _first_fitted(counts, trained_until, training.rows)), trained_until),
        "validation": (validation, validated_until),
        "holdout": (holdout, last),
    }
    splits = {name: _split(counts, low, high) for name, (low, high) in bounds.items()}
    gap = label_horizon_nights - 1
    place = f"{where} (with gaps of {gap} days between the parts, for label_horizon_nights={gap + 1})" if gap else where
    for name, split in splits.items():
        _check_split(name, split, use_case, place)
    return splits


def _first_fitted(counts: Sequence[DayCount], last: date, declared: Rows) -> date:
    """Return the first label day to fit: that of the window, or of the newest days with at most ``max_rows`` rows."""
    first = date.min if declared.window_days is None else last - timedelta(days=declared.window_days - 1)
    rows = 0
    for count in reversed([count for count in counts if count.day <= last]):
        rows += count.rows
        if declared.max_rows is not None and rows > declared.max_rows:
            return max(first, min(count.day + timedelta(days=1), last))
    return first


def _later(nights: int) -> str:
    return "on the night after" if nights == 1 else f"{nights} nights later"


def _split(counts: Sequence[DayCount], first: date, last: date) -> Split:
    inside = [count for count in counts if first <= count.day <= last]
    labels: Counter[str] = Counter()
    for count in inside:
        labels.update(count.labels)
    return Split(
        first=first,
        last=last,
        days=tuple(count.day for count in inside),
        rows=sum(count.rows for count in inside),
        labels=dict(labels),
    )


def _check_split(name: str, split: Split, use_case: UseCase, where: str) -> None:
    least = use_case.gate.min_holdout_rows if name == "holdout" else 1
    place = f"{where}, {name} days {split.first} to {split.last}"
    if split.rows < least:
        raise TrainingError(
            f"the {name} split has {split.rows} labelled rows, fewer than {least}",
            where=place,
            how_many=split.rows,
            fix="load more nights, widen the interval, or shorten holdout_days and validation_days of the use case",
        )
    problem = problem_type(use_case.problem)
    obstacle = problem.obstacle_to_training if name == "train" else problem.obstacle_to_measuring
    if reason := obstacle(split.rows, split.labels):
        raise TrainingError(
            f"the {name} split has {reason}",
            where=place,
            how_many=split.rows,
            fix="check the label, or widen the interval until all kinds of labels occur",
        )
