"""Twenty inputs, three of them categories; the declaration that `benchmarks/train.py` trains. Standard library only."""

from __future__ import annotations

from datetime import date

from nightjar.declaration.data import Data, Source
from nightjar.declaration.engines import Boosting
from nightjar.declaration.entity import Entity
from nightjar.declaration.features import Feature, FeatureSet
from nightjar.declaration.gate import Gate
from nightjar.declaration.problem import Binary
from nightjar.declaration.schedule import Schedule
from nightjar.declaration.tables import DS, LANDED, Column, TableSchema
from nightjar.declaration.target import Target
from nightjar.declaration.training import Training
from nightjar.declaration.use_case import UseCase

NUMERIC = tuple(Feature(f"number_{i:02d}", "numeric", "Standard normal.") for i in range(17))
CATEGORICAL = tuple(Feature(f"category_{i}", "categorical", "One of twenty.") for i in range(3))

ROWS = Source(
    file="rows.csv",
    table=TableSchema(
        name="raw/rows",
        comment="Never landed: the benchmark writes features.",
        columns=(DS, Column("id", "long", "Row of the day."), *LANDED),
    ),
)

USE_CASE = UseCase(
    name="synthetic",
    title="Benchmark of training",
    owner="benchmarks",
    schedule=Schedule(
        timezone="UTC",
        nightly="0 0 * * *",
        training="0 0 * * *",
        first_night=date(2026, 1, 1),
    ),
    data=Data(
        sources=(ROWS,),
        features_from=ROWS.name,
        labels_from=ROWS.name,
    ),
    entity=Entity(key=(Column("id", "long", "Row of the day.", nullable=False),)),
    features=FeatureSet(columns=NUMERIC + CATEGORICAL),
    problem=Binary(),
    target=Target(label="1 with the probability that the inputs give, else 0.", prediction="Probability of 1."),
    training=Training(
        engines=(
            Boosting(
                params={"max_depth": 6, "eta": 0.1, "subsample": 0.8, "colsample_bytree": 0.8},
                num_rounds=60,
                early_stopping_rounds=None,
            ),
        ),
        calibration="none",
        validation_days=5,
        holdout_days=1,
        seed=1,
    ),
    gate=Gate(floors={"auc": 0.6}, min_holdout_rows=1),
)
