"""Known numbers of a Spark column; :mod:`nightjar.lake.numbers` does the same for arrays."""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F

from nightjar.lake.numbers import LARGEST


def known(value: Column) -> Column:
    """Return the column with null for numbers that are missing for a model; Spark orders NaN above all numbers."""
    return F.when(F.abs(value) <= F.lit(LARGEST), value)
