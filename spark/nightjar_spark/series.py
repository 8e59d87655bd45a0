"""Features and labels of a forecast: its series checked, its steps, its statistical forecasts, and its labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn, cast

from pyspark.sql import Observation
from pyspark.sql import functions as F

from nightjar.declaration.forecast import Forecast
from nightjar.declaration.use_case import UseCase
from nightjar.features.horizon import FIRST_DAY, VALUES, with_values
from nightjar.protocol.errors import SourceError
from nightjar.protocol.nights import Nights, first_few
from nightjar_spark.built_tables import BuiltTables
from nightjar_spark.feature_inputs import FeatureInputs
from nightjar_spark.series_models import forecaster

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

SERIES, STEPS = "series", "steps"
"""Names of the frames that :func:`series_features` adds to the tables of the use case's ``build_features``."""
REPLACED = "replaced_forecasts"
"""Metric of the result: statistical forecasts in whose place the seasonal naive one is used."""
_EXAMPLES = 3


def series_tables(module: Any, inputs: FeatureInputs, use_case: UseCase, nights: Nights) -> BuiltTables:
    """Build the tables of a forecast from the use case's ``build_series`` and ``build_features``.

    Args:
        module: The use case's module ``features``.
        inputs: Raw rows of the nights and their history.
        use_case: A use case whose problem is a ``Forecast``.
        nights: Nights to build.

    Raises:
        SourceError: when a series has two values of a day, a gap, or a value that is not allowed, when its hierarchy
            does not add up, or when a night has no series.
    """
    horizon, tables = _declared(use_case).horizon, inputs.tables
    series = _series(module, tables, use_case, nights).localCheckpoint()
    _check_series(series, use_case)
    by_day = {row["ds"]: row["count"] for row in series.groupBy("ds").count().collect()}
    if empty := [night for night in nights if not by_day.get(night)]:
        raise SourceError(
            f"{first_few(empty)} has no series",
            where=f"build_series of {use_case.name}",
            how_many=len(empty),
            fix="return a value of each series for each night",
        )
    label_days = [night - timedelta(days=horizon - step) for night in nights for step in range(1, horizon + 1)]
    replaced = Observation()
    return BuiltTables(
        features=_features(module, tables, series, use_case, nights, replaced),
        labels=_labels(series, use_case, nights),
        feature_rows=horizon * sum(by_day[night] for night in nights),
        label_rows=sum(by_day.get(day, 0) for day in label_days),
        metrics=lambda: {REPLACED: float(replaced.get[REPLACED] or 0)},
    )


def series_features(module: Any, tables: Mapping[str, DataFrame], use_case: UseCase, nights: Nights) -> DataFrame:
    """Return the rows of the feature table alone, unchecked."""
    return _features(module, tables, _series(module, tables, use_case, nights), use_case, nights, Observation())


def _declared(use_case: UseCase) -> Forecast:
    return cast(Forecast, use_case.problem)


def _by(use_case: UseCase) -> list[str]:
    return [column.name for column in use_case.entity.key]


def _series(module: Any, tables: Mapping[str, DataFrame], use_case: UseCase, nights: Nights) -> DataFrame:
    """Return the value of each series and day, in the types of the declaration."""
    columns = [F.col(column.name).cast(column.type).alias(column.name) for column in use_case.entity.columns]
    series: DataFrame = module.build_series(tables, nights)
    return series.select("ds", *columns, F.col("value").cast("double").alias("value"))


def _check_series(series: DataFrame, use_case: UseCase) -> None:
    """Check days, values and hierarchy of each series; one job looks for all faults of a series.

    Raises:
        SourceError: naming the kind of fault, its number, and the first series.
    """
    declared, by = _declared(use_case), _by(use_case)
    is_wrong = F.col("value").isNull() | F.isnan("value") | (F.abs("value") == float("inf"))
    if declared.nonnegative:
        is_wrong |= F.col("value") < 0
    counted = series.groupBy(*by).agg(
        F.count("*").alias("rows"),
        F.count_distinct("ds").alias("days"),
        (F.datediff(F.max("ds"), F.min("ds")) + 1).alias("span"),
        F.count_if(is_wrong).alias("wrong"),
        F.greatest(F.lit(1), *(F.count_distinct(name) for name in declared.hierarchy), F.lit(1)).alias("parents"),
    )
    allowed = "finite and at least 0" if declared.nonnegative else "finite"
    faults: dict[str, tuple[Column, str]] = {
        "two values of one day": (F.col("rows") > F.col("days"), "return one row for each series and day"),
        "days without a value": (
            F.col("days") < F.col("span"),
            "return a row for each day from the first to the last; say what no event means, e.g. 0",
        ),
        f"values that are not {allowed}": (F.col("wrong") > 0, "correct the values, or declare nonnegative=False"),
        "several places in the hierarchy, which does not add up": (
            F.col("parents") > 1,
            "give each series one value of each column of the hierarchy",
        ),
    }
    found = counted.agg(*(F.count_if(condition).alias(fault) for fault, (condition, _) in faults.items())).first()
    for fault, (condition, fix) in faults.items():
        if found and found[fault]:
            _refuse(counted.where(condition), by, found[fault], f"have {fault}", use_case, fix)
    for parent, child in zip(declared.hierarchy, declared.hierarchy[1:], strict=False):
        torn = series.groupBy(child).agg(F.count_distinct(parent).alias("parents")).where("parents > 1")
        if number := torn.count():
            fix = f"give each {child} one {parent}, or declare the columns in another order"
            what = f"belong to several {parent}: the hierarchy does not add up"
            _refuse(torn, [child], number, what, use_case, fix)


def _refuse(faulty: DataFrame, by: Sequence[str], number: int, what: str, use_case: UseCase, fix: str) -> NoReturn:
    """Raise the error of ``number`` faulty rows, with the first of them."""
    rows = faulty.orderBy(*by).select(*by).limit(_EXAMPLES).collect()
    examples = "; ".join(" ".join(f"{name}={row[name]}" for name in by) for row in rows)
    raise SourceError(
        f"{number} of {use_case.name} {what}: {examples}{'; …' if number > len(rows) else ''}",
        where=f"build_series of {use_case.name}",
        how_many=number,
        fix=fix,
    )


def _features(
    module: Any,
    tables: Mapping[str, DataFrame],
    series: DataFrame,
    use_case: UseCase,
    nights: Nights,
    replaced: Observation,
) -> DataFrame:
    """Return the use case's own features beside those of the statistical models; ``replaced`` counts the latter."""
    declared, by = _declared(use_case), _by(use_case)
    entities = series.where(F.col("ds").between(nights.first, nights.last)).drop("value")
    every_step = F.explode(F.sequence(F.lit(1), F.lit(declared.horizon))).alias("step")
    steps = entities.select("*", every_step).withColumn("target_date", F.date_add("ds", F.col("step")))
    own: DataFrame = module.build_features({**tables, SERIES: series, STEPS: steps}, nights)
    of_series = F.sum(F.when(F.col("step") == 1, F.col("replaced"))).alias(REPLACED)
    forecasts = _forecasts(entities.select("ds", *by), series, use_case).observe(replaced, of_series)
    added = {"target_date", "series_scale", *(feature.name for feature in declared.series_features[1:])}
    key = ["ds", *by, "step"]
    carried = [name for name in steps.columns if name not in {*key, *own.columns, *added}]
    return own.drop(*added).join(steps.select(*key, *carried, "target_date"), key).join(forecasts.drop("replaced"), key)


def _forecasts(entities: DataFrame, series: DataFrame, use_case: UseCase) -> DataFrame:
    """Return the statistical forecasts of each series from each night, by the values of the last ``history_nights``."""
    declared, by = _declared(use_case), _by(use_case)
    known = with_values(series, by, "value")
    position = F.datediff("ds", F.col(FIRST_DAY))
    days = F.least(position, F.lit(use_case.data.history_nights)) + 1
    histories = entities.join(known, by).select("ds", *by, F.slice(VALUES, position - days + 2, days).alias("values"))
    types = {field.name: field.dataType.simpleString() for field in histories.schema}
    columns = [feature.name for feature in declared.series_features[1:]]
    schema = ", ".join(
        [
            *(f"{name} {types[name]}" for name in ("ds", *by)),
            "step int, series_scale double",
            *(f"{name} double" for name in columns),
            "replaced int",
        ]
    )
    parts = 4 * series.sparkSession.sparkContext.defaultParallelism  # fits take long: all cores share them
    return histories.repartition(parts).mapInArrow(forecaster(declared, by), schema)


def _labels(series: DataFrame, use_case: UseCase, nights: Nights) -> DataFrame:
    """Return the label rows: with ds D and step s the value of day D - horizon + s."""
    horizon = _declared(use_case).horizon
    every_step = F.explode(F.sequence(F.lit(1), F.lit(horizon))).alias("step")
    values = series.select(*_by(use_case), F.col("ds").alias("_day"), "value", every_step)
    landed = values.withColumn("ds", F.date_add("_day", horizon - F.col("step")))
    return landed.where(F.col("ds").between(nights.first, nights.last)).select(
        "ds",
        *_by(use_case),
        "step",
        F.col("value").alias("label"),
        F.lit("observed").alias("outcome"),
        F.to_utc_timestamp(F.date_add("_day", 1).cast("timestamp"), nights.timezone).alias("known_at"),
    )
