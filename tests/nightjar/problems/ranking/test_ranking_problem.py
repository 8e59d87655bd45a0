"""Metrics of rankings against scikit-learn and plain Python; labels, sums over ranks, audit and limits."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, ndcg_score

from nightjar.declaration.ranking import Ranking
from nightjar.monitoring.performance.problem import ScoredRows
from nightjar.monitoring.performance.ranking.problem import RankingPerformance
from nightjar.problems.arrays import group_ids, targets
from nightjar.problems.ranking.metrics import BY_GROUP, halves_of, hash_items, item_numbers, ranks_of
from nightjar.problems.ranking.problem import RankingProblem
from nightjar.problems.registry import problem_type
from nightjar.protocol.errors import GateError

DECLARED = Ranking(group=("shop", "day"), item=("item",), k=4, popularity="sold", last_seen="seen")
PROBLEM = RankingProblem(DECLARED)
SIZES = (7, 1, 12, 5, 9)


def rows(seed: int, *, sizes: tuple[int, ...] = SIZES) -> tuple[np.ndarray, np.ndarray]:
    """Encoded labels of groups of these sizes, the second without a relevant item; and scores without ties.

    Items are the first of 15, some of which are in several groups.
    """
    rng = np.random.default_rng(seed)
    relevance = np.concatenate([
        np.zeros(size) if i == 1 else rng.integers(0, 4, size).astype(float) for i, size in enumerate(sizes)
    ])  # fmt: skip
    relevance[0] = 1.0
    first = np.concatenate([np.eye(1, size)[0] for size in sizes])
    items = halves_of(hash_items(f"item {number}" for size in sizes for number in rng.permutation(15)[:size]))
    return np.column_stack([relevance, first, items]), rng.permutation(len(relevance)).astype(float)


def split(labels: np.ndarray, scores: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Relevances and scores of each group with a relevant item."""
    groups = group_ids(labels)
    parts = [(labels[groups == g, 0], scores[groups == g]) for g in range(int(groups.max()) + 1)]
    return [(relevance, score) for relevance, score in parts if relevance.any()]


def test_the_registry_knows_rankings() -> None:
    assert problem_type(DECLARED) == PROBLEM


@given(seed=st.integers(0, 2**20))
def test_metrics_are_those_of_scikit_learn_and_of_plain_python(seed: int) -> None:
    labels, scores = rows(seed)
    measured = PROBLEM.measure(labels, scores)
    parts = split(labels, scores)
    ndcg, recall, hits, precision = [], [], [], []
    for relevance, score in parts:
        ndcg.append(ndcg_score([2**relevance - 1], [score], k=4) if len(score) > 1 else 1.0)
        order = np.argsort(-score)
        listed = relevance[order][:4] > 0
        recall.append(listed.sum() / (relevance > 0).sum())
        hits.append(listed.any())
        found = [listed[: i + 1].mean() for i in range(len(listed)) if listed[i]]
        precision.append(sum(found) / min((relevance > 0).sum(), 4))
    assert measured["ndcg"] == pytest.approx(np.mean(ndcg), rel=1e-9)
    assert measured["recall"] == pytest.approx(np.mean(recall), rel=1e-9)
    assert measured["hit_rate"] == pytest.approx(np.mean(hits), rel=1e-9)
    assert measured["map"] == pytest.approx(np.mean(precision), rel=1e-9)
    assert (measured["groups"], measured["groups_without_relevant"]) == (len(parts), len(SIZES) - len(parts))


def test_with_the_whole_list_the_average_precision_is_that_of_scikit_learn() -> None:
    whole = RankingProblem(Ranking(group=("shop",), item=("item",), k=100, popularity="sold", last_seen="seen"))
    labels, scores = rows(3)
    expected = [average_precision_score(relevance > 0, score) for relevance, score in split(labels, scores)]
    assert whole.measure(labels, scores)["map"] == pytest.approx(np.mean(expected), rel=1e-9)


def test_equal_scores_keep_the_order_of_rows() -> None:
    assert ranks_of(np.array([0, 0, 0, 1, 1]), np.array([1.0, 2.0, 1.0, 0.0, 0.0])).tolist() == [2, 1, 3, 1, 2]


def test_sums_add_up_over_ranks_and_days() -> None:
    labels, scores = rows(1)
    other, more = rows(2, sizes=(3, 2, 8))
    for metric in BY_GROUP:
        parts = [PROBLEM.validation_sums(metric, *part) for part in ((labels, scores), (other, more))]
        together = PROBLEM.measure(np.concatenate([labels, other]), np.concatenate([scores, more]))
        assert PROBLEM.validation_value(metric, np.sum(parts, axis=0)) == pytest.approx(together[metric], rel=1e-12)


def test_encoded_labels_tell_the_first_row_of_each_group() -> None:
    table = pa.table({
        "shop": ["a", "a", "a", "b", "b"], "day": [1, 1, 2, 2, 2], "item": [1, 2, 1, 1, 2], "label": [0, 1, 2, 0, 3],
    })  # fmt: skip
    encoded = PROBLEM.encode_labels(table)
    assert targets(encoded).tolist() == [0, 1, 2, 0, 3]
    assert group_ids(encoded).tolist() == [0, 0, 1, 2, 2]
    assert PROBLEM.encode_labels(table.slice(0, 0)).shape == (0, 4)


def test_encoded_labels_tell_the_item_on_all_days_and_in_float32() -> None:
    both = RankingProblem(Ranking(group=("shop",), item=("maker", "item"), popularity="sold", last_seen="seen"))
    table = pa.table({
        "shop": ["a", "a", "a", "b", "b"], "maker": ["x", "x1", "y", "x", "x1"], "item": [11, 1, 11, 11, 1],
        "label": [0.0, 1.0, 2.0, 0.0, 3.0],
    })  # fmt: skip
    days = [both.encode_labels(part).astype(np.float32) for part in (table, table.slice(3))]
    numbers = [item_numbers(labels) for labels in days]
    assert numbers[0].tolist() == hash_items(["x\x1f11", "x1\x1f1", "y\x1f11", "x\x1f11", "x1\x1f1"]).tolist()
    assert (numbers[1] == numbers[0][3:]).all()
    assert len(set(numbers[0].tolist())) == 3
    assert hash_items(["x"]).tolist() == [11_503_297_637_142], "not what b2sum -l 48 gives"


def catalogue(parts: list[tuple[list[str], np.ndarray]], k: int) -> dict[str, float]:
    """Coverage and novelty of groups of items with scores, in plain Python."""
    rows = Counter(item for items, _ in parts for item in items)
    listed = [items[i] for items, scores in parts for i in np.argsort(-scores)[:k]]
    total = sum(rows.values())
    return {
        "catalogue_coverage": len(set(listed)) / len(rows),
        "novelty": sum(-math.log2(rows[item] / total) for item in listed) / len(listed),
    }


groups_of_items = st.lists(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=8, unique=True), min_size=1)


@given(groups=groups_of_items, seed=st.integers(0, 2**20), k=st.integers(1, 9), parts=st.integers(1, 4))
def test_coverage_and_novelty_are_those_of_plain_python_on_the_holdout_and_on_nights(
    groups: list[list[str]], seed: int, k: int, parts: int
) -> None:
    declared = Ranking(group=("shop",), item=("item",), k=k, popularity="sold", last_seen="seen")
    count = sum(map(len, groups))
    scores = np.random.default_rng(seed).permutation(count).astype(float)
    starts = np.cumsum([0, *map(len, groups)])
    expected = catalogue([(g, scores[a:b]) for g, a, b in zip(groups, starts[:-1], starts[1:], strict=True)], k)
    table = pa.table({
        "shop": [number for number, items in enumerate(groups) for _ in items],
        "item": [item for items in groups for item in items], "label": np.ones(count),
    })  # fmt: skip
    labels = RankingProblem(declared).encode_labels(table)
    measured = RankingProblem(declared).measure(labels, scores)
    assert measured["items"] == len({item for items in groups for item in items})
    ranks = ranks_of(group_ids(labels), scores).astype(float)
    columns = {"rank": ranks, "item_group": group_ids(labels).astype(float), "item": item_numbers(labels).astype(float)}
    # labels of a night are not needed: one is enough for it to be judged
    night = ScoredRows(columns=columns, labels=np.append(1.0, np.full(count - 1, np.nan)), landed=np.ones(count, bool))
    problem = RankingPerformance(declared)
    summaries = problem.summarize(night, np.arange(count) % parts).values()
    merged = problem.merge([problem.read_summary(summary.to_json()) for summary in summaries])
    of_night = problem.measure(merged, confidence=0.95, baseline=None)
    for metric, value in expected.items():
        assert measured[metric] == pytest.approx(value, rel=1e-9)
        interval = of_night[metric].interval
        assert interval is not None
        assert interval.low == interval.value == interval.high == pytest.approx(value, rel=1e-9)


def test_novelty_is_in_bits_and_the_same_for_all_orders_of_full_groups() -> None:
    labels = PROBLEM.encode_labels(
        pa.table({"shop": [0] * 8 + [1] * 8, "day": [1] * 16, "item": [*range(8)] * 2, "label": np.ones(16)})
    )
    same = PROBLEM.measure(labels, -np.tile(np.arange(8.0), 2))
    other = PROBLEM.measure(labels, -np.append(np.arange(8.0), np.arange(8.0)[::-1]))
    assert (same["catalogue_coverage"], same["novelty"]) == (0.5, 3.0)
    assert (other["catalogue_coverage"], other["novelty"]) == (1.0, 3.0)


def test_groups_without_a_relevant_item_cannot_be_judged_by() -> None:
    assert PROBLEM.obstacle_to_training(9, {"relevant": 0}) == "no signal: none of 9 items is relevant"
    assert PROBLEM.obstacle_to_measuring(0, {"relevant": 0}) == "no labels"
    labels, scores = rows(0)
    labels[:, 0] = 0
    with pytest.raises(GateError, match="no group has a relevant item"):
        PROBLEM.measure(labels, scores)
    scores[3] = np.nan
    with pytest.raises(GateError, match="scores are not finite"):
        PROBLEM.measure(labels, scores)


def test_the_audit_counts_items_without_rank_or_score() -> None:
    scores = pa.RecordBatch.from_pydict({
        "prediction": [1.0, float("nan"), -2.0], "rank": pa.array([1, 2, 0], pa.int32()),
    })  # fmt: skip
    assert PROBLEM.count_out_of_range(scores) == 2


@pytest.mark.parametrize("parts", [1, 5])
def test_nights_are_measured_like_the_holdout_for_any_parts(parts: int) -> None:
    labels, scores = rows(4)
    groups = group_ids(labels)
    night = ScoredRows(
        columns={
            "rank": ranks_of(groups, scores).astype(float), "item_group": groups.astype(float) + 100,
            "item": item_numbers(labels).astype(float),
        },
        labels=labels[:, 0],
        landed=np.ones(len(labels), bool),
    )  # fmt: skip
    problem = RankingPerformance(DECLARED)
    summaries = problem.summarize(night, np.arange(len(labels)) % parts).values()
    merged = problem.merge([problem.read_summary(summary.to_json()) for summary in summaries])
    measured = problem.measure(merged, confidence=0.95, baseline=None)
    expected = PROBLEM.measure(labels, scores)
    for metric in ("ndcg", "map", "recall", "hit_rate"):
        interval = measured[metric].interval
        assert interval is not None
        assert interval.value == pytest.approx(expected[metric], rel=1e-12)
        assert 0 <= interval.low <= interval.value <= interval.high <= 1
