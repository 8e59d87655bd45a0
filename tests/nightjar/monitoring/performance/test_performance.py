"""The laws of judging performance: what is exact, what merges, and how often intervals hold the truth."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from tests.nightjar.monitoring.performance.performance_nights import COST, draw, rows_of

from nightjar.declaration.alarms import Recall
from nightjar.declaration.problem import Binary, Cost
from nightjar.monitoring.performance import intervals
from nightjar.monitoring.performance.binary.calibration import GROUPS, calibration_error, group_rows
from nightjar.monitoring.performance.binary.estimate import ESTIMATED, estimate
from nightjar.monitoring.performance.binary.metrics import METRICS, ONE_CLASS, measure, tie_error
from nightjar.monitoring.performance.binary.summary import (
    BINS,
    NEGATIVE,
    POSITIVE,
    Rows,
    Summary,
    bin_of,
    merge,
    probability_of,
    summarize,
    summarize_groups,
)
from nightjar.monitoring.performance.problem import NO_DECISION, NO_LABELS
from nightjar.problems.binary import metrics

COSTLY, PLAIN = Binary(cost=COST), Binary()
ALARMING = Binary(cost=COST, alarms=Recall(0.5))
PREDICTIONS = st.floats(0, 1) | st.sampled_from([0.0, 0.2, 0.5, 1.0])
ROWS = st.lists(
    st.tuples(PREDICTIONS, st.sampled_from([0.0, 1.0, None]), st.booleans(), st.sampled_from([0.0, 1.0, None])),
    min_size=1,
    max_size=40,
)


def table(rows: list[tuple[Any, ...]]) -> Rows:
    predictions, labels, landed, decisions = (np.array(column, object) for column in zip(*rows, strict=True))
    return Rows(
        predictions=predictions.astype(float),
        labels=labels.astype(float),
        landed=landed.astype(bool) | ~np.isnan(labels.astype(float)),
        decisions=decisions.astype(float),
    )


def part(rows: Rows, chosen: Any) -> Rows:
    return Rows(**{name: getattr(rows, name)[chosen] for name in ("predictions", "labels", "landed", "decisions")})


@given(ROWS, st.data())
def test_parts_in_any_order_add_up_to_the_whole_to_the_bit(rows: list[tuple[Any, ...]], data: Any) -> None:
    whole = table(rows)
    order = np.array(data.draw(st.permutations(range(len(rows)))))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=3)))
    parts = [summarize(part(whole, chosen)) for chosen in np.split(order, cuts)]
    assert merge(parts) == summarize(whole)
    assert merge([merge(parts[:1]), *parts[1:][::-1]]) == summarize(whole)


@given(ROWS, st.data())
def test_groups_are_what_each_would_be_alone(rows: list[tuple[Any, ...]], data: Any) -> None:
    whole = table(rows)
    codes = np.array(data.draw(st.lists(st.integers(0, 4), min_size=len(rows), max_size=len(rows))))
    found = summarize_groups(whole, codes)
    assert found == {int(code): summarize(part(whole, codes == code)) for code in np.unique(codes)}
    assert merge(list(found.values())) == summarize(whole)


@given(ROWS)
def test_a_summary_comes_back_from_its_text(rows: list[tuple[Any, ...]]) -> None:
    summary = summarize(table(rows))
    assert Summary.from_json(summary.to_json()) == summary
    assert Summary.from_json(Summary().to_json()) == Summary()


def test_bins_are_fine_and_in_order() -> None:
    predictions = np.sort(np.concatenate([np.random.default_rng(1).random(10_000), 10.0 ** -np.arange(1, 16), [0, 1]]))
    bins = bin_of(predictions)
    assert (np.diff(bins) >= 0).all()
    assert bins.min() == 0
    assert bins.max() == BINS - 1
    inner = (predictions > 1e-6) & (predictions < 1 - 1e-6)
    middle = probability_of(bins)[inner]
    assert np.abs(middle - predictions[inner]).max() < 1e-4
    assert np.abs(middle / predictions[inner] - 1).max() < 5e-4


LABELLED = st.lists(st.tuples(st.sampled_from([0.05, 0.2, 0.2001, 0.5, 0.9]), st.sampled_from([0.0, 1.0])), min_size=4)


@given(LABELLED.filter(lambda rows: len({label for _, label in rows}) == 2))
@settings(max_examples=60)
def test_delong_is_what_all_pairs_say(rows: list[tuple[float, float]]) -> None:
    """Placements and their variances by brute force over all pairs (DeLong et al., 1988, section 2)."""
    predictions, labels = (np.array(column) for column in zip(*rows, strict=True))
    negatives, positives = predictions[labels == 0], predictions[labels == 1]
    pairs = np.array([[(p > n) + (p == n) / 2 for n in negatives] for p in positives], float)
    variance = sum(
        float(np.var(placed, ddof=1)) / len(placed) if len(placed) > 1 else math.inf
        for placed in (pairs.mean(axis=1), pairs.mean(axis=0))
    )
    summary = summarize(rows_of(predictions, labels))
    found = intervals.delong(summary.counts[NEGATIVE], summary.counts[POSITIVE], 0.95)
    assert found.value == pytest.approx(pairs.mean())
    if math.isinf(variance) and 0 < found.value < 1:
        assert (found.low, found.high) == (0.0, 1.0)
    elif variance > 1e-12 and 0 < found.value < 1:
        half = 1.959964 * math.sqrt(variance) / (found.value * (1 - found.value))
        centre = math.log(found.value / (1 - found.value))
        ends = [1 / (1 + math.exp(-end)) for end in (centre - half, centre + half)]
        assert [found.low, found.high] == pytest.approx(ends, abs=1e-6)


@pytest.mark.parametrize("metric", ["auc", "average_precision"])
def test_influences_are_derivatives(metric: str) -> None:
    random = np.random.default_rng(2)
    negatives, positives = random.integers(0, 5, 30).astype(float), random.integers(0, 5, 30).astype(float)
    figure = getattr(intervals, metric)
    found, step = figure(negatives, positives), 1e-6
    for place, of_positive in product(range(30), (False, True)):
        moved = [negatives.copy(), positives.copy()]
        moved[of_positive][place] += step
        slope = (figure(*moved).value - found.value) / step
        assert (found.positive if of_positive else found.negative)[place] == pytest.approx(slope, abs=1e-5)


def test_figures_are_those_of_the_rows() -> None:
    rows = draw(np.random.default_rng(3), 5000)
    found = measure(summarize(rows), confidence=0.95, declared=COSTLY, baseline_rate=0.22)
    exact = metrics.all_metrics(rows.labels, rows.predictions)
    exact |= metrics.decision_metrics(rows.labels, rows.predictions >= COST.threshold, COST)
    within = {"auc": tie_error(summarize(rows)), "pr_auc": 1e-3, "log_loss": 1e-9, "brier": 1e-9, "expected_cost": 1e-9}
    for metric, error in within.items():
        interval = found[metric].interval
        assert interval is not None
        assert interval.value == pytest.approx(exact[metric], abs=error)
    assert tie_error(summarize(rows)) < 1e-4
    assert tuple(found) == tuple(metric for metric in METRICS if metric not in ("precision", "recall"))
    alarms = measure(summarize(rows), confidence=0.95, declared=ALARMING, baseline_rate=0.22)
    assert tuple(alarms) == METRICS
    for metric in ("precision", "recall"):
        interval = alarms[metric].interval
        assert interval is not None
        assert interval.value == pytest.approx(exact[metric], abs=1e-12)
        assert interval.low < interval.value < interval.high
    decided = rows.predictions >= COST.threshold
    assert alarms["precision"].baseline == pytest.approx(rows.labels.mean())
    assert alarms["recall"].baseline == pytest.approx(decided.mean())


def test_a_constant_is_beaten_row_by_row() -> None:
    """The difference's interval is that of the rows' differences, not of two independent figures."""
    rows = draw(np.random.default_rng(4), 800)
    found = measure(summarize(rows), confidence=0.95, declared=COSTLY, baseline_rate=0.22)
    for metric, mine, its in (
        ("brier", (rows.predictions - rows.labels) ** 2, (0.22 - rows.labels) ** 2),
        ("log_loss", _losses(rows.predictions, rows.labels), _losses(np.full(800, 0.22), rows.labels)),
        ("expected_cost", _costs(rows.decisions, rows.labels), _costs(np.zeros(800), rows.labels)),
    ):
        excess, less = found[metric].excess, mine - its
        assert excess is not None
        half = 1.959964 * less.std(ddof=1) / math.sqrt(800)
        assert (excess.value, excess.low, excess.high) == pytest.approx(
            (less.mean(), less.mean() - half, less.mean() + half), abs=1e-6
        )
        assert found[metric].baseline == pytest.approx(its.mean())
    always = measure(summarize(rows), confidence=0.95, declared=COSTLY, baseline_rate=0.5)["expected_cost"]
    assert always.baseline == pytest.approx(_costs(np.ones(800), rows.labels).mean())


def _losses(predictions: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return -np.log(np.where(labels == 1, predictions, 1 - predictions))


def _costs(decisions: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return np.where(decisions == 1, COST.false_alarm * (labels == 0), COST.missed * (labels == 1))


def test_what_cannot_be_measured_says_why() -> None:
    alike = measure(summarize(rows_of([0.1, 0.2, 0.3], [0, 0, 0])), confidence=0.95, declared=PLAIN, baseline_rate=None)
    assert {
        metric: estimated.reason for metric, estimated in alike.items() if estimated.interval is None
    } == dict.fromkeys(("auc", "pr_auc"), ONE_CLASS)
    assert all(estimated.excess is None for estimated in alike.values())
    assert alike["log_loss"].baseline is None
    none = measure(summarize(rows_of([0.1], [math.nan])), confidence=0.95, declared=COSTLY, baseline_rate=0.2)
    assert {estimated.reason for estimated in none.values()} == {NO_LABELS}
    undecided = Rows(
        predictions=np.array([0.1, 0.9]),
        labels=np.array([0.0, 1]),
        landed=np.ones(2, bool),
        decisions=np.full(2, np.nan),
    )
    assert (
        measure(summarize(undecided), confidence=0.95, declared=COSTLY, baseline_rate=0.2)["expected_cost"].reason
        == NO_DECISION
    )
    assert "expected_cost" not in estimate(summarize(undecided), confidence=0.95, cost=COST)
    assert estimate(Summary(), confidence=0.95, cost=COST) == {}
    assert "auc" not in estimate(summarize(rows_of([0.3] * 5, [0] * 5)), confidence=0.95, cost=COST)


def test_perfect_order_of_few_rows_proves_little() -> None:
    few = summarize(rows_of([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1]))
    found = measure(few, confidence=0.95, declared=PLAIN, baseline_rate=0.5)["auc"].interval
    assert found is not None
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(0.025**0.5)
    wrong = measure(summarize(rows_of([0.1, 0.2, 0.8], [1, 0, 0])), confidence=0.95, declared=PLAIN, baseline_rate=0.5)[
        "auc"
    ].interval
    assert wrong is not None
    assert (wrong.value, wrong.low) == (0.0, 0.0)
    assert wrong.high > 0.9


RUNS = 400


@pytest.mark.parametrize(("rows", "shift"), [(250, 0.0), (1000, 0.0), (1000, 0.5)])
def test_intervals_hold_the_truth_about_as_often_as_declared(rows: int, shift: float) -> None:
    """95 % intervals over 400 simulated nights; 1.1 points are one standard error. The calibration error of calibrated
    scores is at its least, 0, so that only one end can miss."""
    random = np.random.default_rng(rows)
    parts = [summarize(draw(random, 200_000, shift=shift)) for _ in range(5)]
    truth = measure(merge(parts), confidence=0.95, declared=ALARMING, baseline_rate=0.22)
    hits = dict.fromkeys(METRICS, 0)
    for _ in range(RUNS):
        measured = measure(
            summarize(draw(random, rows, shift=shift)), confidence=0.95, declared=ALARMING, baseline_rate=0.22
        )
        for metric in METRICS:
            estimated, true = measured[metric].interval, truth[metric].interval
            assert estimated is not None
            assert true is not None
            hits[metric] += estimated.low <= true.value <= estimated.high
    coverage = {metric: count / RUNS for metric, count in hits.items()}
    print(rows, shift, coverage)
    assert all(0.915 <= share <= 0.99 for share in coverage.values()), coverage


def test_estimates_foretell_nights_of_calibrated_scores_and_are_off_where_the_world_moved() -> None:
    random = np.random.default_rng(6)
    hits = {shift: dict.fromkeys(ESTIMATED, 0) for shift in (0.0, 0.6)}
    for shift, counted in hits.items():
        for _ in range(RUNS):
            summary = summarize(draw(random, 900, shift=shift))
            told = estimate(summary, confidence=0.95, cost=COST)
            came = measure(summary, confidence=0.95, declared=COSTLY, baseline_rate=None)
            for metric in ESTIMATED:
                found = came[metric].interval
                assert found is not None
                counted[metric] += told[metric].low <= found.value <= told[metric].high
    print({shift: {metric: count / RUNS for metric, count in counted.items()} for shift, counted in hits.items()})
    assert all(0.915 <= count / RUNS <= 0.985 for count in hits[0.0].values())
    assert hits[0.6]["label_rate"] / RUNS < 0.01
    assert hits[0.6]["log_loss"] / RUNS < 0.05


def test_groups_hold_all_labelled_rows_in_order() -> None:
    rows = draw(np.random.default_rng(7), 1003)
    found = group_rows(summarize(rows), 0.95)
    assert len(found) == GROUPS
    assert sum(group.rows for group in found) == 1003
    assert max(group.rows for group in found) - min(group.rows for group in found) <= 2
    assert [group.predicted for group in found] == sorted(group.predicted for group in found)
    assert sum(g.rows * g.predicted for g in found) / 1003 == pytest.approx(rows.predictions.mean(), abs=1e-4)
    assert len(group_rows(summarize(rows_of([0.2] * 50 + [0.7] * 50, [0, 1] * 50)), 0.95)) == 2
    assert group_rows(Summary(), 0.95) == []


def test_a_calibration_error_is_what_is_left_beyond_chance() -> None:
    calibrated = calibration_error(group_rows(summarize(draw(np.random.default_rng(8), 900)), 0.95), 0.95)
    raw = metrics.calibration_error(*_of(draw(np.random.default_rng(8), 900)))
    assert calibrated.low == 0.0
    assert calibrated.value < raw - 0.01
    many = draw(np.random.default_rng(9), 150_000, shift=0.7)
    shifted = calibration_error(group_rows(summarize(many), 0.95), 0.95)
    assert shifted.value == pytest.approx(metrics.calibration_error(*_of(many)), abs=2e-3)
    assert shifted.low > 0.08
    assert shifted.low < shifted.value < shifted.high


def _of(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    return rows.labels, rows.predictions


@pytest.mark.parametrize(
    ("predictions", "labels"), [([0.02, 0.03, 0.9], [0, 0, 0]), ([0.9], [1]), ([0.0, 1.0], [1, 0])]
)
def test_no_interval_holds_what_its_metric_cannot_be(predictions: list[float], labels: list[float]) -> None:
    cost = Cost(missed=10, false_alarm=2)
    summary = summarize(rows_of(predictions, labels))
    measured = measure(summary, confidence=0.95, declared=Binary(cost=cost), baseline_rate=0.3)
    most = {"log_loss": np.inf, "expected_cost": 10.0}
    estimated = estimate(summary, confidence=0.95, cost=cost)
    for metric, found in [
        *((name, estimated.interval) for name, estimated in measured.items() if estimated.interval),
        *estimated.items(),
    ]:
        assert 0 <= found.low <= found.value <= found.high <= most.get(metric, 1.0), metric
    for metric, estimated in measured.items():
        if estimated.excess:
            assert -most.get(metric, 1.0) <= estimated.excess.low <= estimated.excess.high <= most.get(metric, 1.0), (
                metric
            )


@given(st.integers(1, 10**6), st.floats(0, 1), st.sampled_from([0.8, 0.95, 0.99]))
def test_wilsons_interval_is_scipys(rows: int, part: float, confidence: float) -> None:
    hits = round(part * rows)
    ours = intervals.share(hits, rows, confidence)
    theirs = binomtest(hits, rows).proportion_ci(confidence, method="wilson")
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
