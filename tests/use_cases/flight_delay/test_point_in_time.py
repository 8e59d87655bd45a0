"""No feature knows what happened after its prediction moment: real nights, tampered with after and before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nightjar.protocol.nights import Nights
from use_cases.flight_delay.landing import land
from use_cases.flight_delay.sources import SOURCES, TIMEZONE
from use_cases.flight_delay.use_case import USE_CASE

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.spark
NIGHT = date(2013, 3, 9)  # its next day has 23 hours
FIRST, AFTER = date(2013, 3, 5), date(2013, 3, 11)


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pd.DataFrame]:
    """Source name to its rows of all nights, two nights after the one predicted included."""
    landing: Path = tmp_path_factory.mktemp("landing")
    nights = Nights(first=FIRST, last=AFTER, timezone=TIMEZONE)
    land(nights, str(landing))
    tables = {}
    for source in SOURCES:
        frames = []
        for night in nights:
            frame = pd.read_csv(landing / USE_CASE.name / str(night) / source.file, keep_default_na=True)
            frames.append(frame.assign(ds=night))
        tables[source.name] = pd.concat(frames, ignore_index=True)
    return tables


def to_spark(spark: SparkSession, raw: Mapping[str, pd.DataFrame]) -> dict[str, DataFrame]:
    """The rows typed as in the raw tables."""
    tables = {}
    for source in SOURCES:
        columns = ("ds", *(column.name for column in source.file_columns))
        types = {column.name: column.type for column in source.table.columns}
        text = {name: [None if pd.isna(value) else str(value) for value in raw[source.name][name]] for name in columns}
        frame = spark.createDataFrame(pa.table({name: pa.array(text[name], pa.string()) for name in columns}))
        casts = [
            frame[name].cast("double").cast("int").alias(name)
            if types[name] == "int"
            else frame[name].cast(types[name]).alias(name)
            for name in columns
        ]
        tables[source.name] = frame.select(*casts)
    return tables


def features_of(
    spark: SparkSession, raw: Mapping[str, pd.DataFrame], first: date = NIGHT, last: date = NIGHT
) -> pd.DataFrame:
    """The features of :data:`NIGHT`, built together with those of ``first`` to ``last``."""
    from use_cases.flight_delay.features import build_features

    built = build_features(to_spark(spark, raw), Nights(first=first, last=last, timezone=TIMEZONE))
    rows = built.select(*USE_CASE.feature_table.column_names).toPandas()
    rows = rows[rows["ds"] == NIGHT]
    return rows.sort_values(list(USE_CASE.key)).reset_index(drop=True)


@pytest.fixture(scope="module")
def honest(spark: SparkSession, raw: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The features as they are."""
    return features_of(spark, raw)


def in_the_air_at_midnight(flights: pd.DataFrame) -> pd.Series[bool]:
    """Flights of the night that were certainly in the air at midnight, by departure and time in the air alone.

    Told from the record's own clock, not by the code under test.
    """
    left = flights["dep_time"] // 100 * 60 + flights["dep_time"] % 100
    overnight = (flights["dep_time"] < flights["sched_dep_time"]) & (flights["dep_delay"] > 0)
    return (flights["ds"] == NIGHT) & ((left + flights["air_time"] > 24 * 60) | overnight)


def tampered(raw: Mapping[str, pd.DataFrame], seed: int, minutes: float) -> dict[str, pd.DataFrame]:
    """Other outcomes of flights that were in the air at midnight, and another future altogether."""
    flights, weather = raw["flights"].copy(), raw["weather"].copy()
    late = in_the_air_at_midnight(flights)
    assert late.sum() > 20
    flights.loc[late, "arr_delay"] += abs(minutes)
    future = flights["ds"] > NIGHT
    shuffled = flights.loc[future].sample(frac=1.0, random_state=seed)
    flights.loc[future, ["arr_delay", "dep_delay"]] = shuffled[["arr_delay", "dep_delay"]].to_numpy() + minutes
    weather.loc[weather["ds"] > NIGHT, ["precip", "wind_speed"]] += 3.0
    planes, schedule = raw["planes"].copy(), raw["schedule"].copy()
    planes.loc[planes["ds"] > NIGHT, "seats"] = 1
    schedule = schedule[schedule["ds"] <= NIGHT]
    return {**raw, "flights": flights, "weather": weather, "planes": planes, "schedule": schedule}


@dataclass(frozen=True)
class Change:
    """Something that happens to a raw table after the night.

    Attributes:
        source: The source.
        kind: ``value`` (a column's), ``lost`` (rows), ``late`` (rows of the night itself and of those before it, which
            land only afterwards, as if they had always been so).
        column: Whose value changes; of late rows as well.
        share: Of the rows.
        value: The new value; None for none, ``"another"`` for that of any other row.
        seed: Which rows.
    """

    source: str
    kind: str
    column: str
    share: float
    value: Any
    seed: int

    def applied(self, table: pd.DataFrame) -> pd.DataFrame:
        """The table with the change; not a row of the night or before it is another."""
        random = np.random.default_rng(self.seed)
        known = (table["ds"] <= NIGHT).to_numpy()
        drawn = random.random(len(table)) < self.share
        if self.kind == "lost":
            return table[~(drawn & ~known)]
        if self.kind == "value":
            return self._changed(table, drawn & ~known, random)
        again = np.flatnonzero(drawn & known)
        more = table.iloc[np.concatenate([np.arange(len(table)), again])].reset_index(drop=True)
        late = np.arange(len(more)) >= len(table)
        days = random.integers(1, (AFTER - NIGHT).days + 1, len(again))
        more.loc[late, "ds"] = [NIGHT + timedelta(days=int(day)) for day in days]
        return self._changed(more, late, random)

    def _changed(self, table: pd.DataFrame, chosen: np.ndarray, random: np.random.Generator) -> pd.DataFrame:
        values = table[self.column].astype(object).to_numpy(copy=True)
        others = values[random.integers(0, len(values), int(chosen.sum()))]
        values[chosen] = others if self.value == "another" else self.value
        return table.assign(**{self.column: values})


@st.composite
def changes(draw: st.DrawFn) -> Change:
    """Any column of any source; numbers become any number, times and words those of other rows, all may be lost."""
    source = draw(st.sampled_from(SOURCES))
    column = draw(st.sampled_from(source.file_columns))
    values = st.none() | st.just("another")
    if column.type == "double":
        values |= st.floats(-3000, 3000)
    return Change(
        source=source.name,
        kind=draw(st.sampled_from(("value", "value", "late", "lost"))),
        column=column.name,
        share=draw(st.floats(0.05, 1.0)),
        value=draw(values),
        seed=draw(st.integers(0, 1000)),
    )


@settings(max_examples=8, suppress_health_check=list(HealthCheck))
@given(
    happened=st.lists(changes(), max_size=25),
    first=st.sampled_from((FIRST + timedelta(days=1), NIGHT)),
    last=st.sampled_from((NIGHT, NIGHT + timedelta(days=1), AFTER)),
)
def test_whatever_happens_afterwards_and_lands_late_no_feature_notices(
    spark: SparkSession,
    raw: dict[str, pd.DataFrame],
    honest: pd.DataFrame,
    happened: list[Change],
    first: date,
    last: date,
) -> None:
    """Nor does the night notice which others are built with it; without a change, it is the night that was served."""
    other = dict(raw)
    for change in happened:
        other[change.source] = change.applied(other[change.source])
    pd.testing.assert_frame_equal(features_of(spark, other, first=first, last=last), honest, check_exact=True)


@settings(max_examples=2, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1000), minutes=st.floats(1, 600))
def test_another_future_changes_no_feature(
    spark: SparkSession, raw: dict[str, pd.DataFrame], honest: pd.DataFrame, seed: int, minutes: float
) -> None:
    pd.testing.assert_frame_equal(features_of(spark, tampered(raw, seed, minutes)), honest, check_exact=True)


def test_another_future_changes_no_feature_of_a_night_inside_an_interval(
    spark: SparkSession, raw: dict[str, pd.DataFrame], honest: pd.DataFrame
) -> None:
    other = tampered(raw, seed=1, minutes=30.0)
    flights = other["flights"]
    flights.loc[flights["ds"] > NIGHT, "arr_delay"] = -2000.0  # as if they had landed on the day before
    pd.testing.assert_frame_equal(features_of(spark, other, last=AFTER), honest, check_exact=True)


@pytest.mark.parametrize(
    ("table", "column", "feature"),
    [
        ("flights", "arr_delay", "all_late_rate_1d"),
        ("weather", "pressure", "pressure_last"),
        ("planes", "seats", "plane_seats"),
    ],
)
def test_another_past_does_change_features(
    spark: SparkSession,
    raw: dict[str, pd.DataFrame],
    honest: pd.DataFrame,
    table: str,
    column: str,
    feature: str,
) -> None:
    changed = raw[table].copy()
    changed.loc[changed["ds"] == NIGHT, column] += 100
    assert not features_of(spark, {**raw, table: changed})[feature].equals(honest[feature])


def test_a_night_alone_is_the_night_of_a_long_interval_to_the_bit(
    spark: SparkSession, raw: dict[str, pd.DataFrame], honest: pd.DataFrame
) -> None:
    together = features_of(spark, raw, first=FIRST + timedelta(days=1))
    pd.testing.assert_frame_equal(together, honest, check_exact=True)


def test_every_scheduled_flight_has_one_row_of_features(raw: dict[str, pd.DataFrame], honest: pd.DataFrame) -> None:
    scheduled = raw["schedule"][raw["schedule"]["ds"] == NIGHT]
    assert len(honest) == len(scheduled)
    assert not honest.duplicated(list(USE_CASE.key)).any()
    assert set(honest["flight_date"]) == {NIGHT + timedelta(days=1)}


def test_cancelled_and_diverted_flights_have_no_label(spark: SparkSession, raw: dict[str, pd.DataFrame]) -> None:
    from use_cases.flight_delay.features import build_labels

    built = build_labels(to_spark(spark, raw), Nights(first=NIGHT, last=NIGHT, timezone=TIMEZONE)).toPandas()
    flights: Any = raw["flights"][raw["flights"]["ds"] == NIGHT]
    assert len(built) == len(flights)
    counts = built.groupby("outcome")["label"].agg(["size", "count"])
    assert counts.loc["cancelled", "size"] == flights["dep_time"].isna().sum()
    assert counts.loc["cancelled", "count"] == 0
    assert counts.loc["arrived", "size"] == counts.loc["arrived", "count"] == flights["arr_delay"].notna().sum()
    assert built["label"].sum() == (flights["arr_delay"] > 15).sum()
