"""Arrival delays: how many minutes, from the tables and features of ``flight_delay``. Standard library only."""

from __future__ import annotations

from dataclasses import replace

from nightjar.declaration.engines import Boosting
from nightjar.declaration.gate import Gate
from nightjar.declaration.monitoring import Monitoring, Performance, Retraining
from nightjar.declaration.problem import Regression
from nightjar.declaration.quantiles import QuantileCost
from nightjar.declaration.scoring import Scoring
from nightjar.declaration.target import Target
from nightjar.declaration.training import Training
from use_cases.flight_delay.shared import with_prefix
from use_cases.flight_delay.use_case import USE_CASE as FLIGHT_DELAY

RAW = "arrival_"
"""Prefix of this use case's raw tables: no two use cases write the same table."""


USE_CASE = replace(
    FLIGHT_DELAY,
    name="arrival_delay",
    title="Arrival delays out of New York",
    schedule=replace(FLIGHT_DELAY.schedule, nightly="30 2 * * *", training="0 5 * * 1"),
    data=with_prefix(FLIGHT_DELAY.data, RAW),
    # Assumed costs of a connection: a passenger who waits costs 1 a minute, one who misses it 4; so plan for the
    # delay that four flights of five stay below. Replace both in your deployment.
    problem=Regression(unit="min", loss="quantile", quantiles=(0.1, 0.5, 0.8, 0.9), cost=QuantileCost(under=4, over=1)),
    target=Target(
        label="Minutes after the scheduled arrival, negative when early; null when cancelled or diverted.",
        prediction="Median of the arrival delay.",
    ),
    training=Training(
        engines=(
            Boosting(
                params={"max_depth": 5, "eta": 0.1, "min_child_weight": 50, "subsample": 0.6, "colsample_bytree": 0.3},
                num_rounds=120,
                early_stopping_rounds=None,
            ),
        ),
    ),
    gate=Gate(),
    scoring=Scoring(),
    monitoring=Monitoring(
        performance=Performance(slices=("origin", "carrier")),
        retraining=Retraining(ceiling=40, max_age_days=60, cooldown_days=14),
    ),
)
