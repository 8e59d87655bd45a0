from __future__ import annotations

from typing import Any

import pytest

from nightjar.contracts.errors import ConfigurationError
from nightjar.contracts.monitoring import Retraining


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"breaches": 0}, "breaches 0 of of_nights 7"),
        ({"breaches": 8}, "breaches 8 of of_nights 7"),
        ({"max_age_days": 0}, "max_age_days 0"),
        ({"cooldown_days": 0}, "cooldown_days 0"),
        ({"max_per_month": 0}, "max_per_month 0"),
        ({"min_auc": 60.0}, "min_auc 60 is no AUC"),
    ],
)
def test_a_policy_that_is_none_says_so_when_it_is_declared(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        Retraining(**wrong)


def test_every_night_or_all_of_them_may_be_the_bar() -> None:
    assert Retraining(breaches=1, of_nights=1).breaches == 1
    assert Retraining(breaches=7, of_nights=7, min_auc=0.5).of_nights == 7
