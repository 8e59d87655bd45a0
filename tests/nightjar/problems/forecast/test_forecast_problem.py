"""Metrics of forecasts against plain numpy and utilsforecast; labels, levels, limits and audit."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from utilsforecast import losses

from nightjar.declaration.forecast import Forecast
from nightjar.declaration.quantiles import QuantileCost
from nightjar.problems.arrays import targets
from nightjar.problems.forecast.metrics import Position, sums_of_level
from nightjar.problems.forecast.problem import ForecastProblem
from nightjar.problems.registry import problem_type
from nightjar.protocol.errors import GateError

QUANTILES = (0.1, 0.5, 0.8)
DECLARED = Forecast(
    unit="pieces", horizon=3, season=7, quantiles=QUANTILES, hierarchy=("region", "shop"), nonnegative=True,
    cost=QuantileCost(under=3, over=1),
)  # fmt: skip
PROBLEM = ForecastProblem(DECLARED)
NIGHTS = 4


def rows(*, seed: int = 0) -> tuple[pa.Table, np.ndarray]:
    """Forecasts of six shops in two regions, three steps and four nights, as they are frozen; and their quantiles."""
    rng = np.random.default_rng(seed)
    made = [
        {
            "region": "north" if shop < 2 else "south",
            "shop": f"s{shop}",
            "step": step,
            "target_date": date(2025, 1, 1) + timedelta(days=night + step),
            "series_scale": None if shop == 5 else 0.5 + shop,
            "label": float(rng.poisson(3 + shop)),
        }
        for night in range(NIGHTS)
        for shop in range(6)
        for step in (1, 2, 3)
    ]
    schema = pa.schema([
        ("region", pa.string()), ("shop", pa.string()), ("step", pa.int32()), ("target_date", pa.date32()),
        ("series_scale", pa.float64()), ("label", pa.float64()),
    ])  # fmt: skip
    return pa.Table.from_pylist(made, schema=schema), np.sort(rng.gamma(4, 1, (len(made), 3)), axis=1)


def test_the_registry_knows_forecasts() -> None:
    assert problem_type(DECLARED) == PROBLEM


def test_labels_carry_what_metrics_need() -> None:
    table, _ = rows()
    encoded = PROBLEM.encode_labels(table)
    assert encoded.shape == (table.num_rows, 4 + 2)
    assert targets(encoded).tolist() == table["label"].to_pylist()
    assert encoded[:, Position.STEP].tolist() == table["step"].to_pylist()
    assert np.isnan(encoded[:, Position.SCALE]).sum() == 3 * NIGHTS
    regions, shops = encoded[:, Position.LEVELS], encoded[:, Position.LEVELS + 1]
    for groups, values in ((regions, table["region"]), (shops, table["shop"])):
        pairs = set(zip(groups.tolist(), values.to_pylist(), strict=True))
        assert len(pairs) == len(set(groups.tolist())) == len(set(values.to_pylist()))


@given(seed=st.integers(0, 2**20))
def test_metrics_are_those_of_utilsforecast_and_of_plain_numpy(seed: int) -> None:
    table, outputs = rows(seed=seed)
    measured = PROBLEM.measure(PROBLEM.encode_labels(table), outputs)
    label, scale, prediction = table["label"].to_numpy(), table["series_scale"].to_numpy(), outputs[:, 1]
    frame = pd.DataFrame({
        "unique_id": "all", "ds": np.arange(len(label)), "cutoff": 0, "y": label, "m": prediction,
        **{f"q{i}": outputs[:, i] for i in range(3)},
    })  # fmt: skip
    pinball = losses.mqloss(frame, {"q": ["q0", "q1", "q2"]}, np.array(QUANTILES))["q"].iloc[0]
    assert measured["wql"] == pytest.approx(2 * pinball / np.abs(label).mean(), rel=1e-9)
    errors = np.abs(label - prediction)
    assert measured["wape"] == pytest.approx(errors.sum() / label.sum(), rel=1e-9)
    assert measured["mase"] == pytest.approx(np.nanmean(errors / scale), rel=1e-9)
    assert measured["coverage"] == np.mean((outputs[:, 0] <= label) & (label <= outputs[:, 2]))
    assert measured["coverage_error"] == pytest.approx(abs(measured["coverage"] - 0.7), rel=1e-9)
    assert measured["signed_bias"] == pytest.approx((prediction - label).sum() / label.sum(), rel=1e-9)
    of_step = (table["step"].to_numpy() == 2).nonzero()[0]
    expected = PROBLEM.measure(PROBLEM.encode_labels(table.take(of_step)), outputs[of_step])["wql"]
    assert measured["wql_step_2"] == pytest.approx(expected, rel=1e-9)
    assert set(measured) >= set(DECLARED.metrics)


def test_errors_of_a_level_are_those_of_its_sums_which_add_up_exactly() -> None:
    table, outputs = rows()
    frame = table.to_pandas().assign(prediction=outputs[:, 1])
    measured = PROBLEM.measure(PROBLEM.encode_labels(table), outputs)
    for level, by in (("total", []), ("region", ["region"]), ("shop", ["region", "shop"])):
        sums = frame.groupby(["target_date", "step", *by])[["label", "prediction"]].sum()
        wape = (sums["label"] - sums["prediction"]).abs().sum() / sums["label"].sum()
        assert measured[f"wape_level_{level}"] == pytest.approx(wape, rel=1e-9)
    assert measured["wape_level_shop"] == pytest.approx(measured["wape"], rel=1e-12)
    assert measured["wape_level_total"] < measured["wape_level_region"] < measured["wape_level_shop"]
    exact = PROBLEM.encode_labels(table)
    whole = np.round(outputs[:, 1])  # whole numbers add up to the bit, in any order
    by_level = [sums_of_level(exact, whole, level) for level in range(3)]
    for labels, predictions in by_level:
        assert (labels.sum(), predictions.sum()) == (by_level[2][0].sum(), by_level[2][1].sum())


def test_validation_sums_add_up_over_ranks() -> None:
    table, outputs = rows()
    labels = PROBLEM.encode_labels(table)
    for metric in ("wql", "wape", "mase"):
        halves = [PROBLEM.validation_sums(metric, labels[part], outputs[part]) for part in (slice(20), slice(20, None))]
        found = PROBLEM.validation_value(metric, np.sum(halves, axis=0))
        assert found == pytest.approx(PROBLEM.measure(labels, outputs)[metric], rel=1e-12)
    assert PROBLEM.validation_metric("coverage_error").name == "wql"
    assert PROBLEM.validation_metric("mase").name == "mase"


def test_quantiles_never_cross_and_are_never_negative() -> None:
    rng = np.random.default_rng(3)
    crossing = [rng.normal(0, 2, (200, 3)) for _ in range(2)]
    blended = PROBLEM.blend(crossing, (0.3, 0.7))
    assert (np.diff(blended, axis=1) >= 0).all()
    assert blended.min() == 0
    labels = np.stack([rng.poisson(1, 200), *rng.normal(0, 1, (5, 200))], axis=1).astype(float)
    calibrator, _ = PROBLEM.fit_calibrator("conformal", labels, blended, 100, lambda sums: sums)
    calibrated = calibrator.apply(blended)
    assert (np.diff(calibrated, axis=1) >= 0).all()
    assert calibrated.min() == 0
    free = ForecastProblem(replace(DECLARED, nonnegative=False))
    assert free.blend(crossing, (0.3, 0.7)).min() < 0


def test_a_series_without_any_event_cannot_be_trained_on_or_judged_by() -> None:
    for obstacle in (PROBLEM.obstacle_to_training, PROBLEM.obstacle_to_measuring):
        assert obstacle(12, {"positive": 0, "negative": 0}) == "no signal: all 12 labels are 0"
        assert obstacle(0, {"positive": 0, "negative": 0}) == "no labels"
        assert obstacle(12, {"positive": 1, "negative": 0}) == ""


def test_negative_values_are_no_labels_of_counts() -> None:
    assert PROBLEM.valid_label.endswith("label >= 0")
    assert "label >= 0" not in ForecastProblem(replace(DECLARED, nonnegative=False)).valid_label


@pytest.mark.parametrize(
    ("changed", "wrong"),
    [
        pytest.param({}, 0, id="as predicted"),
        pytest.param({"q10": 9.0}, 1, id="crossing"),
        pytest.param({"q10": -1.0}, 1, id="negative"),
        pytest.param({"prediction": float("nan")}, 1, id="not a number"),
    ],
)
def test_the_audit_counts_rows_that_no_forecast_has(changed: dict[str, Any], wrong: int) -> None:
    row = {"prediction": 2.0, "q10": 1.0, "q50": 2.0, "q80": 3.0, **changed}
    batch = pa.RecordBatch.from_pylist([row, {"prediction": 2.0, "q10": 1.0, "q50": 2.0, "q80": 3.0}])
    assert PROBLEM.count_out_of_range(batch) == wrong


def test_predictions_that_are_not_finite_are_refused() -> None:
    table, outputs = rows()
    outputs[3, 1] = np.inf
    with pytest.raises(GateError, match="not finite"):
        PROBLEM.measure(PROBLEM.encode_labels(table), outputs)
