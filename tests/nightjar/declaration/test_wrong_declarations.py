"""Invalid declarations are rejected immediately, with what is wrong, where, and the allowed values."""

from __future__ import annotations

import inspect
from dataclasses import is_dataclass, replace
from datetime import date, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from tests.declarations import with_fields
from tests.landed_nights import ORDERS, PRICES, SHOP
from tests.nightjar.declaration.refusals import (
    BOUNDED,
    SPLIT,
    Declare,
    Wrong,
    assert_refused,
    cases,
    data,
    features,
    shop,
    training,
)

import nightjar.declaration
import nightjar.protocol
import nightjar.settings
from nightjar.declaration.declared import Declaration
from nightjar.declaration.engines import Boosting
from nightjar.declaration.features import Feature
from nightjar.declaration.gate import Gate
from nightjar.declaration.monitoring import Performance
from nightjar.declaration.problem import Cost
from nightjar.declaration.scoring import Scoring
from nightjar.declaration.spaces import IntRange
from nightjar.declaration.tables import Column
from nightjar.declaration.training import Training, Tuning, WarmStart
from nightjar.declaration.use_case import UseCase
from nightjar.protocol.errors import ConfigurationError

THIS_FILE = "nightjar/declaration/test_wrong_declarations.py"
TREES = Training(engines=(Boosting(space={"num_rounds": IntRange(100, 400)}),))


def schedule(**changed: Any) -> Declare:
    return shop(schedule=changed)


WRONG: dict[str, list[Wrong]] = {
    "time": [
        (schedule(nightly="tomorrow"), "'tomorrow' is not a valid cron", "Schedule.nightly", "@daily"),
        (schedule(nightly="0 24 * * *"), "'24' is not a valid hour from 0 to 23", "Schedule.nightly", "0 2 * * *"),
        (schedule(nightly="60 2 * * *"), "is not a valid minute from 0 to 59", "Schedule.nightly", "0 2 * * *"),
        (schedule(nightly="0 2 * *"), "it has 4 fields, not 5", "Schedule.nightly", "minute hour day month weekday"),
        (schedule(nightly="0 2 * * * *"), "it has 6 fields, not 5", "Schedule.nightly", "@daily"),
        (schedule(nightly="*/0 2 * * *"), "'*/0' is not a valid minute", "Schedule.nightly", "@daily"),
        (schedule(nightly="0 2 30 feb *"), "is never due", "Schedule.nightly", "@daily"),
        (schedule(nightly="@dayly"), "'@dayly' is not a valid cron", "Schedule.nightly", "@daily"),
        (schedule(nightly="@hourly"), "due 24 times a day", "Schedule.nightly", "@daily"),
        (schedule(nightly=""), "nightly is ''", "Schedule.nightly", "not blank"),
        (schedule(training="0 4 * * 8"), "'8' is not a valid weekday", "Schedule.training", "@weekly"),
        (schedule(timezone="Mars/Olympus"), "unknown time zone 'Mars/Olympus'", "Schedule.timezone", "Europe/Berlin"),
        (schedule(timezone="europe/berlin"), "unknown time zone", "Schedule.timezone", "did you mean 'Europe/Berlin'"),
        (schedule(timezone="../UTC"), "unknown time zone '../UTC'", "Schedule.timezone", "UTC"),
        (schedule(first_night=datetime(2013, 1, 1)), "first_night is datetime", "Schedule.first_night", "a date"),
        (schedule(first_night="2013-01-01"), "first_night is '2013-01-01'", "Schedule.first_night", "a date"),
        (schedule(last_night=date(2012, 1, 1)), "is before first_night", "Schedule.last_night", "None"),
        (
            schedule(last_night=date(2013, 4, 20)),
            "20 nights", "shop, UseCase.schedule.last_night", "fewer holdout_days",
        ),
        (schedule(deadline_minutes=0), "deadline_minutes is 0", "Schedule.deadline_minutes", "at least 1"),
        (data(history_nights=-1), "history_nights is -1", "Data.history_nights", "at least 0"),
        (data(contract_version=True), "contract_version is True", "Data.contract_version", "a whole number"),
    ],
    "names": [
        (shop(name="class"), "'class' is a word of Python", "UseCase.name", "class_risk"),
        (shop(name="match"), "'match' is a word of Python", "UseCase.name", "match_risk"),
        (shop(name="json"), "'json' is a module of Python's library", "UseCase.name", "json_risk"),
        (shop(name="order"), "'order' is a reserved word of SQL", "UseCase.name", "order_risk"),
        (shop(name="shop_latest"), "ends like a view or DAG", "UseCase.name", "_latest"),
        (shop(name="a" * 51), "is not the name of a use case", "UseCase.name", "at most 50 characters"),
        (shop(name="Shop"), "name is 'Shop'", "UseCase.name", "lower-case letters"),
        (shop(title=" "), "title is ' '", "UseCase.title", "not blank"),
        (shop(owner=None), "owner is None", "UseCase.owner", "a text"),
        (data(features_from="order"), "unknown source 'order'", "Data.features_from", "did you mean 'orders'"),
        (data(labels_from="refunds"), "unknown source 'refunds'", "Data.labels_from", "choose from: orders, prices"),
        (data(sources=()), "unknown source 'orders'", "Data.features_from", "nothing can be named here"),
        (data(sources=(ORDERS, ORDERS, PRICES)), "source orders is declared more than once", "Data.sources", "once"),
        (
            data(sources=(ORDERS, replace(PRICES, file="orders.csv"))),
            "file orders.csv is declared more than once", "Data.sources", "name each file once",
        ),
    ],
    "types": [
        (
            features(columns=SHOP.features.columns[0]),
            "columns is Feature(", "FeatureSet.columns", "a tuple, (a, b) or (a,)",
        ),
        (features(columns="amount"), "columns is 'amount'", "FeatureSet.columns", "a tuple"),
        (features(columns=list(SHOP.features.columns)), "columns is [", "FeatureSet.columns", "a tuple"),
        (features(columns=("amount",)), "columns[0] is 'amount'", "FeatureSet.columns[0]", "Feature"),
        (shop(training=Boosting()), "training is Boosting(", "UseCase.training", "Training"),
        (training(engines=(Boosting,)), "engines[0] is <class", "Training.engines[0]", "Boosting or Network"),
        (training(engines=Boosting()), "engines is Boosting(", "Training.engines", "a tuple"),
        (training(compression="int8"), "compression is 'int8'", "Training.compression", "a tuple"),
        (training(world_size=2.0), "world_size is 2.0", "Training.world_size", "a whole number at least 1"),
        (training(world_size=True), "world_size is True", "Training.world_size", "a whole number at least 1"),
        (training(balance_classes=1), "balance_classes is 1", "Training.balance_classes", "True or False"),
        (lambda: Performance(slices=("a", 1)), "slices[1] is 1", "Performance.slices[1]", "a text"),
        (lambda: Performance(slices="shop"), "slices is 'shop'", "Performance.slices", "a tuple"),
        (lambda: Cost(missed="ten", false_alarm=1), "missed is 'ten'", "Cost.missed", "above 0"),
        (lambda: Gate(floors=[("auc", 0.6)]), "floors is [", "Gate.floors", "a mapping"),
        (lambda: Gate(floors={"auc": "0.6"}), "is '0.6'", "Gate.floors['auc']", "a finite number"),
        (lambda: Feature("amount", "number", "Euros."), "kind is 'number'", "Feature.kind", "'numeric', 'categorical'"),
        (lambda: Feature("amount", "numeric", ""), "comment is ''", "Feature.comment", "not blank"),
        (lambda: Column("a", "integer", "A."), "type is 'integer'", "Column.type", "'int', 'long', 'double'"),
        (lambda: Column("Amount", "int", "A."), "name is 'Amount'", "Column.name", "lower-case letters"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(("declare", "what", "where", "allowed"), cases(WRONG))
def test_a_wrong_declaration_is_refused_with_what_where_and_what_may_be(
    declare: Declare, what: str, where: str, allowed: str
) -> None:
    assert_refused(declare, what, where, allowed)


def test_a_refusal_names_the_file_and_line_of_the_declaration() -> None:
    line = inspect.currentframe().f_lineno + 2
    with pytest.raises(ConfigurationError) as caught:
        Boosting(num_rounds=0)
    assert caught.value.where == f"Boosting.num_rounds, declared in {THIS_FILE}:{line}"


def test_every_dataclass_that_an_author_writes_checks_itself() -> None:
    """All dataclasses of these packages are declarations, except those that programs create."""
    made_by_programs = {
        "JobSpec", "JobResult", "Driver", "DataFile", "Part", "ScoringModel", "Notification", "RetrainingDecision",
        "Metric", "Nights", "ApplicationFolder", "StartFolder",
        "Settings", "View", "QualityMetric", "Bounds", "Heartbeat", "Start", "_Field",
    }  # fmt: skip
    modules = [
        import_module(f"{package.__name__}.{path.stem}")
        for package in (nightjar.declaration, nightjar.protocol, nightjar.settings)
        for path in Path(package.__path__[0]).glob("*.py")
    ]
    own = {
        cls
        for module in modules
        for cls in vars(module).values()
        if isinstance(cls, type) and is_dataclass(cls) and cls.__module__ == module.__name__
    }
    assert {cls.__name__ for cls in own if not issubclass(cls, Declaration)} <= made_by_programs


def test_valid_declarations_are_accepted() -> None:
    use_case = import_module("use_cases.flight_delay.use_case").USE_CASE
    assert isinstance(use_case, UseCase)
    assert replace(SHOP.schedule, nightly="15 3 * * mon-fri", timezone="America/Argentina/Buenos_Aires").timezone
    assert replace(BOUNDED, scoring=Scoring(experiment=SPLIT, shadow="challenger", default_version="12"))
    assert with_fields(SHOP, features={"columns": (*SHOP.features.columns, Feature("number", "numeric", "Number."))})
    assert Training(warm_start=WarmStart(version="3"), compression=("distilled",)).warm_start
    assert replace(TREES, tuning=Tuning()).tuning
