"""Which numbers of a column are known, as :mod:`nightjar.lake.numbers` has it for arrays."""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F

from nightjar.lake.numbers import LARGEST


def known(value: Column) -> Column:
    """Return a number's column with null for what is missing to a model; NaN is above all numbers in Spark's order."""
    return F.when(F.abs(value) <= F.lit(LARGEST), value)
