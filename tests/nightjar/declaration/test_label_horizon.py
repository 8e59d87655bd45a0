"""Labels that land later than on the next night: what a use case must then declare, and what is derived."""

from __future__ import annotations

from datetime import date

import pytest
from tests.declarations import with_fields
from tests.landed_nights import SHOP
from tests.nightjar.declaration.refusals import Declare, assert_refused, cases, shop

from nightjar.declaration.engines import Boosting
from nightjar.declaration.monitoring import Monitoring, Performance, Retraining
from nightjar.declaration.spaces import IntRange
from nightjar.declaration.target import Target
from nightjar.declaration.training import Training, Tuning

TREES = (Boosting(num_rounds=50, space={"num_rounds": IntRange(10, 100)}),)


def target(**changed: object) -> Declare:
    return lambda: Target(label="Left.", prediction="Probability.", **changed)  # type: ignore[arg-type]


def monthly(**changed: object) -> Declare:
    """Return a function that declares labels that land 30 nights later."""
    return shop(target={"label_horizon_nights": 30}, **changed)


WRONG = {
    "target": [
        (target(label_horizon_nights=0), "label_horizon_nights is 0", "Target.label_horizon_nights", "at least 1"),
        (target(min_matched_share=0), "min_matched_share is 0", "Target.min_matched_share", "above 0"),
        (target(min_matched_share=90), "min_matched_share is 90", "Target.min_matched_share", "at most 1"),
    ],
    "horizon": [
        (
            monthly(monitoring=Monitoring(performance=Performance(matured_after_nights=29))),
            "judged after 29 nights, and their labels land after 30",
            "use case shop, UseCase.monitoring.performance.matured_after_nights", "at least 30, or leave it out for 32",
        ),
        (
            monthly(training=Training(engines=TREES, tuning=Tuning(gap_days=28))),
            "a gap of 28 days, and labels land after 30 nights",
            "use case shop, UseCase.training.tuning.gap_days", "at least 29, or leave it out for 30",
        ),
        (
            monthly(monitoring=Monitoring(retraining=Retraining(max_age_days=79))),
            "after 79 days, and the training days of a new model are 79 days old",
            "use case shop, UseCase.monitoring.retraining.max_age_days", "at least 80",
        ),
        (
            monthly(schedule={"first_night": date(2013, 4, 1), "last_night": date(2013, 7, 18)}),
            "109 nights from 2013-04-01 to 2013-07-18 are too few for 110: 14 days of holdout, 7 of validation, one to "
            "train on, 58 between these, and 30 until its labels land",
            "shop, UseCase.schedule.last_night", "fewer holdout_days",
        ),
    ],
}  # fmt: skip


@pytest.mark.parametrize(("declare", "what", "where", "allowed"), cases(WRONG))
def test_what_a_horizon_rules_out_is_refused_with_the_smallest_number(
    declare: Declare, what: str, where: str, allowed: str
) -> None:
    assert_refused(declare, what, where, allowed)


def test_the_smallest_numbers_are_accepted() -> None:
    use_case = with_fields(
        SHOP,
        target={"label_horizon_nights": 30},
        schedule={"first_night": date(2013, 4, 1), "last_night": date(2013, 7, 19)},
        training=Training(engines=TREES, tuning=Tuning(gap_days=29)),
        monitoring=Monitoring(performance=Performance(matured_after_nights=30), retraining=Retraining(max_age_days=80)),
    )
    assert use_case.matured_after_nights == 30


@pytest.mark.parametrize(("horizon", "matured", "gap"), [(1, 3, 1), (2, 4, 2), (30, 32, 30)])
def test_defaults_follow_the_horizon(horizon: int, matured: int, gap: int) -> None:
    assert with_fields(SHOP, target={"label_horizon_nights": horizon}).matured_after_nights == matured
    assert Tuning().gap(horizon) == gap
    assert Tuning(gap_days=7).gap(horizon) == 7
