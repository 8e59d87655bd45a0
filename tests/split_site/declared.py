"""An experiment that the flights' use case does not declare, for the tests of one."""

from __future__ import annotations

import importlib
from dataclasses import replace
from datetime import date

from nightjar.declaration.experiment import Experiment, Sequential
from nightjar.declaration.scoring import Scoring
from nightjar.declaration.use_case import UseCase

EXPERIMENT = Experiment(
    name="gentler",
    variants={"champion": 0.6, "challenger": 0.4},
    metric="brier",
    design=Sequential(effect=0.02),
    first_night=date(2013, 4, 1),
)


def split(use_case: UseCase) -> UseCase:
    return replace(use_case, scoring=Scoring(experiment=EXPERIMENT))


def declare() -> None:
    """Let this process, and no file, declare it."""
    module = importlib.import_module("use_cases.flight_delay.use_case")
    module.USE_CASE = split(module.USE_CASE)  # type: ignore[attr-defined]
