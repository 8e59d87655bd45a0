from __future__ import annotations

from datetime import date

from tests.nightjar.monitoring.data_quality.test_volumes import SHOP, put

from nightjar.lake.lake import Lake
from nightjar.monitoring.data_quality.rejections import Rejection, count_rejections

NIGHT = date(2013, 4, 3)


def test_each_rule_has_its_rows_and_its_reason(lake: Lake) -> None:
    assert count_rejections(lake, SHOP, NIGHT) == []
    row = {"table_name": "raw/orders", "row_json": "{}", "dag_run_id": "r"}
    rows = [
        {**row, "rules": ["k_parses"]},
        {**row, "rules": ["k_parses", "well_formed_line"]},
        {**row, "rules": ["of_a_contract_of_old"]},
        {**row, "table_name": "features/shop", "rules": ["prediction_is_finite"]},
    ]
    put(lake, SHOP.quarantine_table, rows, NIGHT)
    put(lake, SHOP.quarantine_table, rows[:1], date(2013, 4, 4))
    assert count_rejections(lake, SHOP, NIGHT) == [
        Rejection(table="raw/orders", rule="k_parses", reason="k is not of type int", rows=2),
        Rejection(
            table="features/shop",
            rule="prediction_is_finite",
            reason="the model has no finite prediction for it",
            rows=1,
        ),
        Rejection(table="raw/orders", rule="of_a_contract_of_old", reason="", rows=1),
        Rejection(
            table="raw/orders",
            rule="well_formed_line",
            reason="the line is not one record with the header's number of fields",
            rows=1,
        ),
    ]
