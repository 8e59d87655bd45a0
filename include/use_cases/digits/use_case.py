"""Handwritten digits: what to predict, from which tables, and the required quality. Standard library only."""

from __future__ import annotations

from datetime import date

from nightjar.declaration.data import Data, Source
from nightjar.declaration.engines import Boosting
from nightjar.declaration.entity import Entity
from nightjar.declaration.features import Feature, FeatureSet
from nightjar.declaration.gate import Gate
from nightjar.declaration.problem import Multiclass
from nightjar.declaration.rules import between, volume
from nightjar.declaration.schedule import Schedule
from nightjar.declaration.tables import DS, LANDED, Column, TableSchema
from nightjar.declaration.target import Target
from nightjar.declaration.training import Training
from nightjar.declaration.use_case import UseCase

FIRST_NIGHT, LAST_NIGHT = date(2024, 1, 1), date(2024, 2, 11)
SIDE = 8
PIXELS = tuple(f"pixel_{row}_{column}" for row in range(SIDE) for column in range(SIDE))
CLASSES = tuple(map(str, range(10)))
KEY = Column("scan_id", "int", "Number of the scan.", nullable=False)

SCANS = Source(
    file="scans.csv",
    table=TableSchema(
        name="raw/digit_scans",
        comment="Digits scanned on day ds, to be read the next morning.",
        key=(KEY.name,),
        columns=(
            DS,
            KEY,
            *(Column(name, "double", "Ink of a pixel, 0 to 16.", unit="ink") for name in PIXELS),
            *LANDED,
        ),
    ),
    rules=tuple(between(name, 0, 16, unit="ink") for name in PIXELS),
    night_rules=(volume(0.5, 2.0),),
)
READINGS = Source(
    file="readings.csv",
    table=TableSchema(
        name="raw/digit_readings",
        comment="What a person read on day ds, of the scans of the day before.",
        key=(KEY.name,),
        columns=(DS, KEY, Column("digit", "int", "The digit that a person read."), *LANDED),
    ),
    rules=(between("digit", 0, 9, unit="(digit)"),),
)

USE_CASE = UseCase(
    name="digits",
    title="Handwritten digits",
    owner="data-science",
    schedule=Schedule(
        timezone="UTC", nightly="0 1 * * *", training="0 3 * * 1", first_night=FIRST_NIGHT, last_night=LAST_NIGHT
    ),
    data=Data(sources=(SCANS, READINGS), features_from=SCANS.name, labels_from=READINGS.name, replay=True),
    entity=Entity(key=(KEY,)),
    features=FeatureSet(columns=tuple(Feature(name, "numeric", "Ink of a pixel, 0 to 16.") for name in PIXELS)),
    problem=Multiclass(classes=CLASSES),
    target=Target(label="The digit that a person read.", prediction="The digit that was written."),
    training=Training(
        validation_days=5,
        holdout_days=12,
        engines=(
            Boosting(
                params={
                    "max_depth": 5,
                    "eta": 0.1,
                    "subsample": 0.5,
                    "colsample_bynode": 0.1,
                    "num_parallel_tree": 3,
                    "min_child_weight": 0.2,
                },
                num_rounds=150,
                early_stopping_rounds=None,  # 200 rows of validation are few
            ),
        ),
    ),
    gate=Gate(floors={"accuracy": 0.85}, min_holdout_rows=400),
)
