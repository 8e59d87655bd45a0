"""Flights to watch, ten of each airport, from the tables and features of ``flight_delay``. Standard library only."""

from __future__ import annotations

from dataclasses import replace

from nightjar.declaration.engines import Boosting
from nightjar.declaration.entity import Entity
from nightjar.declaration.gate import Gate
from nightjar.declaration.monitoring import Monitoring, Performance
from nightjar.declaration.ranking import Ranking
from nightjar.declaration.scoring import Scoring
from nightjar.declaration.target import Target
from nightjar.declaration.training import Training
from use_cases.flight_delay.shared import with_prefix
from use_cases.flight_delay.use_case import USE_CASE as FLIGHT_DELAY

RAW = "watched_"
"""Prefix of this use case's raw tables: no two use cases write the same table."""
GRADES = (15, 60, 180)
"""Minutes of arrival delay from which a flight's relevance is 1, 2 and 3."""
GROUP = ("origin",)

_KEY = {column.name: column for column in FLIGHT_DELAY.entity.key}

USE_CASE = replace(
    FLIGHT_DELAY,
    name="risky_flights",
    title="Flights to watch",
    schedule=replace(FLIGHT_DELAY.schedule, nightly="15 3 * * *", training="0 7 * * 1"),
    data=with_prefix(FLIGHT_DELAY.data, RAW),
    entity=Entity(
        key=(*(_KEY[name] for name in GROUP), *(column for name, column in _KEY.items() if name not in GROUP)),
        carried=FLIGHT_DELAY.entity.carried,
    ),
    problem=Ranking(
        group=GROUP, item=("carrier", "flight"), k=10, popularity="flight_late_rate_28d", last_seen="flight_delay_1d"
    ),
    target=Target(
        label="0 on time, 1 to 3 from 15, 60 and 180 minutes of arrival delay on; null when cancelled or diverted.",
        prediction="Score of the flight among those of its airport.",
    ),
    training=Training(
        engines=(
            Boosting(
                params={"max_depth": 4, "eta": 0.1, "min_child_weight": 5, "subsample": 0.6, "colsample_bytree": 0.3},
                num_rounds=150,
                early_stopping_rounds=None,
            ),
        ),
    ),
    gate=Gate(),
    scoring=Scoring(),
    monitoring=Monitoring(performance=Performance(slices=GROUP)),
)
