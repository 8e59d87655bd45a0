"""The rows of a use case's feature and label tables, by its problem type: the one place that knows both ways."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from nightjar.declaration.forecast import Forecast
from nightjar.declaration.use_case import UseCase
from nightjar.protocol.nights import Nights
from nightjar_spark.built_tables import BuiltTables
from nightjar_spark.feature_inputs import FeatureInputs
from nightjar_spark.series import series_features, series_tables

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def build_tables(use_case: UseCase, inputs: FeatureInputs, nights: Nights) -> BuiltTables:
    """Return both tables of the nights, by the use case's module ``features``."""
    return _TABLES.get(use_case.problem.kind, _row_tables)(_module(use_case), inputs, use_case, nights)


def build_features(use_case: UseCase, tables: Mapping[str, DataFrame], nights: Nights) -> DataFrame:
    """Return the rows of the feature table alone."""
    return _FEATURES.get(use_case.problem.kind, _row_features)(_module(use_case), tables, use_case, nights)


def _module(use_case: UseCase) -> Any:
    return import_module(f"use_cases.{use_case.name}.features")


def _row_tables(module: Any, inputs: FeatureInputs, use_case: UseCase, nights: Nights) -> BuiltTables:
    """Build one row for each row of the sources of entities and of labels."""
    return BuiltTables(
        features=module.build_features(inputs.tables, nights),
        labels=module.build_labels(inputs.tables, nights),
        feature_rows=inputs.rows[use_case.data.features_from],
        label_rows=inputs.rows[use_case.data.labels_from],
    )


def _row_features(module: Any, tables: Mapping[str, DataFrame], use_case: UseCase, nights: Nights) -> DataFrame:
    features: DataFrame = module.build_features(tables, nights)
    return features


_TABLES: Mapping[str, Callable[[Any, FeatureInputs, UseCase, Nights], BuiltTables]] = {Forecast.kind: series_tables}
_FEATURES: Mapping[str, Callable[[Any, Mapping[str, DataFrame], UseCase, Nights], DataFrame]] = {
    Forecast.kind: series_features
}
"""Problem types whose rows are not those of their sources."""
