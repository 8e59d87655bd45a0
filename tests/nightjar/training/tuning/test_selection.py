"""Noise columns are dropped, columns with signal stay, and constraints follow their columns."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
from tests.training_sets import count_labels, training_set

from nightjar.declaration.engines import Boosting, Network
from nightjar.declaration.features import Feature
from nightjar.declaration.training import Selection
from nightjar.protocol.errors import TrainingError
from nightjar.training.data.shards import Shard
from nightjar.training.distributed.launch import free_port
from nightjar.training.distributed.rendezvous import Group, LaunchContract
from nightjar.training.tuning.selection import Importances, drop_features, features_to_drop, measure

SIGNAL = ("strong", "weak", "category")
NOISE = ("noise_0", "noise_1", "noise_2", "noise_category")
FEATURES = tuple(
    Feature(name, "categorical" if "category" in name else "numeric", ".")
    for name in ("noise_0", "strong", "noise_1", "category", "noise_category", "weak", "noise_2")
)
CATEGORIES = {"category": ("a", "b", "c"), "noise_category": ("a", "b", "c")}
ENGINE = Boosting(
    params={"max_depth": 3, "eta": 0.2, "monotone_constraints": "(0,1,0,0,0,1,0)"},
    num_rounds=30,
    early_stopping_rounds=None,
)
TRAINING_SET = training_set(FEATURES, CATEGORIES, (ENGINE,))


def rows(seed: int, number: int = 3000) -> Shard:
    random = np.random.default_rng(seed)
    columns = {feature.name: random.normal(size=number) for feature in FEATURES}
    columns |= {name: random.integers(0, 3, number).astype(float) for name in CATEGORIES}
    strength = 1.2 * columns["strong"] + 0.5 * columns["weak"] + 0.8 * (columns["category"] == 1)
    labels = (random.random(number) < 1 / (1 + np.exp(-strength))).astype(np.float32)
    shard = Shard(columns=len(FEATURES), count_labels=count_labels)
    matrix = np.stack([columns[feature.name] for feature in FEATURES], axis=1).astype(np.float32)
    shard.append(np.ascontiguousarray(matrix), labels)
    return shard


@pytest.fixture
def group() -> Group:
    contract = LaunchContract(rank=0, world_size=1, master_addr="127.0.0.1", master_port=free_port())
    return Group(contract, "job", timeout_seconds=5)


@pytest.mark.parametrize(("method", "metric"), [("gain", "auc"), ("permutation", "auc"), ("permutation", "log_loss")])
def test_noise_is_dropped_with_its_figures_and_signal_stays(
    group: Group, method: Literal["gain", "permutation"], metric: str
) -> None:
    selection = Selection(method=method, probes=5, repeats=3)
    train, judge = rows(1), rows(2)
    frozen = replace(TRAINING_SET, recipe=replace(TRAINING_SET.recipe, decisive_metric=metric))
    measured = [measure(train, judge, frozen, selection, repeat, group=group, threads=2) for repeat in range(3)]
    again = measure(train, judge, frozen, selection, 0, group=group, threads=1)
    assert again == measured[0], "a repeat has its own seed"
    assert measured[0] != measured[1]
    reasons = features_to_drop(measured, selection, where="here")
    assert set(reasons) == set(NOISE)
    assert all("of the best random column" in reason for reason in reasons.values())


def test_constraints_follow_their_columns() -> None:
    left = drop_features(TRAINING_SET, ["noise_0", "weak", "noise_category"])
    assert [feature.name for feature in left.features] == ["strong", "noise_1", "category", "noise_2"]
    assert set(left.categories) == {"category"}
    assert isinstance(left.recipe.engines[0], Boosting)
    assert left.recipe.engines[0].params["monotone_constraints"] == "(1,0,0,0)"
    assert left.recipe.selection is None
    assert left.rows == TRAINING_SET.rows


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ((0, 1, 0, 0, 0, -1, 0), "(1,0,-1)"),
        ((0, 1, 0, 0, 0, 1, 0), "(1,0,1)"),
        ({"weak": 1, "noise_0": 1}, {"weak": 1}),
    ],
)
def test_constraints_may_be_written_as_the_engine_takes_them(given: Any, kept: Any) -> None:
    engine = replace(ENGINE, params={"monotone_constraints": given})
    left = drop_features(training_set(FEATURES, CATEGORIES, (engine, Network())), NOISE)
    assert isinstance(left.recipe.engines[0], Boosting)
    assert left.recipe.engines[0].params["monotone_constraints"] == kept
    assert left.recipe.engines[1] == Network()


def test_a_feature_must_win_in_most_repeats_and_not_all_may_go() -> None:
    won, lost = (
        Importances(features={"x": 2.0, "y": 0.0}, best_probe=1.0),
        Importances(features={"x": 1.0, "y": 9.0}, best_probe=1.0),
    )
    assert set(features_to_drop([won, won, lost], Selection(), where="here")) == {"y"}
    assert features_to_drop([won, lost, lost], Selection(), where="here") == {
        "x": "gain 1.333, of the best random column 1; better in 1 of 3 trainings"
    }
    with pytest.raises(TrainingError, match="no feature helps more than random numbers") as caught:
        features_to_drop([won, lost], Selection(), where="here")
    assert caught.value.how_many == 2
