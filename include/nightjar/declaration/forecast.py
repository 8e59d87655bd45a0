"""The problem type of forecasts: what each series will be on each of the next days. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from nightjar.declaration.declared import Count, Declaration, Name, Probability, Text, check_unique, refuse
from nightjar.declaration.features import Feature
from nightjar.declaration.quality import QualityMetric, by_name, losses
from nightjar.declaration.quantiles import (
    QuantileCost,
    check_quantile_cost,
    check_quantiles,
    decision_column,
    quantile_column,
    quantile_columns,
)
from nightjar.declaration.tables import Column, ColumnType

SeriesModel = Literal["seasonal_naive", "ets", "arima"]
"""Statistical models of one series: the same day of the last season, exponential smoothing, and ARIMA."""
SEASONAL_NAIVE, ETS, ARIMA = get_args(SeriesModel)
BASELINES: tuple[SeriesModel, ...] = (SEASONAL_NAIVE, ETS)
STEP = Column("step", "int", "Nights from ds to target_date, from 1.", nullable=False)
TARGET_DATE = Column("target_date", "date", "Day that is forecast.", nullable=False)
SERIES_SCALE = Column(
    "series_scale", "double", "Mean absolute difference of values one season apart in the series' history."
)


@dataclass(frozen=True, kw_only=True)
class Forecast(Declaration):
    """The values of series on each of the next days: one prediction for each series and step.

    Attributes:
        unit: Unit of label and prediction, e.g. ``departures``.
        horizon: Number of steps: the days after a night that are forecast.
        season: Days of a season, e.g. 7 for weeks.
        quantiles: Probabilities of the quantiles to predict, ascending, with 0.5, the prediction, among them.
        models: Statistical models that each night fits to every series, and whose forecasts are inputs of the model.
            The baselines are always among them.
        hierarchy: Columns of the entity from coarse to fine. A forecast of a level is the sum of its series'
            predictions, and metrics are measured on each level too.
        nonnegative: Whether values and forecasts are at least 0.
        cost: Cost of errors; None for a use case without decisions.
    """

    kind: ClassVar[str] = "forecast"
    label_type: ClassVar[ColumnType] = "double"
    objective: ClassVar[str] = "reg:quantileerror"
    calibrations: ClassVar[tuple[str, ...]] = ("none", "conformal", "best")
    baselines: ClassVar[tuple[str, ...]] = BASELINES
    label_groups: ClassVar[tuple[str, ...]] = ("positive", "negative")
    metrics_of_decisions: ClassVar[tuple[QualityMetric, ...]] = losses("expected_cost")
    key_columns: ClassVar[tuple[Column, ...]] = (STEP,)
    carried_columns: ClassVar[tuple[Column, ...]] = (TARGET_DATE, SERIES_SCALE)
    has_rows_of_source: ClassVar[bool] = False
    means_are_shares: ClassVar[bool] = False

    unit: Text
    horizon: Count
    season: Count
    quantiles: tuple[Probability, ...] = (0.1, 0.5, 0.9)
    models: tuple[SeriesModel, ...] = BASELINES
    hierarchy: tuple[Name, ...] = ()
    nonnegative: bool = False
    cost: QuantileCost | None = None

    def check(self) -> None:
        """Check quantiles, models, hierarchy and cost."""
        check_quantiles(self.quantiles, where="Forecast.quantiles")
        check_quantile_cost(self.cost, self.quantiles, where="Forecast.cost")
        check_unique(self.models, kind="model", where="Forecast.models")
        check_unique(self.hierarchy, kind="column", where="Forecast.hierarchy")
        if missing := [model for model in BASELINES if model not in self.models]:
            refuse(
                f"{', '.join(missing)} is not among the models",
                where="Forecast.models",
                how_many=len(missing),
                fix=f"a forecast must beat the baselines {' and '.join(BASELINES)}; add others to these",
            )

    @property
    def metrics(self) -> Mapping[str, QualityMetric]:
        """Metrics that a gate can check; the first is the default."""
        of_decisions = self.metrics_of_decisions if self.cost else ()
        return by_name(
            (*losses("wql", "wape", "mase"), *losses("coverage_error", high=1.0), *losses("bias"), *of_decisions)
        )

    @property
    def monitored(self) -> str:
        """Metric of the nights that monitoring compares with the holdout."""
        return "wape"

    @property
    def quantile_columns(self) -> tuple[str, ...]:
        """Names of the columns of the quantiles, ascending."""
        return tuple(map(quantile_column, self.quantiles))

    def columns_of(self, model: str) -> tuple[str, ...]:
        """Return the columns of the feature table with a statistical model's quantiles, ascending."""
        return tuple(f"{model}_{column}" for column in self.quantile_columns)

    @property
    def series_features(self) -> tuple[Feature, ...]:
        """Inputs that Nightjar adds to the feature table: the step, and the quantiles of each statistical model."""
        return (
            Feature(STEP.name, "numeric", STEP.comment, drift=False),
            *(
                Feature(column, "numeric", f"Quantile {quantile:g} of {model} on the history. Unit: {self.unit}.")
                for model in self.models
                for column, quantile in zip(self.columns_of(model), self.quantiles, strict=True)
            ),
        )

    @property
    def levels(self) -> tuple[str, ...]:
        """Names of the levels above the series, from coarse to fine."""
        return ("total", *self.hierarchy)

    def prediction_columns(self, prediction: str) -> tuple[Column, ...]:
        """Return the columns of a prediction, whose meaning is ``prediction``."""
        return (
            Column("prediction", "double", f"{prediction} Unit: {self.unit}.", nullable=False),
            *quantile_columns(self.quantiles, self.unit),
        )

    @property
    def decision_columns(self) -> tuple[Column, ...]:
        """The column of the decision; none without costs."""
        return (decision_column(self.cost, self.unit),) if self.cost else ()
