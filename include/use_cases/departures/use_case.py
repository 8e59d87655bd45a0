"""Departures by airport and hour: how many on each of the next seven days. Standard library only."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from nightjar.declaration.data import Data
from nightjar.declaration.engines import Boosting
from nightjar.declaration.entity import Entity
from nightjar.declaration.features import Feature, FeatureSet
from nightjar.declaration.forecast import Forecast
from nightjar.declaration.gate import Gate
from nightjar.declaration.monitoring import Monitoring, Performance
from nightjar.declaration.schedule import Schedule
from nightjar.declaration.tables import Column
from nightjar.declaration.target import Target
from nightjar.declaration.training import Training
from nightjar.declaration.use_case import UseCase
from use_cases.flight_delay.sources import FLIGHTS as RECORDED
from use_cases.flight_delay.sources import TIMEZONE

HOURS = range(6, 22)
"""Local hours of departure that are forecast; in the others hardly any flight departs."""
SEASON, LAGS, RECENT = 7, 4, 3
FLIGHTS = replace(RECORDED, table=replace(RECORDED.table, name="raw/departed_flights"))
PROBLEM = Forecast(
    unit="departures", horizon=7, season=SEASON, quantiles=(0.1, 0.5, 0.9), hierarchy=("origin",), nonnegative=True
)

USE_CASE = UseCase(
    name="departures",
    title="Departures of the coming week",
    owner="data-science",
    schedule=Schedule(
        timezone=TIMEZONE,
        nightly="0 3 * * *",
        training="0 6 * * 1",
        first_night=date(2013, 1, 1),
        last_night=date(2013, 12, 30),
    ),
    data=Data(sources=(FLIGHTS,), features_from=FLIGHTS.name, labels_from=FLIGHTS.name, history_nights=56, replay=True),
    entity=Entity(
        key=(
            Column("origin", "string", "Origin airport (FAA).", nullable=False),
            Column("hour", "int", "Local hour of the scheduled departure.", nullable=False),
        )
    ),
    features=FeatureSet(
        columns=(
            *PROBLEM.series_features,
            Feature("origin", "categorical", "Origin airport (FAA)."),
            Feature("hour", "numeric", "Local hour of the scheduled departure."),
            Feature("weekday", "numeric", "Day of the week that is forecast, 1 for Sunday.", drift=False),
            Feature("season_mean", "numeric", "Mean of the last four weeks' departures on that weekday."),
            *(
                Feature(f"season_lag_{n}", "numeric", f"Departures on that weekday, {n} known weeks before.")
                for n in range(1, LAGS + 1)
            ),
            *(Feature(f"lag_{n}", "numeric", f"Departures {n} days before the night.") for n in range(RECENT)),
        )
    ),
    problem=PROBLEM,
    target=Target(
        label="Departures of the hour, flights that were not cancelled.",
        prediction="Median of the departures of the hour.",
        label_horizon_nights=7,
    ),
    training=Training(
        validation_days=14,
        holdout_days=21,
        engines=(
            Boosting(
                params={"max_depth": 4, "eta": 0.05, "min_child_weight": 20, "subsample": 0.7, "colsample_bytree": 0.5},
                num_rounds=300,
                early_stopping_rounds=30,
            ),
        ),
    ),
    gate=Gate(),
    monitoring=Monitoring(performance=Performance(slices=("step", "origin"))),
)
