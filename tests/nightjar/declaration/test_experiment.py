"""Valid and invalid experiments."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from nightjar.declaration.experiment import EXPERIMENT_COLUMNS, Experiment, Sequential
from nightjar.declaration.scoring import Scoring
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
