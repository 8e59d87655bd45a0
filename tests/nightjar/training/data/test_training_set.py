"""Days are split by the calendar, and splits that cannot train are refused."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from nightjar.declaration.features import Feature
from nightjar.declaration.gate import Gate
from nightjar.declaration.problem import Cost
from nightjar.declaration.spaces import Choice, FloatRange, IntRange
from nightjar.declaration.training import Boosting, Network, Pruning, Selection, Training, Tuning
from nightjar.protocol.documents import dump_json, load_json
from nightjar.protocol.errors import TrainingError
from nightjar.training.data.training_set import DayCount, TrainingSet, night_of, split_days
from nightjar.training.recipe import Base, Recipe

FIRST = date(2013, 3, 1)
TRAINING = Training(holdout_days=3, validation_days=2)
GATE = Gate(floors={}, min_holdout_rows=30)


def _days(n: int, rows: int = 10, positives: int = 4) -> list[DayCount]:
    return [DayCount(day=FIRST + timedelta(days=i), rows=rows, positives=positives) for i in range(n)]


def test_the_last_days_are_the_holdout_and_those_before_validate() -> None:
    splits = split_days(_days(9), TRAINING, GATE, where="here")
    assert (splits["train"].first, splits["train"].last) == (date(2013, 3, 1), date(2013, 3, 4))
    assert (splits["validation"].first, splits["validation"].last) == (date(2013, 3, 5), date(2013, 3, 6))
    assert (splits["holdout"].first, splits["holdout"].last) == (date(2013, 3, 7), date(2013, 3, 9))
    assert [(s.rows, s.positives, len(s.days)) for s in splits.values()] == [(40, 16, 4), (20, 8, 2), (30, 12, 3)]


def test_a_missing_day_does_not_shift_the_calendar() -> None:
    days = [day for day in _days(9, rows=20, positives=8) if day.day != date(2013, 3, 8)]
    splits = split_days(days, TRAINING, GATE, where="here")
    assert splits["holdout"].days == (date(2013, 3, 7), date(2013, 3, 9))


@pytest.mark.parametrize(
    ("days", "message"),
    [
        ([], "no labelled rows"),
        (_days(5), "train split has 0 labelled rows"),
        (_days(9, rows=9), "holdout split has 27 labelled rows, fewer than 30"),
        (_days(9, positives=0), "train split has one class only: 0 of 40"),
        (_days(9, positives=10), "train split has one class only: 40 of 40"),
        (_days(6) + _days(9, positives=0)[6:], "holdout split has one class only: 0 of 30"),
    ],
)
def test_splits_that_cannot_train_are_refused(days: list[DayCount], message: str) -> None:
    with pytest.raises(TrainingError, match=message) as caught:
        split_days(days, TRAINING, GATE, where="labels/x")
    assert "labels/x" in caught.value.where


def test_a_training_set_survives_json_to_the_byte() -> None:
    training_set = TrainingSet(
        use_case="flight_delay",
        tables={"features/flight_delay": 3, "labels/flight_delay": 2},
        key=("flight_date", "flight"),
        features=(Feature("carrier", "categorical", "Carrier."), Feature("distance", "numeric", "Miles.", drift=False)),
        categories={"carrier": ("AA", "UA")},
        recipe=Recipe(
            engines=(
                Boosting(
                    params={"eta": 0.5, "max_depth": 4, "grow_policy": "depthwise", "monotone_constraints": (0, 1)},
                    space={
                        "eta": FloatRange(0.1, 1, log=True),
                        "max_depth": IntRange(2, 8),
                        "grow_policy": Choice(("depthwise", "lossguide")),
                    },
                ),
                Network(hidden=(8, 4)),
            ),
            seed=7,
            balance_classes=True,
            calibration="best",
            tuning=Tuning(trials=5),
            selection=Selection(method="permutation"),
            base=Base(version="3", sha256="abc", frozen_layers=1),
            compression=("int8", "distilled"),
            pruning=Pruning(share=0.25, epochs=2),
            student=Boosting(params={"max_depth": 2}, num_rounds=7),
            cost=Cost(missed=100, false_alarm=20),
        ),
        **split_days(_days(9), TRAINING, GATE, where="here"),
    )
    again = load_json(TrainingSet, dump_json(training_set))
    assert again == training_set
    assert dump_json(again) == dump_json(training_set)


def test_labels_belong_to_the_night_before() -> None:
    assert night_of(date(2013, 3, 1)) == date(2013, 2, 28)
