"""Time-ordered cross-validation: each fold trains on earlier days and validates on later days, without shuffling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from nightjar.protocol.errors import TrainingError


@dataclass(frozen=True, kw_only=True)
class Fold:
    """One split of label days, both parts ascending.

    Attributes:
        train: Days to fit.
        validation: Later days to validate.
    """

    train: tuple[date, ...]
    validation: tuple[date, ...]


def forward_chain(days: Sequence[date], *, folds: int, gap_days: int, where: str) -> tuple[Fold, ...]:
    """Cut ascending ``days`` into ``folds + 1`` blocks; each except the first validates the days before it.

    Validation blocks have the same length, are adjacent, and end with the last day; the first block has the remaining
    days. This is the rolling-origin evaluation of Tashman (2000) with a fixed first day.

    Args:
        days: Label days with rows, ascending.
        folds: Number of folds.
        gap_days: Calendar days before a block that are left out, because their labels are not known when it starts;
            at least the horizon of the labels less one (see ``split_days``).
        where: Location for the error.

    Raises:
        TrainingError: when a fold has no days to train or to validate.
    """
    size = len(days) // (folds + 1)
    starts = [len(days) - size * blocks for blocks in range(folds, 0, -1)]
    chain = tuple(
        Fold(
            train=tuple(day for day in days if day < days[start] - timedelta(days=gap_days)),
            validation=tuple(days[start : start + size]),
        )
        for start in starts
        if size
    )
    if not chain or not chain[0].train:
        raise TrainingError(
            f"{len(days)} training days are too few for {folds} folds with a gap of {gap_days} days",
            where=where,
            how_many=len(days),
            fix="load more nights, widen the interval, or declare fewer folds or a smaller gap in training.tuning",
        )
    return chain
