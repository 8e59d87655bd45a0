"""Clocks to instants: literal flights in, literal moments out."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nightjar.declaration.data import Source
from nightjar.protocol.nights import Nights
from use_cases.flight_delay.landing import land
from use_cases.flight_delay.sources import AIRPORTS, FLIGHTS, TIMEZONE

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.spark


def test_clock_times_are_minutes_of_the_day(spark: SparkSession) -> None:
    from pyspark.sql import functions as F

    from use_cases.flight_delay.clock import minutes_of_day

    clocks = spark.createDataFrame([(0,), (5,), (59,), (100,), (1230,), (2359,), (2400,)], "hhmm int")
    minutes = [row[0] for row in clocks.select(minutes_of_day(F.col("hhmm"))).collect()]
    assert minutes == [0, 5, 59, 60, 750, 1439, 1440]


def test_the_prediction_moment_is_that_of_the_contract_on_every_night_of_the_year(spark: SparkSession) -> None:
    from pyspark.sql import functions as F

    from use_cases.flight_delay.clock import prediction_moment

    year = Nights(first=date(2013, 1, 1), last=date(2013, 12, 31), timezone=TIMEZONE)
    nights = spark.createDataFrame([(night,) for night in year], "ds date")
    seconds = nights.select("ds", F.unix_timestamp(prediction_moment(F.col("ds"))).alias("at")).collect()
    assert {row["ds"]: row["at"] for row in seconds} == {
        night: int(year.prediction_moment(night).timestamp()) for night in year
    }


def test_what_happened_before_local_midnight_is_of_that_day(spark: SparkSession) -> None:
    from pyspark.sql import functions as F

    from use_cases.flight_delay.clock import local_day

    instants = [
        ("2013-03-10 04:59:59", date(2013, 3, 9)),  # winter: midnight is 05:00 UTC
        ("2013-03-10 05:00:00", date(2013, 3, 10)),
        ("2013-03-11 03:59:59", date(2013, 3, 10)),  # summer time since 02:00: midnight is 04:00 UTC
        ("2013-03-11 04:00:00", date(2013, 3, 11)),
        ("2013-11-04 04:59:59", date(2013, 11, 3)),  # a day of 25 hours
        ("2013-11-04 05:00:00", date(2013, 11, 4)),
    ]
    frame = spark.createDataFrame(instants, "at string, day date")
    for row in frame.select("day", local_day(F.col("at").cast("timestamp")).alias("found")).collect():
        assert row["found"] == row["day"]


SCHEDULED = [  # time_hour, departure and arrival clocks, destination's zone; departure and arrival in UTC
    ("2013-01-15T11:00:00Z", 605, 934, "America/Los_Angeles", "2013-01-15 11:05", "2013-01-15 17:34"),
    ("2013-01-16T04:00:00Z", 2359, 444, "America/Puerto_Rico", "2013-01-16 04:59", "2013-01-16 08:44"),
    ("2013-01-15T14:00:00Z", 900, 1450, "Pacific/Honolulu", "2013-01-15 14:00", "2013-01-16 00:50"),
    ("2013-03-10T02:00:00Z", 2145, 34, TIMEZONE, "2013-03-10 02:45", "2013-03-10 05:34"),  # before clocks change
    ("2013-03-10T05:00:00Z", 30, 530, TIMEZONE, "2013-03-10 05:30", "2013-03-10 09:30"),  # while they change
    ("2013-01-15T14:00:00Z", 900, 1100, None, "2013-01-15 14:00", "2013-01-16 14:00"),  # unknown: a day later
]


def test_scheduled_moments(spark: SparkSession) -> None:
    from pyspark.sql import functions as F

    from use_cases.flight_delay.clock import scheduled_arrival, scheduled_departure

    names = "hour string, dep int, arr int, zone string, departs string, arrives string"
    departure = scheduled_departure(F.col("hour").cast("timestamp"), F.col("dep"))
    both = ("departure", "arrival")
    rows = (
        spark.createDataFrame(SCHEDULED, names)
        .withColumn("departure", departure)
        .withColumn("arrival", scheduled_arrival(F.col("departure"), F.col("arr"), F.col("zone")))
        .select("departs", "arrives", *(F.date_format(c, "yyyy-MM-dd HH:mm").alias(c) for c in both))
        .collect()
    )
    assert [(row["departure"], row["arrival"]) for row in rows] == [(row["departs"], row["arrives"]) for row in rows]
    assert len(rows) == len(SCHEDULED)


def test_puerto_rico_and_the_virgin_islands_have_a_zone_though_none_lands(spark: SparkSession) -> None:
    from pyspark.sql import functions as F

    from use_cases.flight_delay.clock import zone_of

    airports = [("SJU", None), ("STT", None), ("LAX", "America/Los_Angeles"), ("XXX", None)]
    frame = spark.createDataFrame(airports, "faa string, tzone string")
    zones = [row[0] for row in frame.select(zone_of(F.col("faa"), F.col("tzone"))).collect()]
    assert zones == ["America/Puerto_Rico", "America/Puerto_Rico", "America/Los_Angeles", None]


def landed(spark: SparkSession, landing: Path, source: Source, night: date) -> DataFrame:
    from pyspark.sql import functions as F

    path = landing / "flight_delay" / str(night) / source.file
    types = ", ".join(f"{column.name} {column.type}" for column in source.file_columns)
    return spark.read.csv(str(path), schema=types, header=True, nullValue="NA").withColumn("ds", F.lit(night))


def test_derived_arrivals_show_the_recorded_clock(spark: SparkSession, tmp_path: Path) -> None:
    """A snowy night, one before clocks change, one of summer: the derived minute is that of ``arr_time``."""
    from pyspark.sql import functions as F

    from use_cases.flight_delay.clock import zone_of
    from use_cases.flight_delay.moments import with_arrival

    wrong, flown = [], 0
    for night in (date(2013, 2, 8), date(2013, 3, 9), date(2013, 7, 10)):
        land(Nights(first=night, last=night, timezone=TIMEZONE), str(tmp_path))
        flights, airports = (landed(spark, tmp_path, source, night) for source in (FLIGHTS, AIRPORTS))
        zones = airports.select(F.col("faa").alias("dest"), "tzone")
        clock = F.from_utc_timestamp("arrived_at", zone_of(F.col("dest"), F.col("tzone")))
        arrived = with_arrival(flights, airports).where("arr_delay IS NOT NULL").join(zones, "dest", "left")
        shown = arrived.select("arr_time", F.date_format(clock, "HHmm").cast("int").alias("derived")).collect()
        flown += len(shown)
        wrong += [(night, *row) for row in shown if row["derived"] != row["arr_time"] % 2400]
    assert flown > 2000
    assert wrong == [(date(2013, 3, 9), 203, 303)]  # the record's clock was not put forward; the derived one was
