"""Metrics against scikit-learn, and against figures worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from nightjar.contracts.errors import GateError
from nightjar.evaluation import metrics


def _sample(ties: bool) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    labels = (rng.random(4000) < 0.3).astype(float)
    predictions = np.clip(0.3 + 0.2 * labels + rng.normal(0, 0.2, 4000), 0, 1)
    return labels, predictions.round(2) if ties else predictions


@pytest.mark.parametrize("ties", [False, True])
def test_all_metrics_agree_with_scikit_learn(ties: bool) -> None:
    labels, predictions = _sample(ties)
    found = metrics.all_metrics(labels, predictions)
    assert found["auc"] == pytest.approx(sk.roc_auc_score(labels, predictions), abs=1e-12)
    assert found["pr_auc"] == pytest.approx(sk.average_precision_score(labels, predictions), abs=1e-12)
    assert found["log_loss"] == pytest.approx(sk.log_loss(labels, predictions), abs=1e-12)
    assert found["brier"] == pytest.approx(sk.brier_score_loss(labels, predictions), abs=1e-12)
    assert (found["rows"], found["positives"]) == (4000, labels.sum())


def test_figures_by_hand() -> None:
    labels, predictions = np.array([0.0, 1.0, 0.0, 1.0]), np.array([0.1, 0.4, 0.4, 0.9])
    # pairs (positive, negative): .4>.1, .4=.4, .9>.1, .9>.4: 3.5 of 4
    assert metrics.auc(labels, predictions) == 3.5 / 4
    # thresholds .9: precision 1, recall 1/2; .4: precision 2/3, recall 1
    assert metrics.average_precision(labels, predictions) == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert metrics.brier(labels, predictions) == pytest.approx((0.01 + 0.36 + 0.16 + 0.01) / 4)


def test_counts_of_two_ranks_add_up_to_the_auc_of_all() -> None:
    labels, predictions = _sample(ties=False)
    labels32, predictions32 = labels.astype(np.float32), predictions.astype(np.float32)
    parts = [metrics.auc_counts(labels32[i::2], predictions32[i::2]) for i in (0, 1)]
    whole = metrics.auc_of_counts(parts[0] + parts[1])
    assert whole == pytest.approx(sk.roc_auc_score(labels, predictions), abs=1e-4)
    assert sum(part.sum() for part in parts) == 4000


def test_a_constant_prediction_has_auc_one_half() -> None:
    labels = np.array([0.0, 1.0, 1.0])
    found = metrics.all_metrics(labels, np.full(3, 0.6))
    assert found["auc"] == 0.5
    assert found["pr_auc"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("labels", [[], [0.0, 0.0], [1.0]])
def test_nothing_to_measure_is_an_error(labels: list[float]) -> None:
    with pytest.raises(GateError, match="nothing can be measured"):
        metrics.all_metrics(np.array(labels), np.full(len(labels), 0.5))


@pytest.mark.parametrize("bad", [float("nan"), 1.5, -0.1])
def test_a_prediction_that_is_no_probability_is_an_error(bad: float) -> None:
    with pytest.raises(GateError, match="not probabilities"):
        metrics.all_metrics(np.array([0.0, 1.0]), np.array([0.5, bad]))
