"""Invalid problem types are rejected, and what is not built for one, with what is wrong, where, and what may be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.declarations import with_fields
from tests.landed_nights import SHOP
from tests.nightjar.declaration.refusals import SPLIT, Declare, Wrong, assert_refused, cases, shop

from nightjar.declaration.alarms import Capacity, Precision, Recall
from nightjar.declaration.engines import Boosting, Network
from nightjar.declaration.gate import Gate
from nightjar.declaration.monitoring import Monitoring, Retraining
from nightjar.declaration.problem import (
    Binary,
    Cost,
    CostMatrix,
    Multiclass,
    Problem,
    QuantileCost,
    Regression,
    cost_of_binary,
    quantile_column,
)
from nightjar.declaration.rows import Rows
from nightjar.declaration.scoring import ScoreAudit, Scoring
from nightjar.declaration.spaces import Choice, FloatRange
from nightjar.declaration.tables import Column
from nightjar.declaration.training import Training
from nightjar.declaration.use_case import UseCase

CLASSES = Multiclass(classes=("kept", "returned", "swapped"))
COSTS = CostMatrix(costs={"kept": {"returned": 2.0, "swapped": 1.0}, "returned": {"kept": 10.0}})
NUMBER = Regression(unit="days")
COUNT = Regression(unit="pieces", loss="poisson")
BAND = Regression(unit="days", loss="quantile", quantiles=(0.1, 0.5, 0.9))
OTHERS = (CLASSES, NUMBER)
"""Problem types for which not everything is built."""


def of_type(problem: Problem, **changed: Any) -> Declare:
    """Return a function that declares the small use case with another problem, and no bounds."""
    return shop(**{"problem": problem, "gate": Gate(), **changed})


def engines(*declared: Boosting | Network, **fields: Any) -> Training:
    return Training(engines=declared, **fields)


WRONG: dict[str, list[Wrong]] = {
    "classes": [
        (lambda: Precision(1.0), "at_least is 1.0", "Precision.at_least", "below 1"),
        (lambda: Recall(0.0), "at_least is 0.0", "Recall.at_least", "above 0"),
        (lambda: Capacity(0), "rows is 0", "Capacity.rows", "at least 1"),
        (lambda: Binary(alarms=0.5), "alarms is 0.5", "Binary.alarms", "Precision or Recall or Capacity"),
        (lambda: Multiclass(classes=("a", "b")), "2 classes are declared", "Multiclass.classes", "a Binary problem"),
        (lambda: Multiclass(classes=("a", "b", "a")), "class a is declared more", "Multiclass.classes", "once"),
        (lambda: Multiclass(classes=("a", "b", "C d")), "class 'C d' cannot be part", "Multiclass.classes", "letters"),
        (lambda: Multiclass(classes=["a", "b", "c"]), "classes is [", "Multiclass.classes", "a tuple"),
        (
            lambda: replace(CLASSES, cost=CostMatrix(costs={"kept": {"lost": 1.0}})),
            "unknown class 'lost'", "Multiclass.cost", "kept, returned, swapped",
        ),
        (
            lambda: replace(CLASSES, cost=CostMatrix(costs={"lost": {"kept": 1.0}})),
            "unknown class 'lost'", "Multiclass.cost", "kept, returned, swapped",
        ),
        (
            lambda: CostMatrix(costs={"kept": {"returned": -1.0}}),
            "['returned'] is -1", "CostMatrix.costs['kept']['returned']", "at least 0",
        ),
        (
            lambda: replace(CLASSES, cost=Cost(missed=1, false_alarm=1)),
            "cost is Cost(", "Multiclass.cost", "CostMatrix",
        ),
    ],
    "numbers": [
        (lambda: Regression(unit=""), "unit is ''", "Regression.unit", "not blank"),
        (lambda: Regression(unit="d", loss="log"), "loss is 'log'", "Regression.loss", "'squared', 'absolute'"),
        (lambda: Regression(unit="d", loss="quantile"), "quantiles are ()", "Regression.quantiles", "(0.1, 0.5, 0.9)"),
        (lambda: replace(BAND, quantiles=(0.1, 0.9)), "quantiles are (0.1, 0.9)", "Regression.quantiles", "with 0.5"),
        (lambda: replace(BAND, quantiles=(0.9, 0.5)), "quantiles are (0.9, 0.5)", "Regression.quantiles", "ascending"),
        (lambda: replace(BAND, quantiles=(0.5, 0.5)), "quantiles are (0.5, 0.5)", "Regression.quantiles", "ascending"),
        (lambda: replace(BAND, quantiles=(0.5, 1.0)), "quantiles[1] is 1.0", "Regression.quantiles[1]", "below 1"),
        (lambda: replace(NUMBER, quantiles=(0.5,)), "'squared' does not train them", "Regression.quantiles", "leave"),
        (
            lambda: replace(BAND, quantiles=(0.5, 0.5 + 1e-9)),
            "quantile column q50 is declared more than once", "Regression.quantiles", "once",
        ),
        (lambda: replace(NUMBER, huber_slope=0), "huber_slope is 0", "Regression.huber_slope", "above 0"),
        (lambda: replace(NUMBER, tweedie_power=2), "tweedie_power is 2", "Regression.tweedie_power", "below 2"),
        (
            lambda: replace(BAND, cost=QuantileCost(under=19, over=1)),
            "asks for the quantile 0.95", "Regression.cost", "quantiles below and above it",
        ),
        (
            lambda: replace(NUMBER, cost=QuantileCost(under=1, over=1)),
            "asks for the quantile 0.5", "Regression.cost", "loss='quantile'",
        ),
        (lambda: QuantileCost(under=0, over=1), "under is 0", "QuantileCost.under", "above 0"),
    ],
    "columns": [
        (
            of_type(CLASSES, entity={"carried": (Column("p_kept", "double", "Of another model."),)}),
            "column p_kept is one that the problem adds", "shop, UseCase.entity", "prediction, p_kept, p_returned",
        ),
        (
            of_type(BAND, entity={"carried": (Column("q10", "double", "Of another model."),)}),
            "column q10 is one that the problem adds", "shop, UseCase.entity", "prediction, q10, q50, q90",
        ),
        (
            of_type(replace(BAND, quantiles=(1e-7, 0.5))),
            "name is 'q1e-05'", "Column.name", "lower-case letters",
        ),
    ],
    "metrics": [
        (of_type(CLASSES, gate=Gate(floors={"auc": 0.6})), "unknown metric 'auc'", "gate.floors", "macro_auc"),
        (of_type(CLASSES, gate=Gate(ceilings={"mae": 1.0})), "unknown metric 'mae'", "gate.ceilings", "log_loss"),
        (of_type(NUMBER, gate=Gate(decisive_metric="auc")), "unknown metric 'auc'", "decisive_metric", "mae, rmse"),
        (of_type(NUMBER, gate=Gate(ceilings={"pinball": 1.0})), "unknown metric 'pinball'", "ceilings", "mae, rmse"),
        (shop(gate=Gate(decisive_metric="rmse")), "unknown metric 'rmse'", "decisive_metric", "auc, brier"),
        (of_type(NUMBER, gate=Gate(floors={"rmse": 3.0})), "rmse has a floor, and less is", "gate.floors", "a ceiling"),
        (
            of_type(CLASSES, gate=Gate(ceilings={"expected_cost": 1.0})),
            "checks expected_cost, and no cost is declared", "UseCase.gate", "declare the cost of the problem",
        ),
        (
            of_type(BAND, gate=Gate(decisive_metric="expected_cost")),
            "checks expected_cost, and no cost is declared", "UseCase.gate", "pinball, mae, rmse",
        ),
        (
            of_type(NUMBER, monitoring=Monitoring(retraining=Retraining(floor=0.6))),
            "mae has a floor, and less is better", "monitoring.retraining.floor", "give it a ceiling",
        ),
        (
            of_type(CLASSES, monitoring=Monitoring(retraining=Retraining(ceiling=0.6))),
            "accuracy has a ceiling, and more is better", "monitoring.retraining.ceiling", "give it a floor",
        ),
    ],
    "training": [
        (
            shop(training=engines(Boosting(params={"objective": "reg:squarederror"}))),
            "'reg:squarederror' is not that of the problem", "training.engines", "trains with 'binary:logistic'",
        ),
        (
            of_type(CLASSES, training=engines(Boosting(params={"objective": "binary:logistic"}))),
            "'binary:logistic' is not that of the problem", "training.engines", "trains with 'multi:softprob'",
        ),
        (
            of_type(BAND, training=engines(Boosting(params={"objective": "reg:squarederror"}))),
            "'reg:squarederror' is not that of the problem", "training.engines", "trains with 'reg:quantileerror'",
        ),
        (
            shop(training=engines(Boosting(), student=Boosting(params={"objective": "reg:squarederror"}))),
            "'reg:squarederror' is not that of the problem", "training.student", "trains with 'binary:logistic'",
        ),
        (
            shop(
                training=engines(
                    Boosting(
                        params={"objective": "binary:logistic"},
                        space={"objective": Choice(("binary:logistic", "binary:hinge"))},
                    )
                )
            ),
            "'binary:hinge' is not that of the problem", "training.engines", "trains with 'binary:logistic'",
        ),
        (
            shop(training=engines(Boosting(params={"base_score": 2.0}))),
            "base_score is 2.0", "training.engines, base_score", "above 0 and below 1",
        ),
        (
            shop(training=engines(Boosting(params={"base_score": 0.5}, space={"base_score": FloatRange(0.2, 1.5)}))),
            "base_score is 1.5", "training.engines, base_score", "above 0 and below 1",
        ),
        (
            of_type(COUNT, training=engines(Boosting(params={"base_score": 0.0}))),
            "base_score is 0.0", "training.engines, base_score", "above 0",
        ),
        (
            lambda: Boosting(params={"num_class": 3}),
            "num_class is not a parameter", "Boosting.params", "declare Multiclass.classes",
        ),
        (
            lambda: Boosting(params={"quantile_alpha": 0.5}),
            "quantile_alpha is not a parameter", "Boosting.params", "declare Regression.quantiles",
        ),
        (
            shop(training=Training(calibration="temperature")),
            "unknown calibration of a binary problem 'temperature'", "training.calibration", "isotonic, none, platt",
        ),
        (
            of_type(NUMBER, training=Training(calibration="conformal")),
            "the problem declares none", "training.calibration", "declare quantiles",
        ),
        (
            of_type(CLASSES, training=Training(calibration="platt")),
            "unknown calibration of a multiclass problem 'platt'", "training.calibration", "best, none, temperature",
        ),
        (
            of_type(NUMBER, training=Training(calibration="isotonic")),
            "unknown calibration of a regression problem 'isotonic'", "training.calibration", "best, conformal, none",
        ),
    ],
    "options": [
        case
        for problem in OTHERS
        for case in (
            (
                of_type(problem, training=engines(Boosting(), Network(focal_gamma=2.0))),
                f"focal_gamma cannot be declared for a {problem.kind} problem", "shop", "for binary",
            ),
            (
                of_type(problem, training=Training(rows=Rows(negative_share=0.1))),
                "negative_share cannot be", "shop", "for binary",
            ),
            (
                of_type(problem, training=Training(balance_classes=True)),
                "balance_classes cannot be", "shop", "for binary",
            ),
            (
                of_type(problem, training=engines(Boosting(params={"scale_pos_weight": 2.0}))),
                "scale_pos_weight cannot be declared", "shop", "for binary",
            ),
            (
                of_type(problem, training=Training(compression=("distilled",))),
                "compression cannot be declared", "shop", "for binary",
            ),
            (of_type(problem, scoring=Scoring(reason_codes=1)), "reason_codes cannot be", "shop", "for binary"),
            (of_type(problem, scoring=Scoring(experiment=SPLIT)), "an experiment cannot be", "shop", "for binary"),
            (
                of_type(problem, scoring=Scoring(reason_codes=1, experiment=SPLIT)),
                "reason_codes, an experiment cannot be", "shop", "for binary",
            ),
        )
    ] + [
        (
            of_type(CLASSES, training=Training(rows=Rows(class_weights={"d": 2.0}))),
            "unknown class 'd'", "training.rows.class_weights", "choose from: kept, returned, swapped",
        ),
        (
            of_type(NUMBER, training=Training(rows=Rows(class_weights={"a": 2.0}))),
            "class_weights cannot be", "shop", "for multiclass",
        ),
        (
            of_type(CLASSES, scoring=Scoring(audit=ScoreAudit(max_mean_shift=2))),
            "max_mean_shift is 2", "scoring.audit.max_mean_shift", "at most 1",
        ),
    ],
}  # fmt: skip


@pytest.mark.parametrize(("declare", "what", "where", "allowed"), cases(WRONG))
def test_a_wrong_problem_is_refused_with_what_where_and_what_may_be(
    declare: Declare, what: str, where: str, allowed: str
) -> None:
    assert_refused(declare, what, where, allowed)


@pytest.mark.parametrize(
    ("problem", "changed"),
    [
        (Binary(), {"training": engines(Boosting(params={"objective": "binary:logistic", "base_score": 0.3}))}),
        (
            CLASSES,
            {
                "training": engines(Boosting(params={"objective": "multi:softprob"}), calibration="temperature"),
                "gate": Gate(floors={"accuracy": 0.6}, decisive_metric="macro_f1"),
                "monitoring": Monitoring(retraining=Retraining(floor=0.5)),
            },
        ),
        (replace(CLASSES, cost=COSTS), {"gate": Gate(ceilings={"expected_cost": 3.0})}),
        (
            NUMBER,
            {
                "training": engines(Boosting(params={"objective": "reg:squarederror", "base_score": -3.0})),
                "gate": Gate(ceilings={"mae": 2.0}, min_improvement=5.0, decisive_metric="rmse"),
                "monitoring": Monitoring(retraining=Retraining(ceiling=7.0)),
                "scoring": Scoring(audit=ScoreAudit(max_mean_shift=3)),
            },
        ),
        (COUNT, {"gate": Gate(ceilings={"poisson_deviance": 2.0})}),
        (
            replace(BAND, cost=QuantileCost(under=9, over=1)),
            {
                "training": Training(calibration="conformal"),
                "gate": Gate(ceilings={"coverage_error": 0.1}, decisive_metric="expected_cost"),
            },
        ),
    ],
)
def test_valid_problems_are_accepted(problem: Problem, changed: dict[str, Any]) -> None:
    assert of_type(problem, **changed)().problem == problem


@pytest.mark.parametrize(
    ("problem", "metric"),
    [
        (Binary(), "log_loss"),
        (CLASSES, "log_loss"),
        (NUMBER, "rmse"),
        (Regression(unit="days", loss="absolute"), "mae"),
        (Regression(unit="days", loss="huber"), "mae"),
        (COUNT, "poisson_deviance"),
        (Regression(unit="EUR", loss="tweedie"), "tweedie_deviance"),
        (BAND, "pinball"),
    ],
)
def test_models_are_compared_by_the_metric_of_the_problem_unless_the_gate_names_another(
    problem: Problem, metric: str
) -> None:
    declared = of_type(problem)()
    assert isinstance(declared, UseCase)
    assert declared.decisive_metric == metric
    *_, last = problem.metrics
    assert with_fields(declared, gate={"decisive_metric": last}).decisive_metric == last


@pytest.mark.parametrize(
    ("problem", "label", "columns"),
    [
        (Binary(), "double", {"prediction": "double"}),
        (Binary(cost=Cost(missed=2, false_alarm=1)), "double", {"prediction": "double", "decision": "boolean"}),
        (
            CLASSES,
            "string",
            {"prediction": "string", "p_kept": "double", "p_returned": "double", "p_swapped": "double"},
        ),
        (NUMBER, "double", {"prediction": "double"}),
        (
            replace(BAND, cost=QuantileCost(under=3, over=1)),
            "double",
            {"prediction": "double", "q10": "double", "q50": "double", "q90": "double", "decision": "double"},
        ),
    ],
)
def test_tables_have_the_columns_of_the_problem(problem: Problem, label: str, columns: dict[str, str]) -> None:
    declared = of_type(problem)()
    others = {column.name for column in SHOP.score_table.columns} - {"prediction"}
    assert {c.name: c.type for c in declared.score_table.columns if c.name not in others} == columns
    assert {c.name: c.type for c in declared.label_table.columns}["label"] == label


def test_the_cost_of_a_number_is_that_of_its_quantile() -> None:
    assert QuantileCost(under=3, over=1).quantile == 0.75
    assert replace(BAND, cost=QuantileCost(under=1, over=9)).cost  # at the lowest quantile
    assert [quantile_column(probability) for probability in (0.1, 0.29, 0.975)] == ["q10", "q29", "q97_5"]


def test_a_pair_of_classes_without_a_cost_costs_nothing() -> None:
    assert (COSTS.cost("returned", "kept"), COSTS.cost("swapped", "kept"), COSTS.cost("kept", "kept")) == (10, 0, 0)


def test_only_a_binary_problem_has_the_cost_of_an_alarm() -> None:
    cost = Cost(missed=2, false_alarm=1)
    assert cost_of_binary(Binary(cost=cost)) == cost
    assert cost_of_binary(replace(CLASSES, cost=COSTS)) is None
