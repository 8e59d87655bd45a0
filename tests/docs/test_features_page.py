"""The example of the page on features gives the columns and values that the page describes."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pytest
from tests.docs.pages import examples
from tests.docs.running import run

from nightjar.protocol.nights import Nights

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark
MONDAY, THURSDAY = date(2025, 3, 3), date(2025, 3, 6)


def test_example_adds_the_known_plan_and_trailing_orders(spark: SparkSession) -> None:
    (example,) = [found for found in examples() if found.context == "features of customers"]
    names: dict[str, Any] = {}
    run(example, names)
    noon = datetime(2025, 3, 3, 12, tzinfo=UTC)
    plans = [(MONDAY, "a", date(2025, 1, 1), "small", 10.0), (MONDAY, "a", THURSDAY, "large", 20.0)]
    orders = [(MONDAY, "a", noon, 1.25, True), (THURSDAY, "a", noon, 2.5, False)]
    tables = {
        "customers": spark.createDataFrame(
            [(d, c) for d in (MONDAY, THURSDAY) for c in "ab"], "ds date, customer string"
        ),
        "plans": spark.createDataFrame(plans, "ds date, customer string, valid_from date, plan string, price double"),
        "orders": spark.createDataFrame(
            orders, "ds date, customer string, ordered_at timestamp, amount double, late boolean"
        ),
    }
    nights = Nights(first=MONDAY, last=THURSDAY, timezone="UTC")
    built = names["build_features"](tables, nights).orderBy("ds", "customer")
    columns = ["plan", "price", *(f"{name}_{days}d" for days in (7, 28) for name in ("orders", "spend", "late_rate"))]
    assert built.columns == ["ds", "customer", *columns]
    assert [tuple(row)[:7] for row in built.collect()] == [
        (MONDAY, "a", "small", 10.0, 1, 1.25, 1.0),
        (MONDAY, "b", None, None, 0, 0.0, None),
        (THURSDAY, "a", "large", 20.0, 2, 3.75, 0.5),
        (THURSDAY, "b", None, None, 0, 0.0, None),
    ]
