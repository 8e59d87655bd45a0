from __future__ import annotations

from nightjar.declaration.monitoring import Retraining


def test_every_night_or_all_of_them_may_be_the_bar() -> None:
    assert Retraining(breaches=1, of_nights=1).breaches == 1
    assert Retraining(breaches=7, of_nights=7, floor=0.5).of_nights == 7
