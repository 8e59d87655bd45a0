"""What is searched is declared within its range, and chosen values replace what is declared."""

from __future__ import annotations

from typing import Any

import pytest

from nightjar.contracts.errors import ConfigurationError
from nightjar.contracts.training import Boosting, Choice, FloatRange, IntRange, Network, Training, Tuning


@pytest.mark.parametrize(
    ("params", "space"),
    [
        ({}, {"eta": FloatRange(0.01, 0.3)}),
        ({"eta": 0.5}, {"eta": FloatRange(0.01, 0.3)}),
        ({"eta": 0.5}, {"eta": FloatRange(0.0, 1.0, log=True)}),
        ({"grow_policy": "other"}, {"grow_policy": Choice(("depthwise", "lossguide"))}),
        ({}, {"num_rounds": IntRange(500, 900)}),
    ],
)
def test_a_space_without_a_declared_value_in_it_is_refused(params: dict[str, Any], space: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=f"{next(iter(space))} is searched in") as caught:
        Boosting(params=params, space=space)
    assert caught.value.where == "space of the use case's Boosting"


def test_chosen_values_replace_declared_ones_and_nothing_else() -> None:
    boosting = Boosting(params={"eta": 0.1, "max_depth": 4}, space={"eta": FloatRange(0.01, 0.3)})
    chosen = boosting.with_params({"eta": 0.2, "num_rounds": 50})
    assert (chosen.params, chosen.num_rounds) == ({"eta": 0.2, "max_depth": 4}, 50)
    assert chosen.space == boosting.space
    network = Network(hidden=(8,), space={"dropout": FloatRange(0, 0.5), "epochs": IntRange(1, 30)})
    assert network.with_params({"dropout": 0.3}).dropout == 0.3


def test_a_width_that_is_no_number_cannot_be_searched() -> None:
    with pytest.raises(ConfigurationError, match="hidden is searched in"):
        Network(space={"hidden": IntRange(8, 64)})


def test_tuning_needs_something_to_tune() -> None:
    with pytest.raises(ConfigurationError, match="there is nothing to tune"):
        Training(tuning=Tuning())
