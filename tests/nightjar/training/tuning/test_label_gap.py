"""Folds of tuning and of feature selection leave out the days whose labels land during their validation."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from tests.training_sets import count_labels, training_set

from nightjar.declaration.features import Feature
from nightjar.declaration.training import Tuning
from nightjar.lake.lake import Lake
from nightjar.training.data.shards import Shard
from nightjar.training.data.training_set import Split, TrainingSet
from nightjar.training.tuning import selection, trial

DAYS = tuple(date(2025, 1, 1) + timedelta(days=number) for number in range(40))
MONTHLY = replace(
    training_set((Feature("amount", "numeric", "Amount."),)),
    train=Split(first=DAYS[0], last=DAYS[-1], days=DAYS, rows=80, labels={"positives": 40}),
    label_horizon_nights=5,
)


def _read_shard(lake: Lake, found: TrainingSet, split: Split) -> Shard:
    """Two rows a day, whose only feature is the day's number."""
    shard = Shard(columns=1, count_labels=count_labels)
    for number in range(len(split.days)):
        shard.append(np.full((2, 1), number, dtype=np.float32), np.array([0, 1], dtype=np.float32))
    return shard


def _days(shard: Shard) -> list[int]:
    return [int(matrix[0, 0]) for matrix, _ in shard.batches()]


@pytest.mark.parametrize(("declared", "gap"), [(None, 5), (4, 4), (7, 7)])
def test_folds_leave_out_the_horizon_or_what_is_declared(
    monkeypatch: pytest.MonkeyPatch, declared: int | None, gap: int
) -> None:
    monkeypatch.setattr(trial, "read_shard", _read_shard)
    folds = trial.read_folds(Lake("x"), MONTHLY, Tuning(folds=3, gap_days=declared), where="here")
    assert [_days(fold.validation)[0] - _days(fold.train)[-1] - 1 for fold in folds] == [gap] * 3


def test_selection_leaves_out_the_horizon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "read_shard", _read_shard)
    train, judge = selection.split_rows(Lake("x"), MONTHLY, where="here")
    assert _days(judge)[0] - _days(train)[-1] - 1 == 5
