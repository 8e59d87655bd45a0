"""Features and labels of digits: the pixels of a scan, and what a person read."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from nightjar.protocol.nights import Nights
from use_cases.digits.use_case import KEY, PIXELS, READINGS, SCANS


def build_features(tables: Mapping[str, DataFrame], nights: Nights) -> DataFrame:
    """Return the pixels of the digits scanned on each night's day."""
    scans = tables[SCANS.name].where(F.col("ds").between(nights.first, nights.last))
    return scans.select("ds", KEY.name, *PIXELS)


def build_labels(tables: Mapping[str, DataFrame], nights: Nights) -> DataFrame:
    """Return what a person read on each night's day, of the scans of the day before."""
    readings = tables[READINGS.name].where(F.col("ds").between(nights.first, nights.last))
    label, outcome = F.col("digit").cast("string").alias("label"), F.lit("read").alias("outcome")
    return readings.select("ds", KEY.name, label, outcome, F.to_timestamp("ds").alias("known_at"))
