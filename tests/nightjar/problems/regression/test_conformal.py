"""Offsets make quantiles hold on rows not seen, on any number of ranks, and never let them cross."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.nightjar.problems.regression.samples import MEAN, QUANTILES, WITH_QUANTILES, sample
from tests.ranks import alone, on_ranks

from nightjar.problems.binary.calibration import Calibrator
from nightjar.problems.regression.calibration import Offsets, fit_offsets
from nightjar.protocol.documents import dump_json, load_json

DECLARED = WITH_QUANTILES.declared


@pytest.mark.parametrize(("width", "shift"), [(0.3, 0.0), (2.5, 0.0), (1.0, 3.0), (-1.0, 0.0)])
def test_each_quantile_holds_on_rows_not_seen(width: float, shift: float) -> None:
    offsets = fit_offsets(*sample(20_000, seed=1, width=width, shift=shift), DECLARED, alone)
    labels, outputs = sample(20_000, seed=2, width=width, shift=shift)
    shares = (labels[:, None] <= offsets.apply(outputs)).mean(axis=0)
    np.testing.assert_allclose(shares, QUANTILES, atol=0.01)
    assert WITH_QUANTILES.measure(labels, offsets.apply(outputs))["coverage_error"] < 0.01


def test_outermost_quantiles_cover_at_least_as_often_as_declared_with_few_rows() -> None:
    covered = []
    for seed in range(2000):
        labels, outputs = sample(15, seed=seed, width=0.5)
        offsets = fit_offsets(labels[:14], outputs[:14], DECLARED, alone)
        covered.append(WITH_QUANTILES.measure(labels[14:], offsets.apply(outputs[14:]))["coverage"])
    assert np.mean(covered) == pytest.approx(13 / 15, abs=0.03)  # between the first and the last of 14 residuals


@given(seed=st.integers(0, 10_000), rows=st.integers(1, 50), width=st.floats(-2, 2))
def test_calibrated_quantiles_never_cross(seed: int, rows: int, width: float) -> None:
    labels, outputs = sample(rows, seed=seed, width=width)
    offsets = fit_offsets(labels, outputs, DECLARED, alone)
    calibrated = offsets.apply(outputs)
    assert (np.diff(calibrated, axis=1) >= 0).all()
    alone_each = np.concatenate([offsets.apply(outputs[i : i + 1]) for i in range(rows)])
    np.testing.assert_array_equal(alone_each, calibrated)
    assert load_json(Offsets, dump_json(offsets)) == offsets


@given(seed=st.integers(0, 10_000), cuts=st.sets(st.integers(0, 200), max_size=3))
@settings(max_examples=20)
def test_ranks_with_any_parts_fit_the_offsets_of_all_rows(seed: int, cuts: set[int]) -> None:
    labels, outputs = sample(200, seed=seed, width=0.5)
    parts = list(zip(np.split(labels, sorted(cuts)), np.split(outputs, sorted(cuts)), strict=True))
    found = on_ranks(lambda part, total: fit_offsets(*part, DECLARED, total), parts)
    assert found.offsets == pytest.approx(fit_offsets(labels, outputs, DECLARED, alone).offsets, abs=1e-9)


def test_best_is_conformal_for_quantiles_that_do_not_hold() -> None:
    labels, outputs = sample(4000, width=0.3)
    calibrator, losses = WITH_QUANTILES.fit_calibrator("best", labels, outputs, 2000, alone)
    assert calibrator == fit_offsets(labels, outputs, DECLARED, alone)
    of_earlier = fit_offsets(labels[:2000], outputs[:2000], DECLARED, alone)
    assert losses == pytest.approx(
        {
            "none": WITH_QUANTILES.measure(labels[2000:], outputs[2000:])["pinball"],
            "conformal": WITH_QUANTILES.measure(labels[2000:], of_earlier.apply(outputs[2000:]))["pinball"],
        }
    )
    assert losses["conformal"] < losses["none"]


def test_best_is_none_when_offsets_do_not_help_on_later_rows() -> None:
    labels, outputs = sample(4000)
    labels[:2000] += 1.0  # only the earlier days run late
    calibrator, losses = WITH_QUANTILES.fit_calibrator("best", labels, outputs, 2000, alone)
    assert calibrator == Calibrator()
    assert losses["conformal"] > losses["none"]


@pytest.mark.parametrize("cut", [0, 300])
def test_best_without_earlier_or_later_rows_is_conformal(cut: int) -> None:
    labels, outputs = sample(300)
    calibrator, losses = WITH_QUANTILES.fit_calibrator("best", labels, outputs, cut, alone)
    assert (calibrator, losses) == (fit_offsets(labels, outputs, DECLARED, alone), {})


@pytest.mark.parametrize("method", ["none", "conformal", "best"])
def test_prediction_without_quantiles_is_not_calibrated(method: str) -> None:
    labels, outputs = sample(300)
    assert MEAN.fit_calibrator(method, labels, outputs[:, 2], 150, alone) == (Calibrator(), {})


def test_methods_that_are_declared_are_not_compared() -> None:
    labels, outputs = sample(300)
    assert WITH_QUANTILES.fit_calibrator("none", labels, outputs, 150, alone) == (Calibrator(), {})
    calibrator, losses = WITH_QUANTILES.fit_calibrator("conformal", labels, outputs, 150, alone)
    assert (calibrator, losses) == (fit_offsets(labels, outputs, DECLARED, alone), {})


def test_ranks_choose_the_best_method_together_where_one_has_later_rows_alone() -> None:
    labels, outputs = sample(2000, width=0.3)
    parts = [(labels[:900], outputs[:900], 900), (labels[900:], outputs[900:], 100)]
    calibrator, losses = on_ranks(
        lambda part, total: WITH_QUANTILES.fit_calibrator("best", part[0], part[1], part[2], total), parts
    )
    whole, whole_losses = WITH_QUANTILES.fit_calibrator("best", labels, outputs, 1000, alone)
    assert calibrator.offsets == pytest.approx(whole.offsets, abs=1e-9)
    assert losses == pytest.approx(whole_losses)
