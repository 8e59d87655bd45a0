"""Chosen values replace declared ones."""

from __future__ import annotations

from nightjar.declaration.engines import Boosting, Network
from nightjar.declaration.spaces import FloatRange, IntRange


def test_chosen_values_replace_declared_ones_and_nothing_else() -> None:
    boosting = Boosting(params={"eta": 0.1, "max_depth": 4}, space={"eta": FloatRange(0.01, 0.3)})
    chosen = boosting.with_params({"eta": 0.2, "num_rounds": 50})
    assert (chosen.params, chosen.num_rounds) == ({"eta": 0.2, "max_depth": 4}, 50)
    assert chosen.space == boosting.space
    network = Network(hidden=(8,), space={"dropout": FloatRange(0, 0.5), "epochs": IntRange(1, 30)})
    assert network.with_params({"dropout": 0.3}).dropout == 0.3
