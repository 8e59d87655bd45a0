"""What an experiment may declare."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from nightjar.contracts.errors import ConfigurationError
from nightjar.contracts.experiment import EXPERIMENT_COLUMNS, Experiment, FixedHorizon, Sequential
from nightjar.contracts.scoring import Scoring
from use_cases.flight_delay.use_case import USE_CASE

EXPERIMENT = Experiment(
    name="gentler",
    variants={"champion": 0.8, "challenger": 0.2},
    metric="brier",
    design=Sequential(effect=0.01),
    first_night=date(2013, 4, 1),
)


def test_a_use_case_that_splits_has_the_experiment_and_the_variant_on_each_row() -> None:
    split = replace(USE_CASE, scoring=Scoring(experiment=EXPERIMENT))
    assert split.score_table.columns == (*USE_CASE.score_table.columns, *EXPERIMENT_COLUMNS)
    assert EXPERIMENT.challengers == ("challenger",)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"variants": {"champion": 1.0}}, "variants are champion"),
        ({"variants": {"one": 0.5, "other": 0.5}}, "variants are one, other"),
        ({"variants": {"champion": 0.8, "challenger": 0.3}}, "the shares are champion 0.8, challenger 0.3"),
        ({"variants": {"champion": 1.2, "challenger": -0.2}}, "the shares are champion 1.2, challenger -0.2"),
        ({"variants": {"champion": 0.5, "Challenger!": 0.5}}, "'Challenger!' is not a name"),
        ({"name": "../up"}, "is not a name"),
    ],
)
def test_an_experiment_that_is_none_is_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        replace(EXPERIMENT, **changed)


def test_a_design_that_cannot_judge_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="alpha 1 is no probability"):
        Sequential(effect=0.1, alpha=1)
    with pytest.raises(ConfigurationError, match="an effect of 0 is none"):
        Sequential(effect=0)
    with pytest.raises(ConfigurationError, match="0 units are no horizon"):
        FixedHorizon(units=0)


def test_a_use_case_refuses_an_experiment_that_it_cannot_run() -> None:
    with pytest.raises(ConfigurationError, match="split by dest, the key is flight_date, carrier, flight, origin"):
        replace(USE_CASE, scoring=Scoring(experiment=replace(EXPERIMENT, unit=("dest",))))
    with pytest.raises(ConfigurationError, match="compares costs, and no cost is declared"):
        replace(USE_CASE, cost=None, scoring=Scoring(experiment=replace(EXPERIMENT, metric="cost")))
