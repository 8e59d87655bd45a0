"""Calibration keeps the order of rows, stays within (0, 1), matches the labels, and survives JSON."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nightjar.problems.binary import calibration
from nightjar.problems.binary.calibration import GROUPS, WORTH, Calibrator, fit, fit_method, pool_adjacent_violators
from nightjar.problems.binary.metrics import AUC_BINS, auc, auc_counts
from nightjar.protocol.documents import dump_json, load_json

Rows = tuple[np.ndarray, np.ndarray]


def counts_of(labels: np.ndarray, answers: np.ndarray) -> np.ndarray:
    return auc_counts(labels, answers)


def sample(rows: int = 20_000, *, slope: float = 1.0, shift: float = 0.0, seed: int = 1) -> Rows:
    """Labels, and answers whose logit is ``slope`` times the true one plus ``shift``."""
    rng = np.random.default_rng(seed)
    logit = rng.normal(-1, 1.2, rows)
    labels = (rng.random(rows) < 1 / (1 + np.exp(-logit))).astype(float)
    return labels, 1 / (1 + np.exp(-(slope * logit + shift)))


@st.composite
def few_rows(draw: st.DrawFn) -> Rows:
    """Any labels and any answers, down to a single row."""
    size = draw(st.integers(1, 60))
    answers = draw(arrays(np.float64, size, elements=st.floats(0, 1)))
    return draw(arrays(np.float64, size, elements=st.sampled_from([0.0, 1.0]))), answers


@pytest.mark.parametrize("method", ["platt", "isotonic"])
@given(rows=few_rows(), asked=arrays(np.float64, 30, elements=st.floats(0, 1, width=32)))
@settings(max_examples=60)
def test_order_is_kept_within_the_open_interval_by_any_fit(
    method: calibration.Method, rows: Rows, asked: np.ndarray
) -> None:
    calibrator = fit_method(method, counts_of(*rows))
    calibrated = calibrator.apply(np.sort(asked))
    assert (np.diff(calibrated) >= 0).all()
    assert ((calibrated > 0) & (calibrated < 1)).all()
    alone = np.concatenate([calibrator.apply(np.sort(asked)[i : i + 1]) for i in range(len(asked))])
    assert (alone == calibrated).all()
    assert load_json(Calibrator, dump_json(calibrator)) == calibrator
    assert len(calibrator.answers) <= GROUPS + 2


@given(rows=few_rows())
@settings(max_examples=60)
def test_platt_and_the_steps_of_isotonic_mean_what_the_labels_do(rows: Rows) -> None:
    labels, answers = rows
    counts = counts_of(labels, answers)
    middles = (np.minimum((answers * AUC_BINS).astype(int), AUC_BINS - 1) + 0.5) / AUC_BINS
    positives, negatives = labels.sum(), len(labels) - labels.sum()
    drawn_in = (positives * (positives + 1) / (positives + 2) + negatives / (negatives + 2)) / len(labels)
    assert fit_method("platt", counts).apply(middles).mean() == pytest.approx(drawn_in, abs=1e-9)
    order = np.argsort(answers, kind="stable")
    steps = pool_adjacent_violators(np.stack([np.ones(len(labels)), labels[order]]))
    assert steps[0].sum() == len(labels)
    assert steps[1].sum() == positives
    assert (np.diff(steps[1] / steps[0]) > 0).all()


def test_the_steps_are_those_that_scikit_learn_finds() -> None:
    from sklearn.isotonic import IsotonicRegression

    labels, answers = sample(500)
    order = np.argsort(answers)
    steps = pool_adjacent_violators(np.stack([np.ones(500), labels[order]]))
    theirs = IsotonicRegression().fit_transform(answers[order], labels[order])
    np.testing.assert_allclose(np.repeat(steps[1] / steps[0], steps[0].astype(int)), theirs, atol=1e-12)


def test_platt_recovers_a_known_distortion() -> None:
    labels, answers = sample(200_000, slope=2.0, shift=0.8)
    found = fit_method("platt", counts_of(labels, answers))
    assert found.slope == pytest.approx(0.5, abs=0.02)
    assert found.intercept == pytest.approx(-0.4, abs=0.03)


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_the_auc_stays_and_the_mean_becomes_that_of_the_labels(method: calibration.Method) -> None:
    labels, answers = sample(slope=1.5, shift=1.0)
    calibrated = fit_method(method, counts_of(labels, answers)).apply(answers)
    assert auc(labels, calibrated) == pytest.approx(auc(labels, answers), abs=1e-9)
    assert calibrated.mean() == pytest.approx(labels.mean(), abs=2e-3)
    assert answers.mean() > labels.mean() + 0.1


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_inverse_predictions_keep_their_order(method: calibration.Method) -> None:
    labels, answers = sample()
    calibrated = fit_method(method, counts_of(1 - labels, answers)).apply(np.sort(answers))
    assert (np.diff(calibrated) >= 0).all()
    assert calibrated.mean() == pytest.approx(1 - labels.mean(), abs=0.02)


def test_nan_is_preserved() -> None:
    for method in calibration.METHODS:
        calibrated = fit_method(method, counts_of(*sample(100))).apply(np.array([0.2, np.nan]))
        assert np.isnan(calibrated).tolist() == [False, True]


def _bent(seed: int) -> Rows:
    """Answers that are true in the middle and far too bold at both ends, as no logistic function mends."""
    labels, answers = sample(40_000, seed=seed)
    return labels, np.where(answers < 0.3, answers / 20, np.where(answers > 0.5, 0.97 + answers / 50, answers))


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (lambda seed: sample(40_000, slope=2.0, shift=1.0, seed=seed), "platt"),
        (_bent, "isotonic"),
        (lambda seed: sample(40_000, seed=seed), "none"),
    ],
    ids=["tilted", "bent", "true"],
)
def test_best_is_selected_on_later_days_and_none_when_the_gain_is_small(rows: object, expected: str) -> None:
    earlier, later = (counts_of(*rows(seed)) for seed in (1, 2))  # type: ignore[operator]
    calibrator, losses = fit("best", earlier, later)
    assert calibrator.method == expected
    least = min(losses.values())
    assert least > losses["none"] - WORTH if expected == "none" else least == losses[calibrator.method]
    assert set(losses) == set(calibration.METHODS)
    assert calibrator == fit_method(calibrator.method, earlier + later)


def test_declared_method_is_fitted_and_a_single_day_is_not_compared() -> None:
    counts = counts_of(*sample(1000))
    nothing = np.zeros_like(counts)
    assert fit("isotonic", counts, counts)[0].method == "isotonic"
    assert fit("none", counts, counts) == (Calibrator(), {})
    assert fit("best", counts, nothing) == (fit_method("platt", counts), {})
