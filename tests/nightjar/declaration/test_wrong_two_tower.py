"""Two towers are refused where they cannot be trained, with what is wrong, where, and what may be."""

from __future__ import annotations

from typing import Any

import pytest
from tests.nightjar.declaration.refusals import Declare, assert_refused, cases, shop
from tests.nightjar.declaration.test_wrong_forecasts_and_rankings import forecast, ranking

from nightjar.declaration.engines import Boosting, TwoTower
from nightjar.declaration.spaces import FloatRange, IntRange
from nightjar.declaration.training import Training, Tuning, WarmStart


def towers(**changed: Any) -> TwoTower:
    return TwoTower(**{"group_features": ("sold",), "item_features": ("amount",), **changed})


def training(*engines: Any, **fields: Any) -> Training:
    return Training(**{"world_size": 1, "calibration": "none", "engines": engines or (towers(),), **fields})


WRONG: dict[str, Any] = {
    "fields": [
        (lambda: towers(group_features=()), "group_features is empty", "TwoTower.group_features", "at least one"),
        (lambda: towers(item_features=()), "item_features is empty", "TwoTower.item_features", "at least one"),
        (lambda: towers(item_features=("a", "a")), "feature a is declared more", "TwoTower.item_features", "once"),
        (lambda: towers(vector_width=1), "vector_width is 1", "TwoTower.vector_width", "at least 2"),
        (lambda: towers(depth=0), "depth is 0", "TwoTower.depth", "at least 1"),
        (lambda: towers(dropout=1.0), "dropout is 1.0", "TwoTower.dropout", "below 1"),
        (lambda: towers(space={"hidden": IntRange(1, 2)}), "unknown parameter", "TwoTower.space", "vector_width"),
        (lambda: towers(space={"dropout": FloatRange(0.2, 0.5)}), "dropout is searched", "TwoTower.space", "within"),
    ],
    "ranks": [
        (lambda: training(world_size=2), "world_size 2 cannot be declared with TwoTower", "engines", "world_size=1"),
        (lambda: training(warm_start=WarmStart()), "warm_start cannot be declared with", "engines", "leave the others"),
    ],
    "use case": [
        (
            ranking(training=training(towers(group_features=("taste",)))),
            "unknown feature 'taste'", "TwoTower, group_features", "amount, sold",
        ),
        (
            ranking(training=training(Boosting(), towers(item_features=("sold", "clicks")))),
            "unknown feature 'clicks'", "TwoTower, item_features", "amount, sold",
        ),
        *(
            (declare(training=training(towers())), "TwoTower among the engines cannot be", "shop", "is for ranking")
            for declare in (forecast, shop)
        ),
    ],
}  # fmt: skip


@pytest.mark.parametrize(("declare", "what", "where", "allowed"), cases(WRONG))
def test_wrong_towers_are_refused(declare: Declare, what: str, where: str, allowed: str) -> None:
    assert_refused(declare, what, where, allowed)


def test_towers_may_be_tuned_beside_boosted_trees_of_a_ranking() -> None:
    searched = towers(space={"width": IntRange(16, 128), "learning_rate": FloatRange(1e-4, 1e-2, log=True)})
    declared = ranking(training=training(Boosting(), searched, tuning=Tuning()))()
    assert [engine.name for engine in declared.training.engines] == ["boosting", "two_tower"]
    assert searched.with_params({"width": 32}).width == 32
    assert "group_features" not in searched.declared()
