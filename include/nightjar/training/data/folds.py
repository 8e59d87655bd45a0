"""Time-ordered cross-validation: each fold trains on the past and is judged on what came after. Nothing is shuffled."""

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
        validation: Later days to judge by.
    """

    train: tuple[date, ...]
    validation: tuple[date, ...]


def forward_chain(days: Sequence[date], *, folds: int, gap_days: int, where: str) -> tuple[Fold, ...]:
    """Cut ascending ``days`` into ``folds + 1`` blocks; each but the first validates what all days before it train.

    Blocks that validate are of one length, follow each other without a hole, and end with the last day; the first block
    takes what is left over. It is the rolling origin of Tashman (2000), with an origin that stays at the first day.

    Args:
        days: Label days with rows, ascending.
        folds: Number of folds.
        gap_days: Calendar days before a block that it does not train on: their labels are not known when it begins.
        where: What the reader has to look at when it does not work.

    Raises:
        TrainingError: when there are too few days for a fold to train or to validate.
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
