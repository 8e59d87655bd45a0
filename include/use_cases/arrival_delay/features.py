"""Features and labels of arrival delays: those of ``flight_delay``, with the minutes as label."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from nightjar.protocol.nights import Nights
from use_cases.arrival_delay.use_case import RAW
from use_cases.flight_delay import features as flights
from use_cases.flight_delay.shared import without_prefix


def build_features(tables: Mapping[str, DataFrame], nights: Nights) -> DataFrame:
    """Return the features of the flights scheduled on the day after each night."""
    return flights.build_features(without_prefix(tables, RAW), nights)


def build_labels(tables: Mapping[str, DataFrame], nights: Nights) -> DataFrame:
    """Return the arrival delay of the flights of each night's own day."""
    return flights.labels_of(without_prefix(tables, RAW), nights, F.col("arr_delay"))
