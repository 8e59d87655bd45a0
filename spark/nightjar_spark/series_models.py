"""Statistical models of single series, fitted in Spark tasks with statsforecast."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from nightjar.declaration.forecast import ARIMA, ETS, SEASONAL_NAIVE, Forecast

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Values = NDArray[np.float64]

SEASONS_TO_FIT = 2
"""Seasons of history from which ETS and ARIMA are fitted; with fewer, the seasonal naive forecast takes their place."""


@dataclass(frozen=True, kw_only=True)
class SeriesForecast:
    """The statistical forecasts of one series from one night.

    Attributes:
        quantiles: Model to its quantiles (steps x quantiles).
        scale: Mean absolute difference of values one season apart; None when the history is shorter.
        replaced: Number of models whose forecasts are those of the seasonal naive.
    """

    quantiles: Mapping[str, Values]
    scale: float | None
    replaced: int


def forecast_series(values: Values, declared: Forecast) -> SeriesForecast:
    """Forecast a series by each of the problem's models.

    A model that cannot be fitted to these values is replaced by the seasonal naive.

    Args:
        values: The history, one value a day, the night's last; at least one.
        declared: Models, horizon, season and quantiles.
    """
    season = declared.season
    naive = _limited(_naive(values, declared), declared)
    found, replaced = {SEASONAL_NAIVE: naive}, 0
    for model in declared.models:
        if model != SEASONAL_NAIVE:
            fitted = _fitted(model, values, declared) if len(values) >= SEASONS_TO_FIT * season else None
            replaced += fitted is None
            found[model] = naive if fitted is None else _limited(fitted, declared)
    differences = np.abs(values[season:] - values[:-season])
    return SeriesForecast(
        quantiles=found, scale=float(differences.mean()) if len(differences) else None, replaced=replaced
    )


def _limited(quantiles: Values, declared: Forecast) -> Values:
    return np.maximum(quantiles, 0.0) if declared.nonnegative else quantiles


def _naive(values: Values, declared: Forecast) -> Values:
    """Return the seasonal naive forecast; the last value of a series that is shorter than a season."""
    from statsforecast.models import SeasonalNaive

    season = declared.season if len(values) >= SEASONS_TO_FIT * declared.season else 1
    if len(values) <= season:
        return np.full((declared.horizon, len(declared.quantiles)), values[-1])
    return _quantiles(SeasonalNaive(season_length=season), values, declared)


def _fitted(model: str, values: Values, declared: Forecast) -> Values | None:
    """Return a model's quantiles; None when it cannot be fitted."""
    from statsforecast.models import AutoARIMA, AutoETS

    models: Mapping[str, Callable[..., Any]] = {ETS: AutoETS, ARIMA: AutoARIMA}
    try:
        quantiles = _quantiles(models[model](season_length=declared.season), values, declared)
    except Exception:  # the library raises different errors for series that it cannot fit; they are counted
        return None
    return quantiles if np.isfinite(quantiles).all() else None


def _quantiles(model: Any, values: Values, declared: Forecast) -> Values:
    """Return the quantiles of a model's prediction intervals (steps x quantiles), ascending."""
    levels = {quantile: _level(quantile) for quantile in declared.quantiles if quantile != 0.5}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about single series
        found = model.forecast(y=values, h=declared.horizon, level=sorted(set(levels.values())) or None)
    columns = [
        found["mean"] if quantile == 0.5 else found[f"{'lo' if quantile < 0.5 else 'hi'}-{levels[quantile]}"]
        for quantile in declared.quantiles
    ]
    return np.sort(np.stack([np.asarray(column, np.float64) for column in columns], axis=1), axis=1)


def _level(quantile: float) -> float:
    """Return the level in percent of the interval that ends at a quantile: 80 for 0.1 and 0.9."""
    level = round(100 * abs(1 - 2 * quantile), 6)
    return int(level) if level == int(level) else level


def forecaster(declared: Forecast, by: Sequence[str]) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return the function that a Spark task runs on histories: columns ``ds``, ``by`` and ``values`` (array).

    It yields a row for each step: ``ds``, ``by``, ``step``, ``series_scale``, the models' columns, and ``replaced``.
    """
    steps = np.arange(1, declared.horizon + 1, dtype=np.int32)
    columns_by_model = {model: declared.columns_of(model) for model in declared.models}

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            histories = batch.column("values")
            made = [forecast_series(np.asarray(values, np.float64), declared) for values in histories.to_pylist()]
            repeated = pa.array(np.repeat(np.arange(batch.num_rows), declared.horizon))
            columns: dict[str, Any] = {name: batch.column(name).take(repeated) for name in ("ds", *by)}
            columns["step"] = pa.array(np.tile(steps, batch.num_rows), pa.int32())
            columns["series_scale"] = pa.array([forecast.scale for forecast in made], pa.float64()).take(repeated)
            for model, names in columns_by_model.items():
                quantiles = np.concatenate(
                    [np.zeros((0, len(names))), *(forecast.quantiles[model] for forecast in made)]
                )
                columns |= {name: pa.array(quantiles[:, i], pa.float64()) for i, name in enumerate(names)}
            columns["replaced"] = pa.array([forecast.replaced for forecast in made], pa.int32()).take(repeated)
            yield pa.RecordBatch.from_pydict(columns)

    return run
