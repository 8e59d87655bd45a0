from __future__ import annotations

from dataclasses import replace

import pytest
from tests.landed_nights import ORDERS, SHOP

from nightjar.declaration.rules import not_null
from nightjar.protocol.errors import ConfigurationError
from nightjar.validation.table_rules import source_rules, table_rules


def test_source_contract_has_parsing_key_and_declared_rules() -> None:
    assert [rule.name for rule in source_rules(ORDERS)] == [
        "well_formed_line",
        "number_parses",
        "amount_parses",
        "placed_at_parses",
        "shop_not_null",
        "number_not_null",
        "key_unique",
        "placed_at_not_null",
        "shop_one_of",
        "amount_between",
        "placed_in_day",
    ]


def test_table_contract_requires_key_and_columns_that_are_not_nullable() -> None:
    names = [rule.name for rule in table_rules(SHOP.feature_table, SHOP.features.rules)]
    assert names == ["shop_not_null", "number_not_null", "key_unique", "amount_between"]


def test_rule_that_is_implied_already_is_refused() -> None:
    source = replace(ORDERS, rules=(*ORDERS.rules, not_null("shop")))
    with pytest.raises(ConfigurationError, match=r"raw/orders repeat shop_not_null"):
        source_rules(source)
