"""Rows to fit: weights by column, class and age, sampled negatives, and a maximum of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from hypothesis import given
from hypothesis import strategies as st
from tests.training_sets import context, count_labels, one_rank, training_set

from nightjar.declaration.alarms import Capacity
from nightjar.declaration.engines import Boosting, LightGBM, Network
from nightjar.declaration.features import Feature
from nightjar.declaration.problem import Binary, Multiclass, Problem
from nightjar.declaration.rows import Rows
from nightjar.declaration.use_case import load_use_case
from nightjar.lake.lake import Lake
from nightjar.problems.registry import problem_type
from nightjar.protocol.errors import RowCountError, TrainingError
from nightjar.training.baselines import fit_baselines
from nightjar.training.data.shards import Shard, read_shard
from nightjar.training.data.splits import split_days
from nightjar.training.data.training_set import DayCount, Split, TrainingSet
from nightjar.training.data.weighting import class_weights, without_class_weights
from nightjar.training.distributed.agreement import check_shards
from nightjar.training.distributed.collective import collective
from nightjar.training.engines.member import outputs_of
from nightjar.training.engines.registry import ENGINES
from nightjar.training.ensemble.members import combine

DAYS = (date(2013, 1, 2), date(2013, 1, 3))
CLASSES = Multiclass(classes=("a", "b", "c"))


def of_rows(
    lake: Lake,
    rows: Rows,
    *,
    problem: Problem | None = None,
    labels: Sequence[Any] = (0.0, 1.0, 0.0, 1.0),
    amounts: Sequence[Any] = (2.0, 0.5, 0.0, 4.0),
) -> TrainingSet:
    """Write two label days with half of the labels each; return the training set with these rows to fit."""
    half = len(labels) // 2
    days = [day for day in DAYS for _ in range(half)]
    items = [f"{number:05}" for number in range(len(labels))]
    nights = [day - timedelta(days=1) for day in days]
    features = {"ds": nights, "item": items, "amount": list(amounts)}
    write_deltalake(f"{lake}/features/test", pa.table(features), partition_by=["ds"])
    write_deltalake(
        f"{lake}/labels/test", pa.table({"ds": days, "item": items, "label": list(labels)}), partition_by=["ds"]
    )
    declared = problem or Binary()
    counts = problem_type(declared).count_labels(np.array(labels)) if isinstance(declared, Binary) else {}
    split = Split(first=DAYS[0], last=DAYS[1], days=DAYS, rows=len(labels), labels=counts)
    found = training_set((Feature("amount", "numeric", "Amount."),))
    return replace(
        found,
        tables={"features/test": 0, "labels/test": 0},
        key=("item",),
        train=split,
        validation=replace(split, first=DAYS[1], days=DAYS[1:]),
        recipe=replace(found.recipe, rows=rows, problem=declared),
    )


def weights_of(shard: Shard) -> list[float]:
    return [float(weight) for *_, weights in shard.weighted_batches() for weight in weights]


def test_rows_weigh_by_their_column_and_their_age(lake: Lake) -> None:
    found = of_rows(lake, Rows(weight_column="amount", half_life_days=1.0))
    assert weights_of(read_shard(lake, found, found.train)) == [1.0, 0.25, 0.0, 4.0]
    assert weights_of(read_shard(lake, found, found.validation)) == [1.0, 1.0], "validation weighs all alike"


def test_rows_weigh_by_their_class(lake: Lake) -> None:
    rows = Rows(class_weights={"c": 3.0, "a": 0.5}, weight_column="amount")
    found = of_rows(lake, rows, problem=CLASSES, labels=("a", "c", "b", "c"))
    assert weights_of(read_shard(lake, found, found.train)) == [1.0, 1.5, 0.0, 12.0]
    assert class_weights(found.recipe) == (0.5, 1.0, 3.0)


@pytest.mark.parametrize("bad", [None, -1.0, float("nan"), float("inf")])
def test_a_row_without_a_weight_is_an_error_that_counts_and_names(lake: Lake, bad: float | None) -> None:
    found = of_rows(lake, Rows(weight_column="amount"), amounts=(1.0, 1.0, bad, 1.0))
    with pytest.raises(TrainingError, match="1 of 2 rows have no weight: amount is null, not finite") as caught:
        read_shard(lake, found, found.train)
    assert "label day 2013-01-03" in caught.value.where
    assert "weight_column" in caught.value.fix


def test_negatives_are_sampled_reproducibly_and_positives_all_kept(lake: Lake) -> None:
    labels = [float(number % 4 == 0) for number in range(2000)]
    found = of_rows(lake, Rows(negative_share=0.2), labels=labels, amounts=[1.0] * 2000)
    shard = read_shard(lake, found, found.train)
    assert shard.labels == {"positives": 500}
    assert shard.rows + shard.left_out == 2000
    assert shard.rows - 500 == pytest.approx(0.2 * 1500, abs=60)
    by_rank = [read_shard(lake, found, found.train, rank, 2) for rank in (0, 1)]
    assert sum(part.rows for part in by_rank) == shard.rows, "the same rows for any number of ranks"
    whole = read_shard(lake, found, found.validation)
    assert (whole.rows, whole.left_out) == (1000, 0), "validation has all rows"
    other_seed = replace(found, recipe=replace(found.recipe, seed=found.recipe.seed + 1))
    assert read_shard(lake, other_seed, found.train).rows != shard.rows
    counted = replace(found, validation=replace(found.validation, rows=1000, labels={"positives": 250}))
    check_shards(one_rank(), counted, shard, whole, where="x")
    short = replace(counted, train=replace(found.train, rows=2001))
    with pytest.raises(RowCountError, match="was frozen with 2001 rows"):
        check_shards(one_rank(), short, shard, whole, where="x")


def _binary_rows(rows: int, seed: int, *, negative_share: float = 1.0) -> Shard:
    """One feature; the log-odds of label 1 are its value less 2, so that one in six labels is 1."""
    random = np.random.default_rng(seed)
    signal = random.normal(size=rows)
    labels = random.random(rows) < 1 / (1 + np.exp(2 - signal))
    kept = labels | (random.random(rows) < negative_share)
    shard = Shard(columns=1, count_labels=count_labels)
    shard.append(signal[kept, None].astype(np.float32), labels[kept].astype(np.float32))
    return shard


@pytest.mark.parametrize(
    "engine",
    [
        Boosting(params={"max_depth": 2, "eta": 0.2}, num_rounds=60),
        LightGBM(params={"num_leaves": 4, "learning_rate": 0.2}, num_rounds=60),
        Network(hidden=(16,), epochs=6, batch_size=128, learning_rate=0.01),
    ],
    ids=lambda engine: engine.kind,
)
@pytest.mark.parametrize("balance", [False, True])
def test_probabilities_are_corrected_for_sampled_negatives(engine: Any, balance: bool) -> None:
    if balance and engine.kind == "lightgbm":
        pytest.skip("balance_classes cannot be declared with LightGBM")
    found = training_set((Feature("signal", "numeric", "Signal."),))
    recipe = replace(found.recipe, rows=Rows(negative_share=0.2), balance_classes=balance, decisive_metric="log_loss")
    train, validation = _binary_rows(20_000, 1, negative_share=0.2), _binary_rows(8_000, 2)
    split = replace(found.train, rows=train.rows)
    rows_of = context(train, validation, replace(found, recipe=recipe, train=split))
    fitted = ENGINES[engine.kind].fit(engine, rows_of)
    ((matrix, labels),) = validation.batches()
    raw = fitted.member.predict(matrix, threads=1).mean()
    corrected = outputs_of(fitted.member, fitted.card, matrix, threads=1).mean()
    assert raw > 2 * labels.mean()
    assert corrected == pytest.approx(labels.mean(), rel=0.1)
    with collective(rows_of.group):
        (baseline,) = fit_baselines(rows_of)
    of_baseline = outputs_of(baseline.member, baseline.card, matrix, threads=1).mean()
    assert of_baseline == pytest.approx(labels.mean(), rel=0.1)


def test_alarms_by_capacity_are_trained_like_others(lake: Lake) -> None:
    """Labels of a capacity have a second column; sampling, engines, ensemble and baseline read the first."""
    labels = [float(number % 4 == 0) for number in range(2000)]
    amounts = [label + 0.1 * (number % 7) for number, label in enumerate(labels)]
    found = of_rows(lake, Rows(negative_share=0.5), problem=Binary(alarms=Capacity(50)), labels=labels, amounts=amounts)
    train, validation = read_shard(lake, found, found.train), read_shard(lake, found, found.validation)
    assert train.labels == {"positives": 500}
    rows_of = context(train, validation, found)
    fitted = ENGINES["boosting"].fit(Boosting(num_rounds=5), rows_of)
    with collective(rows_of.group):
        ensemble = combine((fitted,), validation, found.recipe, threads=1)
        (baseline,) = fit_baselines(rows_of)
    assert (ensemble.threshold, baseline.threshold) == (None, None)
    ((_, of_validation),) = validation.batches()
    measured = rows_of.metric.problem.measure(of_validation, ensemble.outputs)
    assert measured["precision"] == 1.0
    assert measured["recall"] == 50 / 250


@given(st.lists(st.floats(0.01, 100), min_size=3, max_size=3), st.lists(st.floats(0.01, 1), min_size=3, max_size=3))
def test_correction_undoes_weights_that_multiply_the_odds(weights: list[float], shares: list[float]) -> None:
    probabilities = np.array([shares]) / sum(shares)
    distorted = probabilities * np.array(weights)
    distorted /= distorted.sum()
    np.testing.assert_allclose(without_class_weights(distorted, tuple(weights)), probabilities, rtol=1e-9)
    two = probabilities[:, :2] / probabilities[:, :2].sum()
    odds = two[0, 1] / two[0, 0] * weights[1] / weights[0]
    found = without_class_weights(np.array([odds / (1 + odds)]), (weights[0], weights[1]))
    np.testing.assert_allclose(found, two[0, 1:], rtol=1e-6)


def _split(rows: Rows) -> Split:
    use_case = load_use_case("flight_delay")
    training = replace(use_case.training, validation_days=1, holdout_days=1, rows=rows)
    declared = replace(use_case, training=training, gate=replace(use_case.gate, min_holdout_rows=1))
    counts = [DayCount(day=date(2013, 1, day), rows=10 * day, labels={"positives": 3}) for day in range(1, 11)]
    return split_days(counts, declared, where="x")["train"]


@pytest.mark.parametrize(
    ("rows", "first"),
    [
        (Rows(), 1),
        (Rows(max_rows=10_000), 1),
        (Rows(max_rows=80 + 70 + 60), 6),
        (Rows(max_rows=80 + 70 + 59), 7),
        (Rows(max_rows=1), 8),
        (Rows(max_rows=80 + 70 + 60, window_days=2), 7),
        (Rows(max_rows=80 + 70 + 60, window_days=5), 6),
    ],
)
def test_the_newest_days_within_the_maximum_of_rows_are_fitted(rows: Rows, first: int) -> None:
    split = _split(rows)
    assert (split.first, split.last) == (date(2013, 1, first), date(2013, 1, 8))
    assert split.rows == sum(10 * day for day in range(first, 9))
