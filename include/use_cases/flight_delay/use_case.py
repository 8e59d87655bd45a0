"""Flight delays: what to predict, from which tables, and the required quality. Standard library only."""

from __future__ import annotations

from datetime import date

from nightjar.declaration.data import Data
from nightjar.declaration.engines import Boosting
from nightjar.declaration.entity import Entity
from nightjar.declaration.features import FeatureSet
from nightjar.declaration.gate import Gate
from nightjar.declaration.monitoring import Monitoring, Performance, Retraining
from nightjar.declaration.problem import Binary, Cost
from nightjar.declaration.rules import between
from nightjar.declaration.schedule import Schedule
from nightjar.declaration.scoring import ScoreAudit, Scoring
from nightjar.declaration.tables import Column
from nightjar.declaration.target import Target
from nightjar.declaration.training import Training
from nightjar.declaration.use_case import UseCase
from use_cases.flight_delay.columns import FEATURES, WINDOWS
from use_cases.flight_delay.sources import FLIGHTS, SCHEDULE, SOURCES, TIMEZONE

ENTITY = Entity(
    key=(
        Column(
            "flight_date", "date", "Local day of scheduled departure: the day after ds; in labels, ds.", nullable=False
        ),
        Column("carrier", "string", "Two-letter carrier code.", nullable=False),
        Column("flight", "int", "Flight number.", nullable=False),
        Column("origin", "string", "Origin airport (FAA).", nullable=False),
    ),
    carried=(
        Column("dest", "string", "Destination airport (FAA).", nullable=False),
        Column("tailnum", "string", "Tail number of the plane."),
        Column("scheduled_departure", "timestamp", "Scheduled departure (UTC).", nullable=False),
    ),
)


def _risk_direction(feature: str) -> int:
    """Return 1 when higher values can only mean higher risk, -1 for lower risk, 0 when either is possible."""
    if "_late_rate_" in feature or "_delay_" in feature or feature in {"precip_recent", "precip_day", "wind_recent"}:
        return 1
    return -1 if feature in {"visibility_last", "visibility_low"} else 0


# Three months are few nights: without these constraints, trees overfit the weather of single days.
MONOTONE = "(" + ",".join(str(_risk_direction(feature.name)) for feature in FEATURES) + ")"

MAX_DAYS_TO_LAND = 3
"""Maximum days after its scheduled day on which a flight lands: past midnight, plus 2,880 minutes of delay."""

USE_CASE = UseCase(
    name="flight_delay",
    title="Flight delays out of New York",
    owner="data-science",
    schedule=Schedule(
        timezone=TIMEZONE,
        nightly="0 2 * * *",
        training="0 4 * * 1",
        first_night=date(2013, 1, 1),
        last_night=date(2013, 12, 30),
    ),
    data=Data(
        sources=SOURCES,
        features_from=SCHEDULE.name,
        labels_from=FLIGHTS.name,
        history_nights=max(WINDOWS) - 1 + MAX_DAYS_TO_LAND,
        replay=True,
    ),
    entity=ENTITY,
    features=FeatureSet(columns=FEATURES, rules=(between("distance", 1, 6000, unit="miles"),)),
    # Assumed costs per flight, for the airport's passenger desk: passengers who learn of a delay at the gate are
    # rebooked and fed at short notice; an alarm for a punctual flight keeps a standby clerk an hour. Replace them
    # in your deployment; only their ratio matters: alarms start at a probability of 2/7.
    problem=Binary(cost=Cost(missed=200, false_alarm=80)),
    target=Target(
        label="1 when the flight arrived more than 15 minutes late, else 0; null when cancelled or diverted.",
        prediction="Probability that the flight arrives more than 15 minutes late.",
    ),
    training=Training(
        engines=(
            Boosting(
                params={
                    "tree_method": "hist",
                    "max_depth": 4,
                    "eta": 0.05,
                    "min_child_weight": 50,
                    "subsample": 0.6,
                    "colsample_bytree": 0.2,
                    "num_parallel_tree": 4,
                    "monotone_constraints": MONOTONE,
                },
                num_rounds=160,
                early_stopping_rounds=None,  # one validation week is one spell of weather, so the best round is chance
            ),
        ),
    ),
    # Costs depend on probabilities, so a proper score, the log loss, compares models. It has no bound: a stormy
    # fortnight is hard for every model, and champion and baseline are measured on the same one.
    gate=Gate(floors={"auc": 0.6}),
    # A storm shifts a whole day: between consecutive nights of 2013 the mean prediction changed by up to 0.40, and by
    # more than 0.25 thirteen times (`make simulate`).
    scoring=Scoring(audit=ScoreAudit(max_mean_shift=0.5)),
    monitoring=Monitoring(
        performance=Performance(slices=("origin", "carrier")),
        retraining=Retraining(
            breaches=3,
            of_nights=7,
            floor=0.6,
            max_age_days=60,
            cooldown_days=14,
            max_per_month=2,
        ),
    ),
)
