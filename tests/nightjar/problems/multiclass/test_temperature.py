"""A temperature is found on any number of ranks, keeps the order of the classes, and is chosen only if it helps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.nightjar.problems.multiclass.samples import PROBLEM, sample
from tests.ranks import alone, on_ranks

from nightjar.problems.binary.calibration import WORTH, Calibrator
from nightjar.problems.multiclass.calibration import MAX_TEMPERATURE, MIN_TEMPERATURE, Temperature, fit_temperature
from nightjar.problems.multiclass.metrics import losses_of_rows
from nightjar.protocol.documents import dump_json, load_json


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0, 4.0])
def test_a_known_temperature_is_recovered(temperature: float) -> None:
    labels, probabilities = sample(40_000, sharpness=temperature)
    assert fit_temperature(labels, probabilities, alone).temperature == pytest.approx(temperature, rel=0.03)


@given(seed=st.integers(0, 10_000), rows=st.integers(1, 60), sharpness=st.floats(0.1, 5))
def test_no_temperature_nearby_has_a_lower_loss(seed: int, rows: int, sharpness: float) -> None:
    labels, probabilities = sample(rows, seed=seed, sharpness=sharpness)
    found = fit_temperature(labels, probabilities, alone).temperature
    assert MIN_TEMPERATURE <= found <= MAX_TEMPERATURE

    def loss(temperature: float) -> float:
        return float(losses_of_rows(labels, Temperature(temperature=temperature).apply(probabilities)).sum())

    for nearby in (max(found * 0.99, MIN_TEMPERATURE), min(found * 1.01, MAX_TEMPERATURE)):
        assert loss(found) <= loss(nearby) + 1e-9


@given(seed=st.integers(0, 10_000), cuts=st.sets(st.integers(0, 200), max_size=3))
@settings(max_examples=20)
def test_ranks_with_any_parts_fit_the_temperature_of_all_rows(seed: int, cuts: set[int]) -> None:
    labels, probabilities = sample(200, seed=seed, sharpness=2.0)
    parts = list(zip(np.split(labels, sorted(cuts)), np.split(probabilities, sorted(cuts)), strict=True))
    found = on_ranks(lambda part, total: fit_temperature(*part, total), parts)
    assert found.temperature == pytest.approx(fit_temperature(labels, probabilities, alone).temperature, rel=1e-8)


@given(seed=st.integers(0, 10_000), temperature=st.floats(MIN_TEMPERATURE, MAX_TEMPERATURE))
def test_calibrated_rows_are_probabilities_in_the_same_order(seed: int, temperature: float) -> None:
    _, probabilities = sample(30, seed=seed)
    probabilities[0] = [1.0, 0.0, 0.0, 0.0]
    calibrator = Temperature(temperature=temperature)
    calibrated = calibrator.apply(probabilities)
    np.testing.assert_allclose(calibrated.sum(axis=1), 1.0, atol=1e-12)
    ranked = np.take_along_axis(calibrated, np.argsort(probabilities, axis=1), axis=1)
    assert (np.diff(ranked, axis=1) >= 0).all()
    alone_each = np.concatenate([calibrator.apply(probabilities[i : i + 1]) for i in range(30)])
    np.testing.assert_array_equal(alone_each, calibrated)
    assert load_json(Temperature, dump_json(calibrator)) == calibrator


def test_a_temperature_of_1_changes_nothing_and_a_higher_one_is_less_certain() -> None:
    _, probabilities = sample(50)
    np.testing.assert_allclose(Temperature(temperature=1.0).apply(probabilities), probabilities, atol=1e-12)
    assert (Temperature(temperature=3.0).apply(probabilities).max(axis=1) < probabilities.max(axis=1)).all()


@pytest.mark.parametrize(("labels", "bound"), [([0.0, 0.0], MIN_TEMPERATURE), ([1.0, 1.0], MAX_TEMPERATURE)])
def test_labels_that_a_perfect_or_inverse_prediction_has_stay_within_the_bounds(
    labels: list[float], bound: float
) -> None:
    probabilities = np.array([[0.7, 0.2, 0.1], [0.6, 0.2, 0.2]])
    assert fit_temperature(np.array(labels), probabilities, alone).temperature == pytest.approx(bound, rel=1e-6)


def test_best_is_a_temperature_for_overconfident_predictions() -> None:
    labels, probabilities = sample(4000, sharpness=2.0)
    calibrator, losses = PROBLEM.fit_calibrator("best", labels, probabilities, 2000, alone)
    assert calibrator == fit_temperature(labels, probabilities, alone)
    assert losses["none"] == pytest.approx(losses_of_rows(labels[2000:], probabilities[2000:]).mean())
    of_earlier = fit_temperature(labels[:2000], probabilities[:2000], alone)
    assert losses["temperature"] == pytest.approx(
        losses_of_rows(labels[2000:], of_earlier.apply(probabilities[2000:])).mean()
    )


def test_best_is_none_when_a_temperature_gains_too_little() -> None:
    labels, probabilities = sample(20_000, sharpness=1.03)
    calibrator, losses = PROBLEM.fit_calibrator("best", labels, probabilities, 10_000, alone)
    assert calibrator == Calibrator()
    assert 0 < losses["none"] - losses["temperature"] < WORTH


@pytest.mark.parametrize("cut", [0, 300])
def test_best_without_earlier_or_later_rows_is_a_temperature(cut: int) -> None:
    labels, probabilities = sample(300, sharpness=2.0)
    calibrator, losses = PROBLEM.fit_calibrator("best", labels, probabilities, cut, alone)
    assert (calibrator, losses) == (fit_temperature(labels, probabilities, alone), {})


def test_methods_that_are_declared_are_not_compared() -> None:
    labels, probabilities = sample(300, sharpness=2.0)
    assert PROBLEM.fit_calibrator("none", labels, probabilities, 150, alone) == (Calibrator(), {})
    calibrator, losses = PROBLEM.fit_calibrator("temperature", labels, probabilities, 150, alone)
    assert (calibrator, losses) == (fit_temperature(labels, probabilities, alone), {})


def test_ranks_choose_the_best_method_together_where_one_has_later_rows_alone() -> None:
    labels, probabilities = sample(2000, sharpness=2.0)
    parts = [(labels[:900], probabilities[:900], 900), (labels[900:], probabilities[900:], 100)]
    calibrator, losses = on_ranks(
        lambda part, total: PROBLEM.fit_calibrator("best", part[0], part[1], part[2], total), parts
    )
    whole, whole_losses = PROBLEM.fit_calibrator("best", labels, probabilities, 1000, alone)
    assert calibrator.temperature == pytest.approx(whole.temperature, rel=1e-8)
    assert losses == pytest.approx(whole_losses)
