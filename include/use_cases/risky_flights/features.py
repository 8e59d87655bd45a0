"""Features and labels of flights to watch: those of ``flight_delay``, with grades of the delay as label."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from nightjar.protocol.nights import Nights
from use_cases.flight_delay import features as flights
from use_cases.flight_delay.shared import without_prefix
from use_cases.risky_flights.use_case import GRADES, RAW


def build_features(tables: Mapping[str, DataFrame], nights: Nights) -> DataFrame:
    """Return the features of the flights scheduled on the day after each night."""
    return flights.build_features(without_prefix(tables, RAW), nights)


def build_labels(tables: Mapping[str, DataFrame], nights: Nights) -> DataFrame:
    """Return the grade of the arrival delay of the flights of each night's own day."""
    delay = F.col("arr_delay")
    grade = sum((F.when(delay > minutes, 1.0).otherwise(0.0) for minutes in GRADES), start=F.lit(0.0))
    return flights.labels_of(without_prefix(tables, RAW), nights, F.when(delay.isNotNull(), grade))
