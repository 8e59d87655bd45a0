"""Fourteen days of each item, as ``benchmarks/forecast.py`` forecasts them. Standard library only."""

from __future__ import annotations

from dataclasses import replace

from nightjar.declaration.engines import Boosting
from nightjar.declaration.entity import Entity
from nightjar.declaration.features import Feature, FeatureSet
from nightjar.declaration.forecast import Forecast
from nightjar.declaration.gate import Gate
from nightjar.declaration.tables import Column
from nightjar.declaration.target import Target
from use_cases.synthetic.use_case import USE_CASE as SYNTHETIC

PROBLEM = Forecast(unit="pieces", horizon=14, season=7, nonnegative=True)
USE_CASE = replace(
    SYNTHETIC,
    name="items",
    title="Benchmark of forecasts",
    data=replace(SYNTHETIC.data, history_nights=56),
    entity=Entity(key=(Column("item", "long", "Number of the item.", nullable=False),)),
    features=FeatureSet(
        columns=(*PROBLEM.series_features, *(Feature(f"lag_{i}", "numeric", "Earlier value.") for i in range(8)))
    ),
    problem=PROBLEM,
    gate=Gate(),
    target=Target(label="Pieces.", prediction="Median of the pieces.", label_horizon_nights=PROBLEM.horizon),
    training=replace(
        SYNTHETIC.training,
        engines=(Boosting(params={"max_depth": 6, "eta": 0.1}, num_rounds=100, early_stopping_rounds=None),),
    ),
)
