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
from tests.nightjar.declaration.refusals import Declare, Wrong, assert_refused, cases, shop

import nightjar.declaration
import nightjar.protocol
import nightjar.settings
from nightjar.declaration.data import Source
from nightjar.declaration.declared import Declaration
from nightjar.declaration.experiment import Experiment, FixedHorizon, Sequential
from nightjar.declaration.features import Feature
from nightjar.declaration.gate import Gate
from nightjar.declaration.monitoring import Drift, Performance, Retraining
from nightjar.declaration.rules import NightRule, Rule, between, fresh, like_usual, matches, not_null
from nightjar.declaration.scoring import ScoreAudit, Scoring
from nightjar.declaration.spaces import IntRange
from nightjar.declaration.tables import DS, LANDED, Column, TableSchema
from nightjar.declaration.target import Cost
from nightjar.declaration.training import Boosting, Network, Training, Tuning, WarmStart
from nightjar.declaration.use_case import UseCase
from nightjar.protocol import results
from nightjar.protocol.errors import ConfigurationError

THIS_FILE = "nightjar/declaration/test_wrong_declarations.py"
NAN, INFINITE = float("nan"), float("inf")
SPLIT = Experiment(
    name="half",
    variants={"champion": 0.5, "challenger": 0.5},
    metric="brier",
    design=Sequential(effect=0.1),
    first_night=date(2013, 4, 2),
)
BOUNDED = with_fields(SHOP, schedule={"last_night": date(2013, 12, 31)})
TREES = Training(engines=(Boosting(space={"num_rounds": IntRange(100, 400)}),))


def schedule(**changed: Any) -> Declare:
    return shop(schedule=changed)


def data(**changed: Any) -> Declare:
    return shop(data=changed)


def entity(**changed: Any) -> Declare:
    return shop(entity=changed)


def features(**changed: Any) -> Declare:
    return shop(features=changed)


def orders(**changed: Any) -> Declare:
    return lambda: replace(ORDERS, **changed)


def columns(*more: Column) -> Declare:
    table = ORDERS.table
    return lambda: replace(ORDERS, table=replace(table, columns=(*table.columns, *more)))


def training(**fields: Any) -> Declare:
    return lambda: Training(**fields)


def broken_when(predicate: str) -> Declare:
    rule = Rule(name="wrong", broken_when=predicate, reason="It is wrong.")
    return features(rules=(rule,))


def pattern(of: str) -> Declare:
    return lambda: matches("shop", of, like="a shop")


def price(type: str) -> Column:
    return Column("price", type, "Price.")


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
    "columns": [
        (features(columns=()), "columns is empty", "FeatureSet.columns", "at least one"),
        (entity(key=()), "key is empty", "Entity.key", "at least one"),
        (
            features(columns=SHOP.features.columns * 2),
            "column amount is declared more than once", "FeatureSet.columns", "once",
        ),
        (entity(key=SHOP.entity.key * 2), "declared more than once", "Entity.key", "shop, number, shop, number"),
        (
            entity(carried=SHOP.entity.key[:1]),
            "shop is declared twice: in key, and in carried", "Entity.carried", "leave",
        ),
        (
            features(columns=(Feature("shop", "numeric", "Shop."),)),
            "feature shop is numeric", "shop, UseCase.features.columns", "read from: boolean, double, int, long",
        ),
        (
            features(columns=(Feature("number", "categorical", "Number."),)),
            "feature number is categorical", "UseCase.features.columns", "read from: string",
        ),
        (
            features(columns=(Feature("label", "numeric", "Label."),)),
            "column label is one", "FeatureSet.columns", "taken are: dag_run",
        ),
        (
            entity(carried=(Column("prediction", "double", "P."),)),
            "column prediction is one", "Entity.carried", "taken",
        ),
        (entity(key=(Column("ds", "date", "Night."),)), "column ds is one", "Entity.key", "taken are"),
        (entity(key=(Column("outcome", "string", "O."),)), "column outcome is one", "Entity.key", "taken are"),
        (
            features(columns=(Feature("reason_1", "numeric", "R."),)),
            "column reason_1 is one", "FeatureSet.columns", "reason_<n>",
        ),
        (features(columns=(Feature("group", "numeric", "G."),)), "group is a reserved word", "FeatureSet", "group_id"),
        (
            features(columns=(Feature("amount", "numeric", "Euros.", drift=False),)),
            "no feature is watched for drift", "FeatureSet.columns", "drift=True",
        ),
        (
            shop(monitoring={"performance": Performance(slices=("shp",))}),
            "unknown column 'shp'", "performance.slices", "did you mean 'shop'",
        ),
        (
            shop(monitoring={"performance": Performance(slices=("shop", "shop"))}),
            "column shop is declared more", "slices", "once",
        ),
        (
            columns(Column("amount", "int", "Again.")),
            "column amount is declared more", "raw/orders, TableSchema", "once",
        ),
        (columns(Column("landed_at", "timestamp", "Again.")), "landed_at is declared more", "TableSchema", "once"),
        (columns(Column("select", "string", "S.")), "select is a reserved word", "Source.table", "select_id"),
        (columns(Column("tags", "array<string>", "T.")), "a CSV field cannot hold an array", "Source.table", "string"),
    ],
    "sources": [
        (orders(file="../orders.csv"), "file is '../orders.csv'", "raw/orders, Source.file", "orders.csv"),
        (orders(file="orders.parquet"), "file is 'orders.parquet'", "Source.file", "a CSV file"),
        (orders(max_rejected_share=2), "max_rejected_share is 2", "Source.max_rejected_share", "at most 1"),
        (orders(max_rejected_share=NAN), "max_rejected_share is nan", "Source.max_rejected_share", "finite number"),
        (orders(expected_to_vary=("year",)), "unknown column 'year'", "Source.expected_to_vary", "choose from: amount"),
        (orders(table=replace(ORDERS.table, name="scores/orders")), "table is scores/orders", "Source.table", "raw/<"),
        (
            lambda: Source(file="a.csv", table=TableSchema(name="raw/a", comment="A.", columns=(DS, price("double")))),
            "column source_file is missing", "source raw/a", "landed_at (timestamp)",
        ),
        (
            lambda: Source(file="a.csv", table=TableSchema(name="raw/a", comment="A.", columns=(DS, *LANDED))),
            "the file has no column", "source raw/a", "the file's columns",
        ),
        (
            lambda: TableSchema(name="raw/a", comment="A.", columns=(DS, price("double")), key=("item",)),
            "unknown column 'item'", "table raw/a, TableSchema.key", "choose from: ds, price",
        ),
        (
            lambda: TableSchema(name="raw/a", comment="A.", columns=(DS,), retention_days=1),
            "retention_days is 1", "TableSchema.retention_days", "at least 7",
        ),
    ],
    "rules": [
        (orders(rules=(not_null("placed"),)), "unknown column 'placed'", "rule placed_not_null", "mean 'placed_at'"),
        (orders(rules=(not_null("amount"),) * 2), "rule amount_not_null is declared", "Source.rules", "each rule once"),
        (
            features(rules=(between("amuont", 0, 1, unit="euros"),)),
            "unknown column 'amuont'", "amuont_between", "'amount'",
        ),
        (
            broken_when("abs(price) > 1"),
            "unknown column 'price'", "UseCase.features.rules, rule wrong", "from: amount, ds",
        ),
        (broken_when("amount > (1"), "a ( is not closed", "rule wrong", "'amount < 0'"),
        (broken_when("shop = 'N"), "a quote is not closed", "rule wrong", "'amount < 0'"),
        (broken_when(""), "it is empty", "rule wrong", "'amount < 0'"),
        (pattern("[0-9A-Z{2}"), "not a valid regular expression", "rule shop_matches, matches.pattern", "[0-9A-Z]{2}"),
        (pattern("(?P<year>[0-9]{4})"), "(?P in '(?P<year>", "rule shop_matches, matches.pattern", "of Java"),
        (lambda: Rule(name="No", broken_when="a", reason="r"), "name is 'No'", "Rule.name", "lower-case"),
        (
            lambda: Rule(name="a", broken_when="a", reason="r", severity="fail"),
            "severity is 'fail'", "Rule.severity", "'reject_row', 'stop_night', 'warn'",
        ),
        (orders(night_rules=(fresh("amount", 3),)), "amount is of type double", "rule amount_fresh", "timestamp"),
        (orders(night_rules=(like_usual("placed_at", 1),)), "of type timestamp", "placed_at_like_usual", "string"),
        (
            orders(night_rules=(like_usual("colour", 1),)),
            "unknown column 'colour'", "colour_like_usual", "choose from: amou",
        ),
        (
            lambda: NightRule(name="a", figure="rows", reason="r"),
            "neither a low nor a high", "rule a", "give low, high",
        ),
        (
            lambda: NightRule(name="a", figure="rows", low=3, high=2, reason="r"),
            "low 3 is above high 2", "rule a", "low",
        ),
        (lambda: NightRule(name="a", figure="mean", low=3, reason="r"), "'mean', and column ''", "rule a", "name one"),
        (
            lambda: NightRule(name="a", figure="median", column="x", low=3, reason="r"),
            "figure is 'median'", "NightRule.figure", "'p50'",
        ),
        (lambda: between("amount", INFINITE, 1, unit="euros").broken_when and like_usual("a", INFINITE), "inf",
         "NightRule.high", "finite number"),
    ],
    "gate": [
        (lambda: Gate(floors={"acu": 0.6}), "unknown metric 'acu'", "Gate.floors['acu']", "did you mean 'auc'"),
        (lambda: Gate(floors={"log_loss": 0.2}), "for which less is better", "Gate.floors", "give it in ceilings"),
        (lambda: Gate(floors={}, ceilings={"auc": 0.9}), "for which more is better", "Gate.ceilings", "in floors"),
        (
            lambda: Gate(floors={"auc": 60}),
            "auc 60 cannot be reached", "Gate.floors['auc']", "at least 0 and at most 1",
        ),
        (lambda: Gate(floors={"auc": -0.1}), "auc -0.1 cannot be reached", "Gate.floors['auc']", "at least 0"),
        (lambda: Gate(floors={}, ceilings={"brier": 2}), "brier 2 cannot", "Gate.ceilings['brier']", "at most 1"),
        (lambda: Gate(floors={"auc": NAN}), "['auc'] is nan", "Gate.floors['auc']", "a finite number"),
        (lambda: Gate(floors={}, decisive_metric="f1"), "unknown metric 'f1'", "Gate.decisive_metric", "from: auc"),
        (
            lambda: Gate(floors={}, min_improvement=-0.1),
            "min_improvement is -0.1", "Gate.min_improvement", "at least 0",
        ),
        (lambda: Gate(floors={}, min_improvement=2), "min_improvement is 2", "Gate.min_improvement", "below 1"),
        (lambda: Gate(floors={}, min_holdout_rows=0), "min_holdout_rows is 0", "Gate.min_holdout_rows", "at least 1"),
        (
            shop(gate=Gate(floors={}, ceilings={"expected_cost": 3.0})),
            "checks expected_cost, and no cost", "UseCase.gate", "choose from: auc, pr_auc, log_loss",
        ),
        (lambda: ScoreAudit(max_mean_shift=-1), "max_mean_shift is -1", "ScoreAudit.max_mean_shift", "at least 0"),
        (lambda: ScoreAudit(max_rejected_share=5), "max_rejected_share is 5", "ScoreAudit", "at most 1"),
        (lambda: Cost(missed=0, false_alarm=1), "missed is 0", "Cost.missed", "above 0"),
        (lambda: Cost(missed=1, false_alarm=INFINITE), "false_alarm is inf", "Cost.false_alarm", "finite number"),
        (lambda: Cost(missed=1, false_alarm=1, unit=""), "unit is ''", "Cost.unit", "not blank"),
    ],
    "scoring": [
        (lambda: Scoring(reason_codes=-1), "reason_codes is -1", "Scoring.reason_codes", "at least 0"),
        (shop(scoring=Scoring(reason_codes=2)), "2 reason codes are declared for 1", "reason_codes", "at most 1"),
        (
            shop(scoring=Scoring(reason_codes=1), training=Training(engines=(Boosting(), Network()))),
            "only boosted trees alone", "UseCase.scoring.reason_codes", "one `Boosting`",
        ),
        (lambda: Scoring(shadow="champion"), "shadow is 'champion'", "Scoring.shadow", "another alias"),
        (lambda: Scoring(shadow="a b"), "shadow is 'a b'", "Scoring.shadow", "lower-case letters"),
        (lambda: Scoring(default_version="v1"), "default_version is 'v1'", "Scoring.default_version", "digits"),
        (shop(scoring=Scoring(experiment=replace(SPLIT, unit=("amount",)))), "unknown column of the", "unit", "number"),
        (
            shop(scoring=Scoring(experiment=replace(SPLIT, metric="cost"))),
            "no cost is declared", "metric", "Target.cost",
        ),
        (
            lambda: replace(BOUNDED, scoring=Scoring(experiment=replace(SPLIT, first_night=date(2014, 1, 1)))),
            "after the last night 2013-12-31", "experiment.first_night", "from 2013-04-01 to 2013-12-31",
        ),
        (lambda: replace(SPLIT, name="../up"), "name is '../up'", "Experiment.name", "lower-case letters"),
        (lambda: replace(SPLIT, metric="auc"), "metric is 'auc'", "Experiment.metric", "'label', 'brier', 'cost'"),
        (
            lambda: replace(SPLIT, variants={"champion": 1.0}),
            "variants are champion", "half, Experiment", "a challenger",
        ),
        (lambda: replace(SPLIT, variants={"a": 0.5, "b": 0.5}), "variants are a, b", "variants", "`champion`"),
        (
            lambda: replace(SPLIT, variants={"champion": 0.8, "b": 0.3}),
            "the shares are champion 0.8, b 0.3", "Experiment.variants", "1 together",
        ),
        (lambda: replace(SPLIT, variants={"champion": 1.2, "b": -0.2}), "is -0.2", "variants['b']", "above 0"),
        (lambda: replace(SPLIT, variants={"champion": 0.5, "B!": 0.5}), "is 'B!'", "a name in", "lower-case letters"),
        (lambda: Sequential(effect=0), "effect is 0", "Sequential.effect", "above 0"),
        (lambda: Sequential(effect=0.1, alpha=1), "alpha is 1", "Sequential.alpha", "below 1"),
        (lambda: FixedHorizon(units=0), "units is 0", "FixedHorizon.units", "at least 1"),
    ],
    "monitoring": [
        (lambda: Drift(max_psi=-0.1), "max_psi is -0.1", "Drift.max_psi", "at least 0"),
        (lambda: Drift(max_q=0), "max_q is 0", "Drift.max_q", "above 0 and below 1"),
        (lambda: Drift(max_drifted_share=30), "max_drifted_share is 30", "Drift.max_drifted_share", "at most 1"),
        (lambda: Drift(recent_nights=0), "recent_nights is 0", "Drift.recent_nights", "at least 1"),
        (lambda: Performance(matured_after_nights=0), "matured_after_nights is 0", "Performance.mat", "at least 1"),
        (lambda: Performance(min_label_share=0), "min_label_share is 0", "Performance.min_label_share", "above 0"),
        (lambda: Performance(confidence=95), "confidence is 95", "Performance.confidence", "below 1"),
        (lambda: Performance(min_slice_rows=0), "min_slice_rows is 0", "Performance.min_slice_rows", "at least 1"),
        (lambda: Retraining(breaches=8), "breaches 8 of of_nights 7", "Retraining.breaches", "from 1 to of_nights"),
        (lambda: Retraining(breaches=0), "breaches is 0", "Retraining.breaches", "at least 1"),
        (lambda: Retraining(min_auc=60.0), "min_auc is 60.0", "Retraining.min_auc", "below 1 or None"),
        (lambda: Retraining(max_age_days=0), "max_age_days is 0", "Retraining.max_age_days", "at least 1"),
        (lambda: Retraining(cooldown_days=0), "cooldown_days is 0", "Retraining.cooldown_days", "at least 1"),
        (lambda: Retraining(max_per_month=0), "max_per_month is 0", "Retraining.max_per_month", "at least 1"),
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
        if isinstance(cls, type) and is_dataclass(cls) and cls.__module__ == module.__name__ != results.__name__
    }
    assert {cls.__name__ for cls in own if not issubclass(cls, Declaration)} <= made_by_programs


def test_what_can_work_is_declared() -> None:
    use_case = import_module("use_cases.flight_delay.use_case").USE_CASE
    assert isinstance(use_case, UseCase)
    assert replace(SHOP.schedule, nightly="15 3 * * mon-fri", timezone="America/Argentina/Buenos_Aires").timezone
    assert replace(BOUNDED, scoring=Scoring(experiment=SPLIT, shadow="challenger", default_version="12"))
    assert with_fields(SHOP, features={"columns": (*SHOP.features.columns, Feature("number", "numeric", "Number."))})
    assert Training(warm_start=WarmStart(version="3"), compression=("distilled",)).warm_start
    assert replace(TREES, tuning=Tuning()).tuning
