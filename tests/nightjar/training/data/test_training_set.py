"""Days are split by the calendar, and splits that cannot train are refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.declarations import with_fields
from tests.landed_nights import SHOP

from nightjar.declaration.engines import Boosting, Network
from nightjar.declaration.features import Feature
from nightjar.declaration.gate import Gate
from nightjar.declaration.problem import (
    Binary,
    Cost,
    CostMatrix,
    Multiclass,
    Problem,
    QuantileCost,
    Regression,
)
from nightjar.declaration.rows import Rows
from nightjar.declaration.spaces import Choice, FloatRange, IntRange
from nightjar.declaration.training import Pruning, Selection, Training, Tuning
from nightjar.protocol.documents import dump_json, load_json
from nightjar.protocol.errors import TrainingError
from nightjar.training.data.splits import split_days
from nightjar.training.data.training_set import DayCount, TrainingSet, night_of
from nightjar.training.recipe import Base, Recipe

FIRST = date(2013, 3, 1)
USE_CASE = replace(SHOP, training=Training(holdout_days=3, validation_days=2), gate=Gate(min_holdout_rows=30))
CLASSES = Multiclass(classes=("kept", "returned", "swapped"))
COUNT = Regression(unit="pieces", loss="poisson")
BAND = Regression(unit="days", loss="quantile", quantiles=(0.1, 0.5, 0.9), cost=QuantileCost(under=3, over=1))
PROBLEMS = (
    Binary(),
    Binary(cost=Cost(missed=100, false_alarm=20)),
    replace(CLASSES, cost=CostMatrix(costs={"kept": {"returned": 2.0}})),
    Regression(unit="EUR", loss="tweedie", tweedie_power=1.2),
    BAND,
)


def _days(n: int, rows: int = 10, **labels: int) -> list[DayCount]:
    """Days of 4 positives among 10 rows, or with other ``labels``."""
    return [DayCount(day=FIRST + timedelta(days=i), rows=rows, labels=labels or {"positives": 4}) for i in range(n)]


def test_a_window_keeps_the_last_training_days_and_leaves_validation_and_holdout_as_they_are() -> None:
    windowed = replace(USE_CASE, training=replace(USE_CASE.training, rows=Rows(window_days=2)))
    splits, whole = (split_days(_days(9), case, where="here") for case in (windowed, USE_CASE))
    assert splits["train"].days == (date(2013, 3, 3), date(2013, 3, 4))
    assert (splits["validation"], splits["holdout"]) == (whole["validation"], whole["holdout"])
    longer = replace(USE_CASE, training=replace(USE_CASE.training, rows=Rows(window_days=50)))
    assert split_days(_days(9), longer, where="here") == whole


def test_the_last_days_are_the_holdout_and_those_before_validate() -> None:
    splits = split_days(_days(9), USE_CASE, where="here")
    assert (splits["train"].first, splits["train"].last) == (date(2013, 3, 1), date(2013, 3, 4))
    assert (splits["validation"].first, splits["validation"].last) == (date(2013, 3, 5), date(2013, 3, 6))
    assert (splits["holdout"].first, splits["holdout"].last) == (date(2013, 3, 7), date(2013, 3, 9))
    assert [(split.rows, split.labels, len(split.days)) for split in splits.values()] == [
        (40, {"positives": 16}, 4), (20, {"positives": 8}, 2), (30, {"positives": 12}, 3)
    ]  # fmt: skip


def test_a_missing_day_does_not_shift_the_calendar() -> None:
    days = [day for day in _days(9, rows=20, positives=8) if day.day != date(2013, 3, 8)]
    splits = split_days(days, USE_CASE, where="here")
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
        split_days(days, USE_CASE, where="labels/x")
    assert "labels/x" in caught.value.where


@pytest.mark.parametrize(
    ("problem", "days", "message"),
    [
        (
            CLASSES,
            _days(9, rows_kept=6, rows_returned=4, rows_swapped=0),
            "train split has classes without a label: swapped, among 40 labels",
        ),
        (
            CLASSES,
            _days(6, rows_kept=5, rows_returned=3, rows_swapped=2)
            + _days(9, rows_kept=10, rows_returned=0, rows_swapped=0)[6:],
            "holdout split has fewer than two classes: 30 labels are kept",
        ),
        (COUNT, _days(9, positive=0, negative=0), "train split has no signal: all 40 labels are 0"),
    ],
)
def test_splits_without_the_labels_that_the_problem_needs_are_refused(
    problem: Problem, days: list[DayCount], message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        split_days(days, replace(USE_CASE, problem=problem), where="labels/x")


def test_a_holdout_need_not_have_every_class() -> None:
    days = _days(6, rows_kept=5, rows_returned=3, rows_swapped=2)
    days += _days(9, rows_kept=7, rows_returned=3, rows_swapped=0)[6:]
    splits = split_days(days, replace(USE_CASE, problem=CLASSES), where="labels/x")
    assert splits["holdout"].labels == {"rows_kept": 21, "rows_returned": 9, "rows_swapped": 0}


@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_training_set_survives_json_to_the_byte(problem: Problem) -> None:
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
            bags=2,
            rows=Rows(half_life_days=45.5, weight_column="amount", class_weights={"late": 2.0}, negative_share=0.5),
            calibration="best",
            tuning=Tuning(trials=5),
            selection=Selection(method="permutation"),
            base=Base(version="3", sha256="abc", frozen_layers=1),
            compression=("int8", "distilled"),
            pruning=Pruning(share=0.25, epochs=2),
            student=Boosting(params={"max_depth": 2}, num_rounds=7),
            problem=problem,
            decisive_metric=next(iter(problem.metrics)),
        ),
        **split_days(_days(9), USE_CASE, where="here"),
    )
    again = load_json(TrainingSet, dump_json(training_set))
    assert again == training_set
    assert dump_json(again) == dump_json(training_set)


def test_labels_belong_to_the_night_that_is_the_horizon_earlier() -> None:
    assert night_of(date(2013, 3, 1), 1) == date(2013, 2, 28)
    assert night_of(date(2013, 3, 31), 30) == date(2013, 3, 1)


def test_parts_are_a_horizon_apart_from_label_day_to_label_day() -> None:
    splits = split_days(_days(70), with_fields(USE_CASE, target={"label_horizon_nights": 30}), where="here")
    assert (splits["holdout"].first, splits["holdout"].last) == (date(2013, 5, 7), date(2013, 5, 9))
    assert (splits["validation"].first, splits["validation"].last) == (date(2013, 4, 6), date(2013, 4, 7))
    assert (splits["train"].first, splits["train"].last) == (date(2013, 3, 1), date(2013, 3, 7))


@given(
    offsets=st.sets(st.integers(0, 200), min_size=1, max_size=120),
    horizon=st.integers(1, 60),
    holdout_days=st.integers(1, 30),
    validation_days=st.integers(1, 30),
)
def test_no_label_of_a_part_lands_after_the_first_features_of_a_later_one(
    offsets: set[int], horizon: int, holdout_days: int, validation_days: int
) -> None:
    days = [DayCount(day=FIRST + timedelta(days=n), rows=10, labels={"positives": 4}) for n in sorted(offsets)]
    use_case = with_fields(
        USE_CASE,
        training={"holdout_days": holdout_days, "validation_days": validation_days},
        gate={"min_holdout_rows": 1},
        target={"label_horizon_nights": horizon},
    )
    last = days[-1].day
    validated_until = last - timedelta(days=holdout_days - 1 + horizon)
    trained_until = validated_until - timedelta(days=validation_days - 1 + horizon)
    try:
        splits = split_days(days, use_case, where="here")
    except TrainingError:
        validated = [day for day in days if timedelta() <= validated_until - day.day < timedelta(days=validation_days)]
        assert not (validated and days[0].day <= trained_until), "refused only where a part has no rows"
        return
    parts = [splits[name] for name in ("train", "validation", "holdout")]
    for earlier, later in pairwise(parts):
        assert max(earlier.days) <= earlier.last <= night_of(later.first, horizon) <= night_of(min(later.days), horizon)
        unused = (later.first - earlier.last).days - 1
        assert unused == horizon - 1, "no more days than needed are left out"
    inside = [day.day for day in days if any(part.first <= day.day <= part.last for part in parts)]
    assert sorted(day for part in parts for day in part.days) == inside


def test_too_few_days_for_the_gaps_are_refused_with_their_number() -> None:
    with pytest.raises(TrainingError, match="train split has 0 labelled rows") as caught:
        split_days(_days(20), with_fields(USE_CASE, target={"label_horizon_nights": 9}), where="labels/x")
    assert "with gaps of 8 days between the parts, for label_horizon_nights=9" in caught.value.where
