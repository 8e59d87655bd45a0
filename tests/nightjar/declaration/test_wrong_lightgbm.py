"""What engines of one rank cannot do is refused when it is declared; every engine survives JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.nightjar.declaration.refusals import Declare, assert_refused
from tests.nightjar.declaration.test_wrong_forecasts_and_rankings import ranking

from nightjar.declaration.engines import (
    Boosting,
    Custom,
    DeclaredEngine,
    LightGBM,
    Linear,
    Network,
    Statistical,
    TwoTower,
    engine_from_dict,
    engine_to_dict,
)
from nightjar.declaration.rows import Rows
from nightjar.declaration.spaces import FloatRange, IntRange
from nightjar.declaration.training import Training, WarmStart

ALONE = {"world_size": 1, "engines": (LightGBM(),)}


@pytest.mark.parametrize(
    ("declare", "what", "where", "allowed"),
    [
        (lambda: LightGBM(params={"eta": 0.1}), "unknown LightGBM parameter 'eta'", "LightGBM.params", "learning_rate"),
        (lambda: LightGBM(params={"num_leaves": 1}), "['num_leaves'] is 1", "LightGBM.params", "at least 2"),
        (
            lambda: Training(engines=(LightGBM(),)),
            "world_size 2 cannot be declared", "Training.engines", "world_size=1",
        ),
        (
            lambda: Training(**ALONE, warm_start=WarmStart()),
            "warm_start cannot be declared with LightGBM", "Training.engines", "Boosting (XGBoost)",
        ),
        (
            lambda: Training(**ALONE, balance_classes=True),
            "balance_classes cannot be declared with LightGBM", "Training.engines", "Boosting (XGBoost)",
        ),
        (
            lambda: Training(engines=(Custom(), LightGBM()), warm_start=WarmStart()),
            "world_size 2, warm_start cannot be declared with Custom and LightGBM", "Training.engines", "world_size=1",
        ),
        (
            lambda: Training(engines=(Boosting(), Linear()), balance_classes=True),
            "balance_classes cannot be declared with Linear", "Training.engines", "Linear out",
        ),
        (
            lambda: Training(engines=(Linear(),), rows=Rows(half_life_days=3.0)),
            "weights in Training.rows cannot be declared with Linear", "Training.engines", "Linear out",
        ),
        (
            lambda: Training(engines=(Boosting(), Linear()), warm_start=WarmStart()),
            "linear is fitted from the start", "Training.warm_start", "leave warm_start",
        ),
        (
            ranking(training=Training(engines=(Linear(),))),
            "Linear among the engines cannot be", "shop", "binary, multiclass, regression",
        ),
        (lambda: Custom(function="fit model"), "function is 'fit model'", "Custom.function", "a text of"),
        (lambda: Custom(params={"a b": 1}), "'a b'", "a name in Custom.params", "a text of"),
        (
            lambda: Custom(space={"ridge": FloatRange(0.1, 1.0)}),
            "unknown parameter 'ridge'", "Custom.space", "choose from",
        ),
        (ranking(training=Training(**ALONE)), "LightGBM among the engines cannot be", "shop", "regression, forecast"),
    ],
)  # fmt: skip
def test_what_lightgbm_cannot_do_is_refused(declare: Declare, what: str, where: str, allowed: str) -> None:
    assert_refused(declare, what, where, allowed)


@pytest.mark.parametrize(
    "engine",
    [
        Boosting(params={"monotone_constraints": (1, 0)}),
        LightGBM(params={"num_leaves": 7}, num_rounds=9),
        Network(hidden=(8, 4), learning_rate="range_test", name="wide"),
        Custom(function="train", params={"ridge": 0.5}, space={"ridge": FloatRange(0.1, 1.0)}),
        Statistical(model="arima"),
        Linear(name="straight"),
        TwoTower(group_features=("sold",), item_features=("amount", "sold"), width=8, space={"width": IntRange(4, 16)}),
    ],
    ids=lambda engine: engine.kind,
)
def test_an_engine_survives_json(engine: DeclaredEngine) -> None:
    document: Any = json.loads(json.dumps(engine_to_dict(engine)))
    assert engine_from_dict(document) == engine
