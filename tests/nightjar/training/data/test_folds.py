"""Folds are ordered in time: no fold trains on or after its validation days."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightjar.protocol.errors import TrainingError
from nightjar.training.data.folds import forward_chain

FIRST = date(2013, 1, 1)

days_with_holes = st.sets(st.integers(0, 200), min_size=1, max_size=80).map(
    lambda offsets: [FIRST + timedelta(days=offset) for offset in sorted(offsets)]
)


@given(days=days_with_holes, folds=st.integers(1, 6), gap_days=st.integers(0, 10))
def test_folds_train_on_the_past_alone_and_validate_the_tail(days: list[date], folds: int, gap_days: int) -> None:
    try:
        chain = forward_chain(days, folds=folds, gap_days=gap_days, where="here")
    except TrainingError:
        size = len(days) // (folds + 1)
        kept = [day for day in days if size and day < days[-size * folds] - timedelta(days=gap_days)]
        assert not kept, "refused only where a fold would have nothing to train or to validate"
        return
    assert len(chain) == folds
    for fold in chain:
        assert fold.train
        assert fold.validation
        assert fold.validation[0] - fold.train[-1] > timedelta(days=gap_days)
        matured = fold.validation[0] - timedelta(days=gap_days)
        assert list(fold.train) == [day for day in days if day < matured], "all that is known, in its order"
    judged = [day for fold in chain for day in fold.validation]
    assert judged == days[-len(judged) :], "blocks are disjoint, in order, and cover the tail"
    assert len({len(fold.validation) for fold in chain}) == 1


def test_blocks_are_as_long_as_days_allow() -> None:
    days = [FIRST + timedelta(days=i) for i in range(11)]
    chain = forward_chain(days, folds=3, gap_days=1, where="here")
    assert [(len(fold.train), fold.validation[0].day, fold.validation[-1].day) for fold in chain] == [
        (4, 6, 7),
        (6, 8, 9),
        (8, 10, 11),
    ]


def test_too_few_days_are_refused_with_their_number() -> None:
    days = [FIRST + timedelta(days=i) for i in range(3)]
    with pytest.raises(TrainingError, match="3 training days are too few for 3 folds with a gap of 0 days") as caught:
        forward_chain(days, folds=3, gap_days=0, where="labels/x")
    assert (caught.value.where, caught.value.how_many) == ("labels/x", 3)
    with pytest.raises(TrainingError, match="with a gap of 2 days"):
        forward_chain(days, folds=1, gap_days=2, where="labels/x")
