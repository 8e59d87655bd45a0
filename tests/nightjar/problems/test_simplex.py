"""Weights of an ensemble of numbers cost no more than any others."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ranks import alone, on_ranks

from nightjar.problems.simplex import weights_of_pinball, weights_of_squares


def members_of(seed: int, members: int, rows: int = 60) -> tuple[np.ndarray, list[np.ndarray]]:
    rng = np.random.default_rng(seed)
    labels = rng.normal(3, 2, rows)
    return labels, [labels + rng.normal(rng.normal(0, 1), rng.uniform(0.1, 2), rows) for _ in range(members)]


@given(seed=st.integers(0, 10_000), members=st.integers(2, 5))
@settings(max_examples=50)
def test_no_weights_have_a_lower_squared_error(seed: int, members: int) -> None:
    labels, outputs = members_of(seed, members)
    weights = np.array(weights_of_squares(labels, outputs, alone))
    assert weights.sum() == pytest.approx(1.0)
    assert (weights >= 0).all()

    def loss(tried: np.ndarray) -> float:
        return float(((tried @ np.stack(outputs) - labels) ** 2).sum())

    tries = np.random.default_rng(seed).dirichlet(np.ones(members), 500)
    near = [0.99 * weights + 0.01 * corner for corner in np.eye(members)]
    assert loss(weights) <= min(map(loss, [*tries, *near])) * (1 + 1e-6)


@given(seed=st.integers(0, 10_000), members=st.integers(2, 4))
@settings(max_examples=30)
def test_hardly_any_weights_have_a_lower_pinball_loss(seed: int, members: int) -> None:
    labels, outputs = members_of(seed, members)
    quantiles = np.array([0.2, 0.5, 0.8])
    stacked = [output[:, None] + np.array([-1.0, 0.0, 1.0]) for output in outputs]
    weights = np.array(weights_of_pinball(labels, stacked, quantiles, alone))
    assert weights.sum() == pytest.approx(1.0)
    assert (weights >= 0).all()

    def loss(tried: np.ndarray) -> float:
        errors = labels[:, None] - np.tensordot(tried, stacked, axes=1)
        return float(np.maximum(quantiles * errors, (quantiles - 1) * errors).sum())

    tries = np.random.default_rng(seed).dirichlet(np.ones(members), 500)
    assert loss(weights) <= min(map(loss, [*tries, *np.eye(members)])) * (1 + 5e-3)


def test_known_weights_are_recovered_exactly() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.normal(0, 1, (2, 100))
    found = weights_of_squares(0.3 * first + 0.7 * second, [first, second], alone)
    assert found == pytest.approx((0.3, 0.7), abs=1e-6)


def test_equal_members_share_their_weight() -> None:
    labels, (member,) = members_of(0, 1)
    assert weights_of_squares(labels, [member, member], alone) == pytest.approx((0.5, 0.5))
    assert weights_of_pinball(labels, [member[:, None]] * 2, (0.5,), alone) == pytest.approx((0.5, 0.5))


def test_perfect_members_have_weights() -> None:
    labels = np.arange(5.0)
    assert sum(weights_of_squares(labels, [labels, labels], alone)) == pytest.approx(1.0)


def test_useless_member_is_left_out_of_the_pinball_loss() -> None:
    rng = np.random.default_rng(0)
    labels, *errors = rng.normal(0, 1, (3, 500))
    outputs = [*(labels + error for error in errors), rng.normal(20, 10, 500)]
    found = weights_of_pinball(labels, [output[:, None] for output in outputs], (0.5,), alone)
    assert found == pytest.approx((0.5, 0.5, 0.0), abs=0.1)
    assert found[2] == 0.0


@given(seed=st.integers(0, 10_000), cuts=st.sets(st.integers(0, 60), max_size=3))
@settings(max_examples=20)
def test_ranks_with_any_parts_fit_the_weights_of_all_rows(seed: int, cuts: set[int]) -> None:
    labels, outputs = members_of(seed, 3)
    split = [np.split(values, sorted(cuts)) for values in (labels, *outputs)]
    parts = [(part[0], list(part[1:])) for part in zip(*split, strict=True)]
    squares = on_ranks(lambda part, total: weights_of_squares(*part, total), parts)
    assert squares == pytest.approx(weights_of_squares(labels, outputs, alone), abs=1e-9)
    columns = [output[:, None] for output in outputs]
    pinball = on_ranks(
        lambda part, total: weights_of_pinball(part[0], [output[:, None] for output in part[1]], (0.5,), total), parts
    )
    assert pinball == pytest.approx(weights_of_pinball(labels, columns, (0.5,), alone), abs=1e-6)
